"""Calibration of center confidences and of the scores of instances.

The raw confidences of a network trained on few images are far below 0.7, the threshold that the
method prescribes. On images that were not trained on, a raw confidence is chosen as the operating
point. A monotone map moves it to the threshold; the map's slope fits how often centers of a
confidence are right.

A right center doesn't imply a right mask. A second monotone map turns the confidences of the
centers found at the operating point into scores: how often the whole instance is right.
"""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Iterator, Mapping, Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.grouping import assign_pixels, find_centers
from instseg_ros.core.types import NO_INSTANCE, UNLABELLED, ModelInfo, NetworkOutput
from instseg_ros.datasets.masks import encode_mask
from instseg_ros.datasets.types import GroundTruth, LabelledObject
from instseg_ros.evaluation.instances import AveragePrecision, Detection, InstanceScore
from instseg_ros.evaluation.panoptic import PanopticScore
from instseg_ros.evaluation.partial_labels import restrict_classes
from instseg_ros.learning.targets import Targets

CANDIDATE_THRESHOLDS = tuple(float(value) for value in np.round(np.arange(0.06, 0.96, 0.03), 2))
"""Raw confidences that are tried as the operating point."""

FAINT = 0.05
"""Peaks with a lower raw confidence are left out of the fit."""

LEAST_SLOPE = 0.05
"""Lower bound of a map's slope: keeps it monotone where the fitted slope isn't positive."""

ACCEPTED_LOSS = 0.01
"""Share of the best panoptic quality that the operating point may lose. The quality hardly depends
on the threshold, and a lower one finds more objects. False objects among them have low scores and
can be filtered out later; missed objects can't be recovered."""


@dataclass(frozen=True)
class Calibration:
    """Monotone map of logits to confidences or scores: sigmoid(scale * logit + shift)."""

    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f'calibration.scale: expected a positive number, got {self.scale}')


@dataclass(frozen=True)
class CalibrationReport:
    """A calibration and the data it was fitted to.

    Attributes
    ----------
    calibration : Calibration
        From raw confidences of centers to calibrated ones.
    score : Calibration
        From calibrated confidences of centers to scores of instances.
    threshold : float
        Raw confidence that became `GroupingConfig.center_threshold`.
    quality : dict of float to float
        Panoptic quality of the things, all classes together, for each raw threshold. (A mean over
        classes would depend on the few objects of the rare ones.)
    images, candidates, centers : int
        Images, peaks on them, and the number of these that are right.
    instances, right : int
        Instances found at the threshold, and the number of these that are right.
    """

    calibration: Calibration
    score: Calibration
    threshold: float
    quality: dict[float, float]
    images: int
    candidates: int
    centers: int
    instances: int
    right: int


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
                    info: ModelInfo, threshold: float | None = None) -> CalibrationReport:
    """Fit the maps on images that were not trained on. Ours, not the paper's.

    Parameters
    ----------
    outputs : sequence of NetworkOutput
        Of the uncalibrated network, whose `center_heatmap` is sigmoid(logit) at peaks.
    targets : sequence of Targets
        The truth on the same grids. Predictions of classes that are not labelled in an image
        count neither as right nor as wrong, see `restrict_output`.
    info : ModelInfo
    threshold : float, optional
        The raw confidence that becomes the operating point, one of `CANDIDATE_THRESHOLDS`;
        default: what `choose_threshold` returns.

    Notes
    -----
    For centers, `scale` is that of a logistic regression of "the peak is the strongest one on an
    object of its class" on the logit (Platt scaling; Platt, "Probabilistic Outputs for Support
    Vector Machines", 1999); further peaks on an object are left out, as grouping merges them.
    `shift` is then set so that the operating point becomes `center_threshold`.

    For scores, both are those of a logistic regression of "COCO's evaluator matches the instance
    with an object at IoU 0.50" on the logit of the calibrated confidence, over the instances found
    at the operating point, on the output grid; the effect of refinement is not included.

    Raises
    ------
    ValueError
        The images have no object, or no peak is right: there is nothing to fit.
    """
    outputs = [restrict_output(output, target) for output, target in zip(outputs, targets)]
    logits, right = _candidates(outputs, targets, info)
    if not right.any() or right.all():
        raise ValueError(f'calibration: expected right and wrong centers on the {len(outputs)} '
                         f'images, got {int(right.sum())} right of {len(right)}; calibrate on '
                         'more images, train longer, or keep the raw confidences '
                         '(--no-calibration)')
    things = ThingQuality(info, CANDIDATE_THRESHOLDS)
    for output, target in zip(outputs, targets):
        things.update(output, target)
    quality = things.values
    if threshold is None:
        threshold = choose_threshold(quality)
    scale, _ = _logistic_regression(logits, right)
    shift = float(_logit(GroupingConfig.center_threshold) - scale * _logit(threshold))
    found = _instances(outputs, targets, info, threshold)
    logits = np.asarray(scale * _logit(found.scores) + shift)
    score = _logistic_regression(logits, found.right)
    return CalibrationReport(
        Calibration(scale, shift), Calibration(*score), threshold, quality, len(outputs),
        len(right), int(right.sum()), len(found.right), int(found.right.sum()))


def restrict_output(output: NetworkOutput, target: Targets) -> NetworkOutput:
    """Return the output without predictions of classes that are not labelled in the image."""
    return dataclasses.replace(output, semantic_ids=restrict_classes(
        output.semantic_ids, target.semantic_ids, target.candidates))


def choose_threshold(quality: Mapping[float, float]) -> float:
    """Return the lowest threshold whose quality is nearly the best, see `ACCEPTED_LOSS`."""
    enough = (1 - ACCEPTED_LOSS) * max(quality.values())
    return min(threshold for threshold, value in quality.items() if value >= enough)


def _candidates(outputs: Sequence[NetworkOutput], targets: Sequence[Targets],
                info: ModelInfo) -> tuple[np.ndarray, np.ndarray]:
    """Return logit and rightness of the peaks on things, without the further ones on an object."""
    logits, right = [], []
    for output, target in zip(outputs, targets):
        ys, xs = np.nonzero((output.center_heatmap > FAINT)
                            & np.isin(output.semantic_ids, info.thing_ids))
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
            if hit:
                found.add(instance)
            logits.append(_logit(scores[k]))
            right.append(hit)
    return np.array(logits, np.float64), np.array(right, bool)


def _instances(outputs: Sequence[NetworkOutput], targets: Sequence[Targets], info: ModelInfo,
               threshold: float) -> AveragePrecision:
    """Compare the instances at a raw threshold with the truth, on the output grid."""
    score = InstanceScore(len(info.class_names))
    for output, target in zip(outputs, targets):
        centers, _ = find_centers(output, info, GroupingConfig(center_threshold=threshold))
        found = assign_pixels(output, centers)
        objects = [LabelledObject(int(target.semantic_ids[mask][0]), encode_mask(mask))
                   for mask in _masks(target.instance_ids)]
        truth = GroundTruth(target.semantic_ids, target.instance_ids, (), tuple(objects))
        score.update(truth, [Detection(int(centers.class_ids[k]), float(centers.confidences[k]),
                                       encode_mask(found == k + 1)) for k in range(len(centers))
                             if (found == k + 1).any()])
    return score.compute()


def _masks(instance_ids: np.ndarray) -> Iterator[np.ndarray]:
    for identity in np.unique(instance_ids[instance_ids != NO_INSTANCE]):
        yield instance_ids == identity


def _logit(probability: np.ndarray | float) -> np.ndarray | float:
    clipped = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def _logistic_regression(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return slope and intercept of the logistic regression of y on x, both (N,)."""
    # Platt's targets, as if one more of each had been seen: few data don't give certainty.
    y = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        z = weights[0] * x + weights[1]
        # A weak prior on a slope of 1, for data that hardly determine it.
        error, excess = expit(z) - y, weights[0] - 1
        return (np.sum(np.logaddexp(0, z) - y * z) + excess ** 2 / 2,
                np.array([error @ x + excess, error.sum()]))

    slope, intercept = minimize(loss, [1.0, 0.0], jac=True).x
    return float(max(slope, LEAST_SLOPE)), float(intercept)
