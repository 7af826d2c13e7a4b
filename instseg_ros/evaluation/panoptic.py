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

from typing import NamedTuple, Sequence

import numpy as np

from instseg_ros.core.types import NO_INSTANCE, UNLABELLED, check_array

VOID_SHARE = 0.5
"""A prediction with more than this share of its pixels ignored is neither right nor wrong."""

MATCH_IOU = 0.5
"""Segments match above this IoU; at 1/2 and more no segment can match twice."""

SIZES = ('small', 'medium', 'large')
SIZE_LIMITS = (32 ** 2, 96 ** 2)
"""COCO's sizes of objects: small below the first of these areas in pixels, large above the other.
"""

_NOTHING = -1


def panoptic_ids(semantic_ids: np.ndarray, instance_ids: np.ndarray) -> np.ndarray:
    """Return one (H0, W0) int64 label for class and instance: class * 65536 + instance."""
    return semantic_ids.astype(np.int64) << 16 | instance_ids


class Matching(NamedTuple):
    """Which segments of an image match.

    true_ids : (T,) int64, predicted_ids : (P,) int64
        See `panoptic_ids`; -1 stands for pixels of no segment.
    true_area : (T,) int64, predicted_area : (P,) int64
    iou : (T, P) float64
        0 for segments of different classes.
    found : (T,) bool, missed : (T,) bool, false : (P,) bool
        A predicted segment that isn't false matches, or doesn't count.
    """

    true_ids: np.ndarray
    predicted_ids: np.ndarray
    true_area: np.ndarray
    predicted_area: np.ndarray
    iou: np.ndarray
    found: np.ndarray
    missed: np.ndarray
    false: np.ndarray


def match_segments(truth: tuple[np.ndarray, np.ndarray], predicted: tuple[np.ndarray, np.ndarray],
                   thing_ids: Sequence[int]) -> Matching:
    """Match the segments of an image.

    Parameters
    ----------
    truth, predicted : ((H0, W0) uint8, (H0, W0) uint16)
        Semantic and instance ids.
    thing_ids : sequence of int
        Classes whose segments are instances; the others are stuff.

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
    true_ids, predicted_ids, overlap = _overlaps(_segments(*truth, thing_ids),
                                                 _segments(*predicted, thing_ids))
    void = overlap[true_ids == _NOTHING].sum(axis=0)
    true_area, predicted_area = overlap.sum(axis=1), overlap.sum(axis=0)
    union = true_area[:, None] + predicted_area - void - overlap
    comparable = (true_ids[:, None] >> 16 == predicted_ids >> 16) & (predicted_ids >= 0)
    iou = np.divide(overlap, union, out=np.zeros(overlap.shape), where=comparable)
    match = iou > MATCH_IOU
    found = match.any(axis=1)
    return Matching(
        true_ids, predicted_ids, true_area, predicted_area, iou, found,
        missed=~found & (true_ids != _NOTHING),
        false=(~match.any(axis=0) & (predicted_ids != _NOTHING)
               & (void <= VOID_SHARE * predicted_area)))


class PanopticScore:
    """Matches of segments in one or, added up with `+`, many images.

    Parameters
    ----------
    class_count : int
    thing_ids : sequence of int
        Classes whose segments are instances; the others are stuff.

    Attributes
    ----------
    found, missed, false : (C, 3) int64
        True positives, false negatives and false positives, small, medium and large ones (see
        `SIZES`): by their true areas, false ones by their own.
    iou_sum : (C,) float64
        Sum of the IoUs of the true positives.
    """

    def __init__(self, class_count: int, thing_ids: Sequence[int]) -> None:
        self.thing_ids = tuple(thing_ids)
        self.found = np.zeros((class_count, len(SIZES)), np.int64)
        self.missed = np.zeros_like(self.found)
        self.false = np.zeros_like(self.found)
        self.iou_sum = np.zeros(class_count, np.float64)

    def __add__(self, other: PanopticScore) -> PanopticScore:
        result = PanopticScore(len(self.iou_sum), self.thing_ids)
        for name in ('found', 'missed', 'false', 'iou_sum'):
            setattr(result, name, getattr(self, name) + getattr(other, name))
        return result

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
        m = match_segments(truth, predicted, self.thing_ids)
        np.add.at(self.iou_sum, m.true_ids[m.found] >> 16, m.iou[m.found].max(axis=1))
        for counts, ids, areas in (
                (self.found, m.true_ids[m.found], m.true_area[m.found]),
                (self.missed, m.true_ids[m.missed], m.true_area[m.missed]),
                (self.false, m.predicted_ids[m.false], m.predicted_area[m.false])):
            np.add.at(counts, (ids >> 16, np.searchsorted(SIZE_LIMITS, areas, 'right')), 1)

    @property
    def rq(self) -> np.ndarray:
        """Recognition quality (an F1) of each class, (C,) float64; nan without any segment."""
        return _quotient(self.found.sum(axis=1), self._weight)

    @property
    def sq(self) -> np.ndarray:
        """Segmentation quality of each class, (C,) float64.

        0 without a match, as in the authors' own code; nan without any segment.
        """
        return np.where(self._weight > 0,
                        self.iou_sum / np.maximum(self.found.sum(axis=1), 1), np.nan)

    @property
    def pq(self) -> np.ndarray:
        """Panoptic quality of each class, (C,) float64; nan without any segment."""
        return _quotient(self.iou_sum, self._weight)

    @property
    def pooled_pq(self) -> float:
        """Panoptic quality of the segments of all classes together; nan without any."""
        return float(_quotient(self.iou_sum.sum(), self._weight.sum()))

    @property
    def _weight(self) -> np.ndarray:
        return (self.found + (self.missed + self.false) / 2).sum(axis=1)


def _quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(np.shape(denominator), np.nan),
                     where=denominator > 0)


def _segments(semantic_ids: np.ndarray, instance_ids: np.ndarray,
              thing_ids: Sequence[int]) -> np.ndarray:
    """Return the panoptic ids, where no segment is -1."""
    thing = np.isin(semantic_ids, thing_ids)
    nothing = (semantic_ids == UNLABELLED) | (thing & (instance_ids == NO_INSTANCE))
    segments = panoptic_ids(semantic_ids, np.where(thing, instance_ids, 0))
    return np.where(nothing, _NOTHING, segments)


def _overlaps(truth: np.ndarray, predicted: np.ndarray
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the labels of both maps and the (T, P) int64 table of common pixels."""
    truth, predicted = truth.ravel(), predicted.ravel()
    # Label maps are long runs of equal pixels: sorting only the runs is many times faster.
    changes = (truth[1:] != truth[:-1]) | (predicted[1:] != predicted[:-1])
    starts = np.flatnonzero(np.concatenate([[True], changes]))
    lengths = np.diff(starts, append=truth.size)
    true_ids, rows = np.unique(truth[starts], return_inverse=True)
    predicted_ids, columns = np.unique(predicted[starts], return_inverse=True)
    table = np.zeros((len(true_ids), len(predicted_ids)), np.int64)
    np.add.at(table, (rows, columns), lengths)
    return true_ids, predicted_ids, table
