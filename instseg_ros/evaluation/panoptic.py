"""Panoptic quality: classes and objects in one figure.

A. Kirillov, K. He, R. Girshick, C. Rother, P. Dollar, "Panoptic Segmentation", CVPR 2019. A
predicted and a true segment of one class match if their IoU is above 1/2, which at most one pair
of each can. For each class

    PQ = sum of the matches' IoU / (TP + FP / 2 + FN / 2) = SQ * RQ
    SQ = mean IoU of the matches,  RQ = TP / (TP + FP / 2 + FN / 2)

Segments are the instances of thing classes, and all pixels of an image that have one stuff class
(the background is stuff). Decided here:

- Ignored pixels (crowds included) are void as in the paper: they are taken out of predicted
  segments before matching, and an unmatched predicted segment with more than half of its pixels
  on void is no false positive.
- Pixels of a thing class without an instance belong to no segment: in the truth they are void, in
  a prediction they cover nothing.
"""
from __future__ import annotations

from typing import Sequence

import numpy as np

from instseg_ros.core.types import NO_INSTANCE, UNLABELLED, check_array

VOID_SHARE = 0.5
"""A prediction with more than this share of its pixels ignored is neither right nor wrong."""

MATCH_IOU = 0.5
"""Segments match above this IoU; at 1/2 and more no segment can match twice."""

_NOTHING = -1


def panoptic_ids(semantic_ids: np.ndarray, instance_ids: np.ndarray) -> np.ndarray:
    """Return one (H0, W0) int64 label for class and instance: class * 65536 + instance."""
    return semantic_ids.astype(np.int64) << 16 | instance_ids


class PanopticScore:
    """Adds up matches of many images.

    Parameters
    ----------
    class_count : int
    thing_ids : sequence of int
        Classes whose segments are instances; the others are stuff.

    Attributes
    ----------
    true_positives, false_positives, false_negatives : (C,) int64
    iou_sum : (C,) float64
        Sum of the IoUs of the true positives.
    """

    def __init__(self, class_count: int, thing_ids: Sequence[int]) -> None:
        self.is_thing = np.zeros(256, bool)
        self.is_thing[list(thing_ids)] = True
        self.true_positives = np.zeros(class_count, np.int64)
        self.false_positives = np.zeros(class_count, np.int64)
        self.false_negatives = np.zeros(class_count, np.int64)
        self.iou_sum = np.zeros(class_count, np.float64)

    def update(self, truth: tuple[np.ndarray, np.ndarray],
               predicted: tuple[np.ndarray, np.ndarray]) -> None:
        """Add an image.

        Parameters
        ----------
        truth, predicted : ((H0, W0) uint8, (H0, W0) uint16)
            Semantic and instance ids.

        Raises
        ------
        TypeError, ValueError
            Another dtype or different shapes.
        """
        check_array('truth', truth[0], ('H0', 'W0'), np.uint8)
        for name, array, dtype in (('true instances', truth[1], np.uint16),
                                   ('predicted', predicted[0], np.uint8),
                                   ('predicted instances', predicted[1], np.uint16)):
            check_array(name, array, truth[0].shape, dtype)
        true_ids, predicted_ids, overlap = _overlaps(self._segments(*truth),
                                                     self._segments(*predicted))
        void = overlap[true_ids == _NOTHING].sum(axis=0)
        area = overlap.sum(axis=0)
        union = overlap.sum(axis=1)[:, None] + area - void - overlap
        comparable = (true_ids[:, None] >> 16 == predicted_ids >> 16) & (predicted_ids >= 0)
        iou = np.divide(overlap, union, out=np.zeros(overlap.shape), where=comparable)
        match = iou > MATCH_IOU
        missed = ~match.any(axis=1) & (true_ids != _NOTHING)
        false = ~match.any(axis=0) & (predicted_ids != _NOTHING) & (void <= VOID_SHARE * area)
        rows, _ = np.nonzero(match)
        np.add.at(self.true_positives, true_ids[rows] >> 16, 1)
        np.add.at(self.iou_sum, true_ids[rows] >> 16, iou[match])
        np.add.at(self.false_negatives, true_ids[missed] >> 16, 1)
        np.add.at(self.false_positives, predicted_ids[false] >> 16, 1)

    def _segments(self, semantic_ids: np.ndarray, instance_ids: np.ndarray) -> np.ndarray:
        thing = self.is_thing[semantic_ids]
        nothing = (semantic_ids == UNLABELLED) | (thing & (instance_ids == NO_INSTANCE))
        segments = panoptic_ids(semantic_ids, np.where(thing, instance_ids, 0))
        return np.where(nothing, _NOTHING, segments)

    @property
    def rq(self) -> np.ndarray:
        """Recognition quality (an F1) of each class, (C,) float64; nan without any segment."""
        weight = self.true_positives + (self.false_positives + self.false_negatives) / 2
        return np.divide(self.true_positives, weight, out=np.full(len(weight), np.nan),
                         where=weight > 0)

    @property
    def sq(self) -> np.ndarray:
        """Segmentation quality of each class, (C,) float64.

        0 without a match, as in the authors' own code; nan without any segment.
        """
        return np.where(np.isnan(self.rq), np.nan,
                        self.iou_sum / np.maximum(self.true_positives, 1))

    @property
    def pq(self) -> np.ndarray:
        """Panoptic quality of each class, (C,) float64; nan without any segment."""
        return self.sq * self.rq


def _overlaps(truth: np.ndarray, predicted: np.ndarray
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the labels of both maps and the (T, P) int64 table of common pixels."""
    true_ids, rows = np.unique(truth, return_inverse=True)
    predicted_ids, columns = np.unique(predicted, return_inverse=True)
    table = np.bincount(rows.ravel() * len(predicted_ids) + columns.ravel(),
                        minlength=len(true_ids) * len(predicted_ids))
    return true_ids, predicted_ids, table.reshape(len(true_ids), len(predicted_ids))
