"""Boundary F: precision and recall of the borders between segments, whatever their areas.

In IoU, the area of large segments hides a ragged contour; here only contours count. The measure is
the F-measure of boundary pixels within a tolerance of a few pixels, as in D. Martin, C. Fowlkes,
J. Malik, "Learning to detect natural image boundaries using local brightness, color, and texture
cues", PAMI 2004, with a dilation instead of their one-to-one matching, as in F. Perazzi et al.,
"A benchmark dataset and evaluation methodology for video object segmentation", CVPR 2016.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from instseg_ros.core.types import check_array

TOLERANCE = 2
"""Distance in pixels within which a boundary pixel counts as met."""


@dataclass(frozen=True)
class BoundaryScore:
    """Counts of boundary pixels of one or, added up with `+`, many images.

    Attributes
    ----------
    predicted, truth : int
        Boundary pixels of the prediction and of the ground truth.
    predicted_met, truth_met : int
        Those of them with a boundary pixel of the other one within the tolerance.
    """

    predicted: int = 0
    predicted_met: int = 0
    truth: int = 0
    truth_met: int = 0

    def __add__(self, other: BoundaryScore) -> BoundaryScore:
        return BoundaryScore(self.predicted + other.predicted,
                             self.predicted_met + other.predicted_met,
                             self.truth + other.truth, self.truth_met + other.truth_met)

    @property
    def precision(self) -> float:
        """Share of the predicted boundary that is right; nan without a predicted boundary."""
        return self.predicted_met / self.predicted if self.predicted else math.nan

    @property
    def recall(self) -> float:
        """Share of the true boundary that was found; nan without a true boundary."""
        return self.truth_met / self.truth if self.truth else math.nan

    @property
    def f(self) -> float:
        """Harmonic mean of precision and recall; nan where neither map has a boundary."""
        if not self.predicted and not self.truth:
            return math.nan
        if not self.predicted_met or not self.truth_met:
            return 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def boundary_score(truth: np.ndarray, predicted: np.ndarray, *, tolerance: float = TOLERANCE,
                   ignore: np.ndarray | None = None) -> BoundaryScore:
    """Compare the boundaries of two label maps.

    A boundary pixel is one with another label above, below, left or right of it, so a boundary
    is two pixels wide; the border of the image is none.

    Parameters
    ----------
    truth, predicted : (H0, W0) integer
        Label maps; for boundaries between objects too, `panoptic_ids` of both maps. Only
        differences between neighbours matter, so the labels of the two needn't correspond.
    tolerance : float
        Pixels, Euclidean.
    ignore : (H0, W0) bool, optional
        Pixels without ground truth: boundaries on them and within the tolerance of them don't
        count.

    Raises
    ------
    TypeError, ValueError
        The shapes differ, `ignore` isn't bool, or the tolerance is negative.
    """
    check_array('predicted', predicted, truth.shape, predicted.dtype)
    if not tolerance >= 0:
        raise ValueError(f'tolerance: expected at least 0 pixels, got {tolerance}')
    if ignore is None:
        ignore = np.zeros(truth.shape, bool)
    check_array('ignore', ignore, truth.shape, bool)
    near = _disc(tolerance)
    # Beside an ignored pixel there is no true boundary, only an unknown neighbour.
    true_boundary = _boundary(truth, ~ignore)
    predicted_boundary = _boundary(predicted, np.ones(truth.shape, bool))
    counted = ~_grow(ignore, near)
    counted_truth, counted_predicted = true_boundary & counted, predicted_boundary & counted
    return BoundaryScore(
        predicted=int(counted_predicted.sum()),
        predicted_met=int((counted_predicted & _grow(true_boundary, near)).sum()),
        truth=int(counted_truth.sum()),
        truth_met=int((counted_truth & _grow(predicted_boundary, near)).sum()))


def _boundary(labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    result = np.zeros(labels.shape, bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = (labels[one] != labels[other]) & known[one] & known[other]
        result[one] |= differs
        result[other] |= differs
    return result


def _disc(radius: float) -> np.ndarray:
    reach = math.floor(radius)
    steps = np.arange(-reach, reach + 1)
    return (steps[:, None] ** 2 + steps ** 2 <= radius ** 2).astype(np.uint8)


def _grow(mask: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    if mask.size == 0:
        return mask
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)
