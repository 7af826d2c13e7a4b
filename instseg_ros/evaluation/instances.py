"""Average precision of instances, by COCO's own evaluator (pycocotools).

Masks are compared as they were labelled, also where objects overlap, at IoU 0.50 to 0.95 (AP) and
0.50 (AP50), with at most 100 detections an image and class, as on https://cocodataset.org.

Ignored: COCO's rule for crowds holds for the crowds of a class. COCO has no rule for objects of a
category that the model doesn't have, nor for crowds of another class; detections there are not
wrong. So a detection with more than half of its pixels on ignored pixels of the label map is
left out. This can't hide a right one: ignored pixels belong to no object, so less than half of
such a detection is on any object, and its IoU with each is below 1/2.
"""
from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from instseg_ros.core.types import UNLABELLED, Segmentation
from instseg_ros.datasets.masks import encode_mask
from instseg_ros.datasets.types import GroundTruth
from instseg_ros.evaluation.panoptic import SIZES, VOID_SHARE
from instseg_ros.evaluation.semantic import mean_of_known

MAX_DETECTIONS = 100


@dataclass(frozen=True)
class Detection:
    """One predicted object.

    Attributes
    ----------
    class_id : int
    score : float
    mask : dict
        COCO's compressed run lengths.
    """

    class_id: int
    score: float
    mask: Mapping[str, Any]


def detections_of(segmentation: Segmentation) -> Iterator[Detection]:
    """Yield the instances of a segmentation, each with its pixels of the instance map."""
    for instance in segmentation.instances:
        yield Detection(instance.class_id, instance.score,
                        encode_mask(segmentation.instance_ids == instance.instance_id))


@dataclass(frozen=True)
class AveragePrecision:
    """Results of COCO's evaluator for each class; nan without a labelled instance.

    Attributes
    ----------
    precision : (10, 101, C, 4) float64
        At IoU 0.50, 0.55, ... 0.95; recall 0.00, 0.01, ... 1.00; class; size: all, then `SIZES`.
    scores : (D,) float64
        Of all detections that count.
    right : (D,) bool
        Whether they match an object at IoU 0.50.
    objects : int
        Number of labelled instances.
    """

    precision: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    objects: int

    def of_classes(self, *, iou50: bool = False, size: str = 'all') -> np.ndarray:
        """Return AP (or AP50) of each class, (C,) float64."""
        area = ('all', *SIZES).index(size)
        precision = self.precision[:1 if iou50 else None, :, :, area]
        return precision.mean(axis=(0, 1))

    def mean(self, *, iou50: bool = False, size: str = 'all') -> float:
        """Return AP (or AP50), the mean of the classes with a labelled instance."""
        return mean_of_known(self.of_classes(iou50=iou50, size=size))


class InstanceScore:
    """Collects objects and detections of many images.

    Parameters
    ----------
    class_count : int
    """

    def __init__(self, class_count: int) -> None:
        self.class_count = class_count
        self._images: list[dict[str, int]] = []
        self._objects: list[dict[str, Any]] = []
        self._detections: list[dict[str, Any]] = []

    def update(self, truth: GroundTruth, detections: Sequence[Detection]) -> None:
        """Add an image.

        Raises
        ------
        ValueError
            A detection's mask has another size than the image.
        """
        height, width = truth.semantic_ids.shape
        self._images.append({'id': len(self._images) + 1, 'height': height, 'width': width})
        for labelled in truth.objects:
            self._objects.append(self._record(labelled, iscrowd=int(labelled.crowd)))
        ignored = encode_mask(truth.semantic_ids == UNLABELLED)
        for found in detections:
            if list(found.mask['size']) != [height, width]:
                raise ValueError(f'mask of a detection: expected {height} rows and {width} '
                                 f'columns, got {found.mask["size"]}')
            on_ignored = coco_mask.area(coco_mask.merge([found.mask, ignored], intersect=True))
            if on_ignored <= VOID_SHARE * coco_mask.area(found.mask):
                self._detections.append(self._record(found, iscrowd=0, score=found.score))

    def _record(self, item: Any, **more: Any) -> dict[str, Any]:
        return {'image_id': len(self._images), 'category_id': item.class_id,
                'segmentation': item.mask, 'area': float(coco_mask.area(item.mask)), **more}

    def compute(self) -> AveragePrecision:
        """Evaluate everything collected so far."""
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
            evaluator = COCOeval(self._coco(self._objects), self._coco(self._detections), 'segm')
            evaluator.params.maxDets = [MAX_DETECTIONS]
            evaluator.evaluate()
            evaluator.accumulate()
        precision = evaluator.eval['precision'][..., 0]
        everything = evaluator.params.areaRng[0]
        images = [image for image in evaluator.evalImgs
                  if image is not None and image['aRng'] == everything]
        counted = [~image['dtIgnore'][0] for image in images]
        return AveragePrecision(
            np.where(precision < 0, np.nan, precision),
            _joined([np.array(image['dtScores'], float)[keep]
                     for image, keep in zip(images, counted)], float),
            _joined([image['dtMatches'][0, keep] > 0
                     for image, keep in zip(images, counted)], bool),
            sum(int(np.count_nonzero(image['gtIgnore'] == 0)) for image in images))

    def _coco(self, records: list[dict[str, Any]]) -> COCO:
        coco = COCO()
        # COCOeval writes into the records, and takes the id 0 for "no match".
        annotations = [{**record, 'id': number} for number, record in enumerate(records, start=1)]
        coco.dataset = {'images': self._images,
                        'categories': [{'id': number} for number in range(self.class_count)],
                        'annotations': annotations}
        coco.createIndex()
        return coco


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *parts])
