"""All figures of a model, or of anybody's predictions, on one labelled data set."""
from __future__ import annotations

import math
from typing import Any, Callable, Iterable, Protocol, Sequence

import numpy as np

from instseg_ros.core.types import UNLABELLED, ModelInfo, Segmentation
from instseg_ros.evaluation.boundary import TOLERANCE, BoundaryScore, boundary_score
from instseg_ros.evaluation.coco import GroundTruth
from instseg_ros.evaluation.instances import SIZES, AveragePrecision, InstanceScore, detections_of
from instseg_ros.evaluation.panoptic import PanopticScore, panoptic_ids
from instseg_ros.evaluation.semantic import SemanticScore, mean_of_known

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Passes on what it is given and shows how far it is; `tqdm.tqdm` is one."""


class LabelledImages(Protocol):
    """What a data set must offer; `CocoDataset` does."""

    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""

    def image_name(self, index: int) -> str:
        """Return a name for people."""

    def load_image(self, index: int) -> np.ndarray:
        """Return image `index`, (H0, W0, 3) uint8, RGB."""

    def load_ground_truth(self, index: int) -> GroundTruth:
        """Return the labels of image `index`."""


class ImageSegmenter(Protocol):
    """What is evaluated; `Segmenter` is one."""

    model_info: ModelInfo

    def segment(self, image: np.ndarray) -> Segmentation:
        """Return class and object of every pixel."""


def evaluate(segmenter: ImageSegmenter, dataset: LabelledImages,
             progress: Progress = iter) -> dict[str, Any]:
    """Return all figures of a model on a data set; see `Evaluation.report`.

    Parameters
    ----------
    segmenter : ImageSegmenter
    dataset : LabelledImages
        Made with the class names of the segmenter's model.
    progress : callable
        Wraps the sequence of image indices, for example `tqdm.tqdm`.

    Raises
    ------
    DatasetError
        An image or an annotation can't be used.
    ValueError
        Data set and model have other classes.
    """
    info = segmenter.model_info
    if tuple(dataset.class_names) != tuple(info.class_names):
        raise ValueError(f'dataset: expected the classes of the model {info.class_names}, got '
                         f'{dataset.class_names}')
    evaluation = Evaluation(info.class_names, info.thing_ids)
    for index in progress(range(len(dataset))):
        prediction = segmenter.segment(dataset.load_image(index))
        evaluation.update(dataset.load_ground_truth(index), prediction)
    return evaluation.report()


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
    >>> evaluation = Evaluation(info.class_names, info.thing_ids)
    >>> for index, prediction in enumerate(predictions):
    ...     evaluation.update(dataset.load_ground_truth(index), prediction)
    >>> evaluation.report()['semantic']['miou']
    """

    def __init__(self, class_names: Sequence[str], thing_ids: Sequence[int]) -> None:
        self.class_names = tuple(class_names)
        self.thing_ids = tuple(thing_ids)
        count = len(self.class_names)
        self.images = 0
        self.semantic = SemanticScore(count)
        self.instances = InstanceScore(count)
        self.panoptic = PanopticScore(count, thing_ids)
        self.semantic_boundary = BoundaryScore()
        self.panoptic_boundary = BoundaryScore()

    def update(self, truth: GroundTruth, prediction: Segmentation) -> None:
        """Add an image.

        Raises
        ------
        TypeError, ValueError
            The prediction has another size than the ground truth, or an unknown class.
        """
        true_maps = truth.semantic_ids, truth.instance_ids
        predicted_maps = prediction.semantic_ids, prediction.instance_ids
        self.semantic.update(truth.semantic_ids, prediction.semantic_ids)
        self.panoptic.update(true_maps, predicted_maps)
        self.instances.update(truth, list(detections_of(prediction)))
        ignore = truth.semantic_ids == UNLABELLED
        self.semantic_boundary += boundary_score(truth.semantic_ids, prediction.semantic_ids,
                                                 ignore=ignore)
        self.panoptic_boundary += boundary_score(panoptic_ids(*true_maps),
                                                 panoptic_ids(*predicted_maps), ignore=ignore)
        self.images += 1

    def report(self) -> dict[str, Any]:
        """Return the figures, ready for JSON; None stands for a figure that doesn't exist.

        Returns
        -------
        dict
            `images`; `semantic`: `miou`, `iou` of each class; `instance`: `ap`, `ap50`, these
            for small, medium and large objects, and `per_class`; `panoptic`: `pq`, `sq`, `rq`
            as means over all classes, `pq_things` and `pq_stuff`, and `per_class` with the
            counts; `boundary`: F, precision and recall for `semantic` classes and for
            `panoptic` segments.
        """
        iou = self.semantic.iou
        return _without_nan({
            'images': self.images,
            'semantic': {'miou': self.semantic.miou, 'iou': self._by_class(iou)},
            'instance': self._instance_report(self.instances.compute()),
            'panoptic': self._panoptic_report(),
            'boundary': {'tolerance_px': TOLERANCE,
                         'semantic': _boundary_report(self.semantic_boundary),
                         'panoptic': _boundary_report(self.panoptic_boundary)},
        })

    def _by_class(self, values: Sequence[Any]) -> dict[str, Any]:
        return {name: float(value) for name, value in zip(self.class_names, values)}

    def _instance_report(self, precision: AveragePrecision) -> dict[str, Any]:
        ap, ap50 = precision.of_classes(), precision.of_classes(iou50=True)
        return {'ap': precision.mean(), 'ap50': precision.mean(iou50=True),
                **{f'ap_{size}': precision.mean(size=size) for size in SIZES[1:]},
                **{f'ap50_{size}': precision.mean(iou50=True, size=size) for size in SIZES[1:]},
                'per_class': {self.class_names[thing]: {'ap': ap[thing], 'ap50': ap50[thing]}
                              for thing in self.thing_ids}}

    def _panoptic_report(self) -> dict[str, Any]:
        score, is_thing = self.panoptic, np.isin(np.arange(len(self.class_names)), self.thing_ids)
        return {'pq': mean_of_known(score.pq), 'sq': mean_of_known(score.sq),
                'rq': mean_of_known(score.rq), 'pq_things': mean_of_known(score.pq[is_thing]),
                'pq_stuff': mean_of_known(score.pq[~is_thing]),
                'per_class': {name: {
                    'pq': score.pq[index], 'sq': score.sq[index], 'rq': score.rq[index],
                    'true_positives': int(score.true_positives[index]),
                    'false_positives': int(score.false_positives[index]),
                    'false_negatives': int(score.false_negatives[index])}
                    for index, name in enumerate(self.class_names)}}


def _boundary_report(score: BoundaryScore) -> dict[str, float]:
    return {'f': score.f, 'precision': score.precision, 'recall': score.recall}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    return value
