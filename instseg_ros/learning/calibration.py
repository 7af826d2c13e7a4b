"""Calibration of the center confidences, so that the method's threshold means something.

A network trained on few images is far less sure of centers than 0.7, the threshold that the method
prescribes. Held-out images tell which raw confidence makes the best operating point; a monotone
map moves that one to the threshold, and gives the confidences above and below it the slope that
fits how often such a center is right.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np

from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.grouping import assign_pixels, find_centers
from instseg_ros.core.types import NO_INSTANCE, UNLABELLED, ModelInfo, NetworkOutput
from instseg_ros.evaluation.panoptic import PanopticScore
from instseg_ros.learning.targets import Targets

CANDIDATE_THRESHOLDS = tuple(float(value) for value in np.round(np.arange(0.06, 0.96, 0.03), 2))
"""Raw confidences that are tried as the operating point."""

FAINT = 0.05
"""Peaks with a lower raw confidence are no candidates and don't take part in the fit."""


@dataclass(frozen=True)
class Calibration:
    """Monotone map of center logits to confidences: sigmoid(scale * logit + shift)."""

    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f'calibration.scale: expected a positive number, got {self.scale}')


@dataclass(frozen=True)
class CalibrationReport:
    """A calibration, and what it was made from.

    Attributes
    ----------
    calibration : Calibration
    threshold : float
        Raw confidence that became `GroupingConfig.center_threshold`.
    quality : dict of float to float
        Panoptic quality of the things, all classes together, for each raw threshold. (A mean over
        classes would hang on the few objects of the rare ones.)
    images, candidates, centers : int
        Held-out images, peaks on them, and how many of these are right.
    """

    calibration: Calibration
    threshold: float
    quality: dict[float, float]
    images: int
    candidates: int
    centers: int


class ThingQuality:
    """Panoptic quality of the things of one or, added up with `+`, many images.

    All classes together, on the output grid, for each of several thresholds of raw confidences.

    Parameters
    ----------
    info : ModelInfo
    thresholds : sequence of float
    """

    def __init__(self, info: ModelInfo, thresholds: Sequence[float]) -> None:
        self.info = info
        self.scores = {threshold: PanopticScore(len(info.class_names), info.thing_ids)
                       for threshold in thresholds}

    def __add__(self, other: ThingQuality) -> ThingQuality:
        result = ThingQuality(self.info, ())
        result.scores = {key: score + other.scores[key] for key, score in self.scores.items()}
        return result

    def update(self, output: NetworkOutput, target: Targets) -> None:
        """Group the output of an image at each threshold and compare it with the truth."""
        for threshold, score in self.scores.items():
            centers, _ = find_centers(output, self.info, GroupingConfig(threshold))
            score.update((target.semantic_ids, target.instance_ids),
                         (output.semantic_ids, assign_pixels(output, centers)))

    @property
    def values(self) -> dict[float, float]:
        """The quality at each threshold; 0 without any thing."""
        things = list(self.info.thing_ids)
        result = {}
        for threshold, score in self.scores.items():
            weight = (score.found + (score.missed + score.false) / 2)[things].sum()
            quality = score.iou_sum[things].sum() / weight if weight else 0.0
            result[threshold] = float(quality)
        return result

    @property
    def best_threshold(self) -> float:
        """The threshold with the best quality, the lowest of equals."""
        values = self.values
        return max(values, key=values.__getitem__)


def fit_calibration(outputs: Sequence[NetworkOutput], targets: Sequence[Targets],
                    info: ModelInfo) -> CalibrationReport:
    """Fit the map on images that were not trained on. (Ours, not the paper's.)

    Parameters
    ----------
    outputs : sequence of NetworkOutput
        Of the uncalibrated network, whose `center_heatmap` is sigmoid(logit) at peaks.
    targets : sequence of Targets
        The truth on the same grids.

    Notes
    -----
    `scale` is that of a logistic regression of "the peak is the strongest one on an object of its
    class" on the logit (Platt scaling; Platt, "Probabilistic Outputs for Support Vector Machines",
    1999); further peaks on an object are left out, as grouping merges them. `shift` is then set so
    that the raw threshold with the best panoptic quality becomes `center_threshold`.

    Raises
    ------
    ValueError
        The images have no object, or no peak is right: there is nothing to fit.
    """
    logits, right = _candidates(outputs, targets)
    if not right.any() or right.all():
        raise ValueError(f'calibration: expected right and wrong centers on the {len(outputs)} '
                         f'held-out images, got {int(right.sum())} right of {len(right)}; hold '
                         'more images out, train longer, or keep the raw confidences '
                         '(--no-calibration)')
    things = ThingQuality(info, CANDIDATE_THRESHOLDS)
    for output, target in zip(outputs, targets):
        things.update(output, target)
    quality, best = things.values, things.best_threshold
    scale = _logistic_slope(logits, right)
    shift = _logit(GroupingConfig.center_threshold) - scale * _logit(best)
    return CalibrationReport(Calibration(scale, float(shift)), best, quality, len(outputs),
                             len(right), int(right.sum()))


def _candidates(outputs: Sequence[NetworkOutput],
                targets: Sequence[Targets]) -> tuple[np.ndarray, np.ndarray]:
    logits, right = [], []
    for output, target in zip(outputs, targets):
        ys, xs = np.nonzero((output.center_heatmap > FAINT) & (output.semantic_ids != 0))
        scores = output.center_heatmap[ys, xs]
        found: set[int] = set()
        for k in np.argsort(-scores, kind='stable'):
            y, x = ys[k], xs[k]
            if target.semantic_ids[y, x] == UNLABELLED:
                continue
            instance = int(target.instance_ids[y, x])
            hit = (instance != NO_INSTANCE
                   and target.semantic_ids[y, x] == output.semantic_ids[y, x])
            if hit and instance in found:
                continue
            found.add(instance)
            logits.append(_logit(scores[k]))
            right.append(hit)
    return np.array(logits, np.float64), np.array(right, bool)


def _logit(probability: float) -> float:
    clipped = np.clip(probability, 1e-6, 1 - 1e-6)
    return float(np.log(clipped / (1 - clipped)))


def _logistic_slope(x: np.ndarray, y: np.ndarray, steps: int = 50) -> float:
    """Slope of the logistic regression of y on x, by Newton's method."""
    design = np.stack([x, np.ones_like(x)], 1)
    weights = np.array([1.0, 0.0])
    # A weak prior on a slope of 1 keeps separable data from an infinite slope.
    prior = np.array([1.0, 1e-6])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (p - y) + prior * (weights - [1.0, 0.0])
        hessian = (design * (p * (1 - p))[:, None]).T @ design + np.diag(prior)
        weights = weights - np.linalg.solve(hessian, gradient)
    return float(max(weights[0], 0.05))
