"""From label maps on the network's output grid to label maps of the camera image.

Semantic and instance id of a pixel form one label, and votes are for such labels: no pixel gets
the class of one object and the id of another, and every pair of ids in the result was in the
input.
"""
from __future__ import annotations

import numpy as np

from instseg_ros.core.compiled import compiled
from instseg_ros.core.config import RefinementConfig
from instseg_ros.core.parallel import run_parallel
from instseg_ros.core.refinement.bilateral import vote_among_neighbors
from instseg_ros.core.refinement.pixels import nearest_index
from instseg_ros.core.refinement.slic import cell_side, vote_in_superpixels
from instseg_ros.core.types import check_array


def refine(image: np.ndarray, semantic_ids: np.ndarray, instance_ids: np.ndarray,
           scale: tuple[float, float],
           config: RefinementConfig = RefinementConfig(),
           threads: int = 0) -> tuple[np.ndarray, np.ndarray]:
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
    threads : int
        At most so many share the work; 0 takes one for each core. The result doesn't depend on it.

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
    scale = float(scale[0]), float(scale[1])
    # One layout: for any other one the kernels would be compiled again, in the middle of a video.
    image, semantic_ids, instance_ids = (
        np.require(array, None, ('C', 'W')) for array in (image, semantic_ids, instance_ids))
    rows = nearest_index(image.shape[0], semantic_ids.shape[0], scale[0])
    columns = nearest_index(image.shape[1], semantic_ids.shape[1], scale[1])
    codes = semantic_ids.astype(np.uint32) << 16 | instance_ids
    result = (np.empty(image.shape[:2], np.uint8), np.empty(image.shape[:2], np.uint16))
    run_parallel(_nearest, len(rows), threads, semantic_ids, instance_ids, rows, columns, *result)
    if config.method == 'nearest' or min(scale) >= 1:
        return result
    nearest = codes, rows, columns
    if config.method == 'bilateral':
        vote_among_neighbors(image, *nearest, scale, config.color_sigma, threads, *result)
    else:
        vote_in_superpixels(image, *nearest, cell_side(config.superpixel_size, scale),
                            config.compactness, config.iterations, float(config.purity), threads,
                            *result)
    return result


@compiled
def _nearest(start, stop, semantic_ids, instance_ids, rows, columns, semantic_out, instance_out):
    for y in range(start, stop):
        if y > start and rows[y] == rows[y - 1]:
            semantic_out[y] = semantic_out[y - 1]
            instance_out[y] = instance_out[y - 1]
            continue
        # One row of one map at a time: twice as fast as both maps pixel by pixel.
        semantic_row, labels = semantic_out[y], semantic_ids[rows[y]]
        for x in range(len(columns)):
            semantic_row[x] = labels[columns[x]]
        instance_row, numbers = instance_out[y], instance_ids[rows[y]]
        for x in range(len(columns)):
            instance_row[x] = numbers[columns[x]]
