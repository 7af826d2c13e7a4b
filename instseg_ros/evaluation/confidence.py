"""Precision and recall by score threshold, and the reliability of scores.

A detection is right if COCO's evaluator matches it with an object of its class at IoU 0.50. All
classes are taken together.
"""
from __future__ import annotations

from typing import Any

import numpy as np

THRESHOLDS = tuple(round(.05 * k, 2) for k in range(20))
BINS = 10


def operating_points(scores: np.ndarray, right: np.ndarray,
                     objects: int) -> list[dict[str, float]]:
    """Return precision and recall of the detections at or above each of several thresholds.

    Parameters
    ----------
    scores : (D,) float64
    right : (D,) bool
    objects : int
        Number of labelled objects.

    Returns
    -------
    list of dict
        `score` (the threshold), `detections`, `precision` (nan without a detection), `recall`
        (nan without an object) and `f1`, their harmonic mean.
    """
    return [{'score': threshold, **operating_point(right[scores >= threshold], objects)}
            for threshold in THRESHOLDS]


def operating_point(right: np.ndarray, objects: int) -> dict[str, float]:
    """Return number, precision, recall and F1 of detections; see `operating_points`.

    Parameters
    ----------
    right : (D,) bool
    objects : int
    """
    count, found = len(right), int(right.sum())
    return {'detections': count, 'precision': found / count if count else float('nan'),
            'recall': found / objects if objects else float('nan'),
            'f1': 2 * found / (count + objects) if count + objects else float('nan')}


def reliability(scores: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Compare scores with the share of detections that are right.

    Returns
    -------
    dict
        `bins`: for each tenth of the scale with detections, `score` (their mean), `right` (their
        share) and `detections`; `error`: the expected calibration error, the mean of
        |score - right| over the bins weighted by detections (C. Guo et al., "On calibration of
        modern neural networks", ICML 2017); nan without a detection.
    """
    numbers = np.clip((scores * BINS).astype(int), 0, BINS - 1)
    bins = []
    for number in np.unique(numbers):
        inside = numbers == number
        bins.append({'score': float(scores[inside].mean()), 'right': float(right[inside].mean()),
                     'detections': int(inside.sum())})
    total = sum(item['detections'] for item in bins)
    error = sum(item['detections'] * abs(item['score'] - item['right']) for item in bins)
    return {'bins': bins, 'error': error / total if total else float('nan')}
