"""From label maps on the network's output grid to label maps of the camera image.

Semantic and instance id of a pixel are one label here and are voted on together, so no pixel
ever gets the class of one object and the id of another, and no pair of ids appears that was not
in the input.
"""
from __future__ import annotations

import numpy as np

from instseg_ros.core import reference_slic
from instseg_ros.core.config import RefinementConfig
from instseg_ros.core.types import check_array


def refine(image: np.ndarray, semantic_ids: np.ndarray, instance_ids: np.ndarray,
           scale: tuple[float, float],
           config: RefinementConfig = RefinementConfig()) -> tuple[np.ndarray, np.ndarray]:
    """Return the label maps at the resolution of the image.

    Parameters
    ----------
    image : (H0, W0, 3) uint8, RGB
    semantic_ids : (H, W) uint8
    instance_ids : (H, W) uint16
    scale : (float, float)
        Output pixels per image pixel in y and x: image pixel Y lies at output coordinate
        (Y + .5) * scale_y - .5. Image pixels beyond the output grid take its last row or column.
    config : RefinementConfig

    Returns
    -------
    semantic_ids : (H0, W0) uint8
    instance_ids : (H0, W0) uint16

    Raises
    ------
    TypeError, ValueError
        An array has another dtype or shape, is empty, or a scale is not positive.
    """
    check_array('image', image, ('H0', 'W0', 3), np.uint8)
    check_array('semantic_ids', semantic_ids, ('H', 'W'), np.uint8)
    check_array('instance_ids', instance_ids, semantic_ids.shape, np.uint16)
    for name, array in (('image', image), ('semantic_ids', semantic_ids)):
        if array.size == 0:
            raise ValueError(f'{name}: expected at least one pixel, got shape {array.shape}')
    if not all(np.isfinite(value) and value > 0 for value in scale):
        raise ValueError(f'scale: expected two positive numbers, got {scale}')
    rows = nearest_index(image.shape[0], semantic_ids.shape[0], scale[0])
    columns = nearest_index(image.shape[1], semantic_ids.shape[1], scale[1])
    codes = (semantic_ids.astype(np.uint32) << 16 | instance_ids)[rows[:, None], columns]
    if config.method == 'slic':
        size = max(2.0, config.superpixel_size / max(scale))
        ids = reference_slic.superpixels(image, size, config.compactness, config.iterations)
        codes = reference_slic.vote(codes, ids, config.purity)
    return (codes >> 16).astype(np.uint8), (codes & 0xffff).astype(np.uint16)


def nearest_index(length: int, output_length: int, scale: float) -> np.ndarray:
    """Return the nearest output row (or column) of every image row (or column).

    Returns
    -------
    (length,) int64
    """
    index = np.floor((np.arange(length) + 0.5) * scale).astype(np.int64)
    return np.minimum(index, output_length - 1)
