"""Comparison with images in which some of the classes are not labelled.

To predict such a class is neither right nor wrong. In pixels that are labelled background, which
says only that they have none of the labelled classes, it counts as background; elsewhere as no
prediction.
"""
from __future__ import annotations

from typing import Sequence

import numpy as np

from instseg_ros.core.types import NO_INSTANCE, UNLABELLED, Segmentation, check_array
from instseg_ros.datasets.types import GroundTruth


def restrict_to_labels(predicted: Segmentation, truth: GroundTruth
                       ) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted semantic and instance ids that can be compared with the labels.

    Raises
    ------
    TypeError, ValueError
        The prediction has another dtype or size than the labels.
    """
    check_array('predicted', predicted.semantic_ids, truth.semantic_ids.shape, np.uint8)
    semantic_ids = restrict_classes(predicted.semantic_ids, truth.semantic_ids, truth.candidates)
    return semantic_ids, _instances_of(predicted, semantic_ids)


def fold_unlabelled(predicted: Segmentation, truth: GroundTruth) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted semantic and instance ids whose borders can be compared with the labels'.

    Classes of which the image has no label become background, everywhere: in what
    `restrict_to_labels` returns, borders of the labels show, as it depends on them pixel by pixel.
    """
    absent = set(truth.candidates) - set(np.unique(truth.semantic_ids)) - {0}
    semantic_ids = np.where(np.isin(predicted.semantic_ids, sorted(absent)), np.uint8(0),
                            predicted.semantic_ids)
    return semantic_ids, _instances_of(predicted, semantic_ids)


def _instances_of(predicted: Segmentation, semantic_ids: np.ndarray) -> np.ndarray:
    """Return the predicted instance ids where the class is the predicted one."""
    return np.where(semantic_ids == predicted.semantic_ids, predicted.instance_ids,
                    np.uint16(NO_INSTANCE))


def restrict_classes(predicted_ids: np.ndarray, true_ids: np.ndarray,
                     candidates: Sequence[int]) -> np.ndarray:
    """Return predicted semantic ids that can be compared with the labels.

    Parameters
    ----------
    predicted_ids, true_ids : (H, W) uint8
    candidates : sequence of int
        Classes that a pixel with label 0 may have.
    """
    unlabelled = [class_id for class_id in candidates if class_id != 0]
    if not unlabelled:
        return predicted_ids
    affected = np.isin(predicted_ids, unlabelled) & (predicted_ids != true_ids)
    instead = np.where(true_ids == 0, 0, UNLABELLED).astype(np.uint8)
    return np.where(affected, instead, predicted_ids)
