"""All metrics of predictions on a labelled data set, as one dictionary."""
from __future__ import annotations

import math
from typing import Any, Callable, Iterable, Sequence

import numpy as np

from instseg_ros.core.types import UNLABELLED
from instseg_ros.datasets.types import GroundTruth, LabelledImages
from instseg_ros.evaluation.boundary import TOLERANCE, BoundaryScore, boundary_score
from instseg_ros.evaluation.confidence import operating_points, reliability
from instseg_ros.evaluation.instances import AveragePrecision, InstanceScore
from instseg_ros.evaluation.panoptic import SIZES, PanopticScore, panoptic_ids
from instseg_ros.evaluation.partial_labels import fold_unlabelled, restrict_to_labels
from instseg_ros.evaluation.predictions import (
    ImageSegmenter,
    ModelPredictions,
    Prediction,
    Predictions,
)
from instseg_ros.evaluation.semantic import SemanticScore, mean_of_known

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Passes on its items and shows the progress; `tqdm.tqdm` is one."""

KINDS = ('found', 'missed', 'false')


class Evaluation:
    """Adds up every measure over many images.

    Parameters
    ----------
    class_names : sequence of str
        In the order of their ids.
    thing_ids : sequence of int
        Classes that have instances.

    Examples
    --------
    >>> evaluation = Evaluation(dataset.class_names, info.thing_ids)
    >>> for index in range(len(dataset)):
    ...     evaluation.update(dataset.load_ground_truth(index), predictions.load(index))
    >>> evaluation.report()['semantic']['miou']
    """

    def __init__(self, class_names: Sequence[str], thing_ids: Sequence[int]) -> None:
        self.class_names = tuple(class_names)
        self.thing_ids = tuple(thing_ids)
        self.semantic, self.panoptic = self._empty_scores()
        self.instances = InstanceScore(len(self.class_names))
        self.semantic_boundary = BoundaryScore()
        self.panoptic_boundary = BoundaryScore()
        self.per_image: list[dict[str, Any]] = []

    def update(self, truth: GroundTruth, prediction: Prediction, name: str = '') -> None:
        """Add an image.

        Parameters
        ----------
        truth : GroundTruth
        prediction : Prediction
        name : str
            Name of the image in the report.

        Raises
        ------
        TypeError, ValueError
            The prediction has another size than the ground truth, or an unknown class.
        """
        segmentation = prediction.segmentation
        true_maps = truth.semantic_ids, truth.instance_ids
        predicted_maps = restrict_to_labels(segmentation, truth)
        semantic, panoptic = self._empty_scores()
        semantic.update(truth.semantic_ids, predicted_maps[0])
        panoptic.update(true_maps, predicted_maps)
        self.semantic += semantic
        self.panoptic += panoptic
        self.instances.update(truth, prediction.detections)
        ignore = truth.semantic_ids == UNLABELLED
        folded_maps = fold_unlabelled(segmentation, truth)
        self.semantic_boundary += boundary_score(truth.semantic_ids, folded_maps[0],
                                                 ignore=ignore)
        self.panoptic_boundary += boundary_score(panoptic_ids(*true_maps),
                                                 panoptic_ids(*folded_maps), ignore=ignore)
        self.per_image.append({'image': name, 'miou': semantic.miou, 'pq': panoptic.pooled_pq,
                               **self._thing_counts(panoptic)})

    def report(self) -> dict[str, Any]:
        """Return the metrics, ready for JSON; None stands for a metric without a value.

        Returns
        -------
        dict
            images
                Their number.
            semantic
                `miou`, and `iou` of each class.
            instance
                `ap`, `ap50`, both also for small, medium and large objects (`ap_small`, ...), and
                all of these `per_class`.
            panoptic
                `pq`, `sq`, `rq` as means over all classes, `pq_things`, `pq_stuff`, and
                `per_class` with numbers of segments `found`, `missed` and `false`.
            objects
                The same numbers for all things together, their means `per_image`, `recall` and
                `precision`; all of these also `by_size`, and `per_class` for each thing.
            confidence
                `thresholds`: precision, recall and F1 against a threshold of the score;
                `reliability`: how often detections of a score are right, at IoU 0.50.
            boundary
                F, precision and recall, of `semantic` classes and of `panoptic` segments.
            per_image
                A list: `image`, `miou`, `pq` (of all its segments together), things found,
                missed and false.
        """
        iou, precision = self.semantic.iou, self.instances.compute()
        return without_nan({
            'images': len(self.per_image),
            'semantic': {'miou': self.semantic.miou,
                         'iou': dict(zip(self.class_names, iou.tolist()))},
            'instance': self._instance_report(precision),
            'panoptic': self._panoptic_report(),
            'objects': self._object_report(),
            'confidence': {
                'thresholds': operating_points(precision.scores, precision.right,
                                               precision.objects),
                'reliability': reliability(precision.scores, precision.right)},
            'boundary': {'tolerance_px': TOLERANCE,
                         'semantic': _boundary_report(self.semantic_boundary),
                         'panoptic': _boundary_report(self.panoptic_boundary)},
            'per_image': self.per_image,
        })

    def _empty_scores(self) -> tuple[SemanticScore, PanopticScore]:
        count = len(self.class_names)
        return SemanticScore(count), PanopticScore(count, self.thing_ids)

    def _instance_report(self, precision: AveragePrecision) -> dict[str, Any]:
        sizes = (('', 'all'), *((f'_{size}', size) for size in SIZES))
        of_classes = {f'{name}{suffix}': precision.of_classes(iou50=name == 'ap50', size=size)
                      for name in ('ap', 'ap50') for suffix, size in sizes}
        return {**{name: mean_of_known(values) for name, values in of_classes.items()},
                'per_class': {self.class_names[thing]: {
                    name: values[thing] for name, values in of_classes.items()}
                    for thing in self.thing_ids}}

    def _panoptic_report(self) -> dict[str, Any]:
        score, is_thing = self.panoptic, np.isin(np.arange(len(self.class_names)), self.thing_ids)
        return {'pq': mean_of_known(score.pq), 'sq': mean_of_known(score.sq),
                'rq': mean_of_known(score.rq), 'pq_things': mean_of_known(score.pq[is_thing]),
                'pq_stuff': mean_of_known(score.pq[~is_thing]),
                'per_class': {name: {
                    'pq': score.pq[index], 'sq': score.sq[index], 'rq': score.rq[index],
                    **{kind: int(getattr(score, kind)[index].sum()) for kind in KINDS}}
                    for index, name in enumerate(self.class_names)}}

    def _object_report(self) -> dict[str, Any]:
        by_size = {kind: getattr(self.panoptic, kind)[list(self.thing_ids)].sum(axis=0).tolist()
                   for kind in KINDS}
        return {**self._with_rates(self._thing_counts(self.panoptic)),
                'by_size': {size: self._with_rates({kind: by_size[kind][k] for kind in KINDS})
                            for k, size in enumerate(SIZES)},
                'per_class': {self.class_names[thing]: self._with_rates({
                    kind: int(getattr(self.panoptic, kind)[thing].sum()) for kind in KINDS})
                    for thing in self.thing_ids}}

    def _with_rates(self, counts: dict[str, int]) -> dict[str, Any]:
        images = max(len(self.per_image), 1)
        found = counts['found']
        return {**counts, 'per_image': {kind: counts[kind] / images for kind in KINDS},
                'recall': _share(found, found + counts['missed']),
                'precision': _share(found, found + counts['false'])}

    def _thing_counts(self, score: PanopticScore) -> dict[str, int]:
        return {kind: int(getattr(score, kind)[list(self.thing_ids)].sum()) for kind in KINDS}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _boundary_report(score: BoundaryScore) -> dict[str, float]:
    return {'f': score.f, 'precision': score.precision, 'recall': score.recall}


def evaluate_predictions(predictions: Predictions, dataset: LabelledImages,
                         thing_ids: Sequence[int], progress: Progress = iter) -> Evaluation:
    """Compare predictions with a data set, image by image.

    Parameters
    ----------
    predictions : Predictions
    dataset : LabelledImages
    thing_ids : sequence of int
        Classes that have instances.
    progress : callable
        Wraps the sequence of image indices, for example `tqdm.tqdm`.

    Raises
    ------
    DatasetError
        An image, an annotation or a prediction can't be used.
    """
    evaluation = Evaluation(dataset.class_names, thing_ids)
    for index in progress(range(len(dataset))):
        evaluation.update(dataset.load_ground_truth(index), predictions.load(index),
                          dataset.image_name(index))
    return evaluation


def evaluate(segmenter: ImageSegmenter, dataset: LabelledImages,
             progress: Progress = iter) -> dict[str, Any]:
    """Return all metrics of a model on a data set; see `Evaluation.report`.

    Raises
    ------
    DatasetError
        An image or an annotation can't be used.
    ValueError
        Data set and model have other classes.
    """
    predictions = ModelPredictions(segmenter, dataset)
    return evaluate_predictions(predictions, dataset, segmenter.model_info.thing_ids,
                                progress).report()


def without_nan(value: Any) -> Any:
    """Return nested dictionaries and lists with None, which JSON has, for nan."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    return value
