"""The metrics of Cityscapes' own evaluation scripts, as in published tables.

They read predictions from files, so those are written to a folder in the official formats
(`cityscapesscripts.evaluation`, head of each module), then the scripts run on them.
"""
from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import warnings
from pathlib import Path
from typing import Any, Iterator, Sequence

import cv2
import numpy as np
from cityscapesscripts.evaluation import evalInstanceLevelSemanticLabeling as instance_level
from cityscapesscripts.evaluation import evalPanopticSemanticLabeling as panoptic_level
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as pixel_level
from cityscapesscripts.helpers.labels import id2label
from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic

from instseg_ros.core.types import NO_INSTANCE, Segmentation
from instseg_ros.datasets.cityscapes import CityscapesDataset
from instseg_ros.datasets.masks import decode_segmentation
from instseg_ros.datasets.types import DatasetError
from instseg_ros.evaluation.predictions import Prediction, Predictions

NO_LABEL = 0
"""Label id "unlabeled"."""


class RecordedPredictions:
    """Passes predictions on and writes them to a folder in the official formats.

    Parameters
    ----------
    predictions : Predictions
    dataset : CityscapesDataset
    thing_ids : sequence of int
        Classes that have instances.
    folder : path
        An empty folder.
    """

    def __init__(self, predictions: Predictions, dataset: CityscapesDataset,
                 thing_ids: Sequence[int], folder: Path) -> None:
        self.predictions = predictions
        self.dataset = dataset
        self.thing_ids = tuple(thing_ids)
        self.folder = folder.resolve()
        self._segments: dict[str, list[dict[str, int]]] = {}
        self._label_ids = np.full(256, NO_LABEL, np.int64)
        for class_id, label_id in dataset.label_ids.items():
            self._label_ids[class_id] = label_id
        for kind in ('pixel', 'instance', 'panoptic'):
            (self.folder / kind).mkdir()

    def load(self, index: int) -> Prediction:
        """Return the prediction for image `index`, and keep it for `official_report`."""
        prediction = self.predictions.load(index)
        name = self.dataset.core_name(index)
        label_ids = self._label_ids[prediction.segmentation.semantic_ids]
        _write_png(self.folder / 'pixel' / f'{name}.png', label_ids.astype(np.uint8))
        lines = []
        for number, detection in enumerate(prediction.detections):
            label_id = self._label_ids[detection.class_id]
            if label_id != NO_LABEL:
                mask = decode_segmentation(detection.mask, *label_ids.shape)
                mask_name = f'{name}_{number}.png'
                _write_png(self.folder / 'instance' / mask_name, mask.astype(np.uint8) * 255)
                lines.append(f'{mask_name} {label_id} {detection.score}\n')
        (self.folder / 'instance' / f'{name}.txt').write_text(''.join(lines), encoding='utf-8')
        self._write_panoptic(name, prediction.segmentation, label_ids)
        return prediction

    def _write_panoptic(self, name: str, segmentation: Segmentation,
                        label_ids: np.ndarray) -> None:
        """Write one number a segment: label id * 65536 + instance id; 0 is no segment."""
        thing = np.isin(segmentation.semantic_ids, self.thing_ids)
        nothing = (label_ids == NO_LABEL) | (
            thing & (segmentation.instance_ids == NO_INSTANCE))
        segments = label_ids << 16 | np.where(thing, segmentation.instance_ids, 0)
        segments[nothing] = 0
        # Blue, green, red: OpenCV writes them as the official red, green, blue, lowest byte first.
        channels = [segments >> shift & 255 for shift in (16, 8, 0)]
        _write_png(self.folder / 'panoptic' / f'{name}.png',
                   np.stack(channels, axis=-1).astype(np.uint8))
        self._segments[name] = [{'id': number, 'category_id': number >> 16}
                                for number in np.unique(segments).tolist() if number]

    def official_report(self) -> dict[str, Any]:
        """Run the official scripts on all that was loaded.

        Returns
        -------
        dict
            `miou`, `iou` of each class; `ap`, `ap50`, `ap_per_class`; `pq`, `sq`, `rq`,
            `pq_things`, `pq_stuff`, `pq_per_class`. None stands for a metric without a value.

        Raises
        ------
        DatasetError
            A script stopped; with its reason.
        """
        names = set(self._segments)
        indices = [index for index in range(len(self.dataset))
                   if self.dataset.core_name(index) in names]
        with _official_scripts():
            report = {**self._pixel_level(indices), **self._instance_level(indices),
                      **self._panoptic_level()}
        return _without_nan(report)

    def _pixel_level(self, indices: Sequence[int]) -> dict[str, Any]:
        args = copy.copy(pixel_level.args)
        args.JSONOutput, args.quiet = False, True
        result = pixel_level.evaluateImgLists(
            [str(self.folder / 'pixel' / f'{self.dataset.core_name(index)}.png')
             for index in indices],
            [str(self.dataset.truth_path(index, 'labelIds')) for index in indices], args)
        names = (id2label[label_id].name for label_id in self.dataset.label_ids.values())
        return {'miou': result['averageScoreClasses'],
                'iou': {name: result['classScores'][name] for name in names}}

    def _instance_level(self, indices: Sequence[int]) -> dict[str, Any]:
        args = copy.copy(instance_level.args)
        args.quiet = True
        args.predictionPath = str(self.folder)
        args.gtInstancesFile = str(self.folder / 'true_instances.json')
        instance_level.setInstanceLabels(args)
        truths = [str(self.dataset.truth_path(index)) for index in indices]
        matches = instance_level.matchGtWithPreds(
            [str(self.folder / 'instance' / f'{self.dataset.core_name(index)}.txt')
             for index in indices], truths, instance_level.getGtInstances(truths, args), args)
        averages = instance_level.computeAverages(
            instance_level.evaluateMatches(matches, args), args)
        return {'ap': averages['allAp'], 'ap50': averages['allAp50%'],
                'ap_per_class': {name: {'ap': values['ap'], 'ap50': values['ap50%']}
                                 for name, values in averages['classes'].items()}}

    def _panoptic_level(self) -> dict[str, Any]:
        split = self.dataset.split
        convert2panoptic(str(self.dataset.root / 'gtFine'), str(self.folder), False, [split])
        truth = json.loads((self.folder / f'cityscapes_panoptic_{split}.json').read_text())
        categories = {category['id']: category for category in truth['categories']}
        pairs = [(annotation, {'image_id': annotation['image_id'],
                               'file_name': f'{annotation["image_id"]}.png',
                               'segments_info': self._segments[annotation['image_id']]})
                 for annotation in truth['annotations']
                 if annotation['image_id'] in self._segments]
        statistics = panoptic_level.pq_compute_single_core(
            0, pairs, str(self.folder / f'cityscapes_panoptic_{split}'),
            str(self.folder / 'panoptic'), categories)
        everything, per_class = statistics.pq_average(categories, isthing=None)
        return {**{key: everything[key] for key in ('pq', 'sq', 'rq')},
                'pq_things': _average_pq(statistics, categories, True),
                'pq_stuff': _average_pq(statistics, categories, False),
                'pq_per_class': {categories[label_id]['name']: values
                                 for label_id, values in per_class.items()}}


def _average_pq(statistics: Any, categories: dict[int, Any], things: bool) -> float:
    try:
        return statistics.pq_average(categories, isthing=things)[0]['pq']
    except ZeroDivisionError:  # no segment of that kind anywhere
        return math.nan


@contextlib.contextmanager
def _official_scripts() -> Iterator[None]:
    """Run the scripts without their output, and turn their exits into errors."""
    output = io.StringIO()
    # cityscapesscripts 2.3.0 calls numpy.in1d, which NumPy 2.4 has removed.
    missing = not hasattr(np, 'in1d')
    if missing:
        np.in1d = np.isin  # type: ignore[attr-defined, unused-ignore]  # noqa: NPY201
    try:
        with contextlib.redirect_stdout(output), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of means over classes that don't occur
            yield
    except SystemExit as error:
        lines = output.getvalue().strip().splitlines() or ['no reason given']
        raise DatasetError(f'the evaluation of cityscapesscripts stopped: {lines[-1]}') from error
    finally:
        if missing:
            del np.in1d  # type: ignore[attr-defined, unused-ignore]  # noqa: NPY201


def _write_png(path: Path, image: np.ndarray) -> None:
    if not cv2.imwrite(str(path), image):
        raise OSError(f'{path}: can not be written')


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if math.isnan(value) else float(value)
