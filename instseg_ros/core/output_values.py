"""Checks of a network's output for every image: cheap, and none of its values is trusted."""
from __future__ import annotations

import numpy as np

from instseg_ros.core.model_info import ModelError, ModelInfo
from instseg_ros.core.types import NetworkOutput

ROUNDING = 1e-5
"""How far above 1 a confidence may be: 8-bit integers times their step needn't give 1 exactly."""


def check_values(output: NetworkOutput, info: ModelInfo) -> None:
    """Check classes and center confidences of an image.

    Embeddings are checked where they are used, see `instseg_ros.core.grouping`.

    Raises
    ------
    ModelError
        A class is beyond the list of names, or a confidence is no number from 0 to 1.
    """
    if not output.semantic_ids.size:
        return
    largest, count = output.semantic_ids.max(), len(info.class_names)
    if largest >= count:
        raise ModelError(f'output semantic_ids: expected ids below {count}, the number of class '
                         f'names in the metadata, got {largest}')
    low, high = output.center_heatmap.min(), output.center_heatmap.max()
    if not (low >= 0 and high <= 1 + ROUNDING):  # also if one is not a number
        raise ModelError('output center_heatmap: expected confidences from 0 to 1, got '
                         f'{low:g} to {high:g}')


def check_embedding(embedding: np.ndarray) -> None:
    """Check that embeddings of any shape are finite numbers.

    Raises
    ------
    ModelError
        They aren't.
    """
    if not np.isfinite(embedding).all():
        raise ModelError('output embedding: expected finite numbers, got infinite ones or NaN')
