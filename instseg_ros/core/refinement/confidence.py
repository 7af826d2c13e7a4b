"""The confidence of refined classes."""
from __future__ import annotations

import numpy as np

from instseg_ros.core.compiled import compiled
from instseg_ros.core.parallel import run_parallel
from instseg_ros.core.refinement.pixels import nearest_index
from instseg_ros.core.types import check_array


def confidence_of_classes(refined_ids: np.ndarray, semantic_ids: np.ndarray,
                          confidence: np.ndarray, scale: tuple[float, float],
                          threads: int = 0) -> np.ndarray:
    """Return the confidence of the class of each image pixel.

    A pixel takes the confidence of the nearest output pixel that has the pixel's class, so that a
    pixel whose class the refinement has changed does not get the confidence of another class.

    Parameters
    ----------
    refined_ids : (H0, W0) uint8
        Classes of the image's pixels, as `refine` returns them.
    semantic_ids : (H, W) uint8
        Classes on the output grid.
    confidence : (H, W) uint8
        Of those.
    scale : (float, float)
        Output pixels per image pixel in y and x, see `refine`.
    threads : int
        At most so many share the work; 0 takes one for each core.

    Returns
    -------
    (H0, W0) uint8
        0 where none of the 3x3 output pixels around the nearest one has its class; `refine`
        returns no such class.
    """
    check_array('refined_ids', refined_ids, ('H0', 'W0'), np.uint8)
    check_array('semantic_ids', semantic_ids, ('H', 'W'), np.uint8)
    check_array('confidence', confidence, semantic_ids.shape, np.uint8)
    rows = nearest_index(refined_ids.shape[0], semantic_ids.shape[0], scale[0])
    columns = nearest_index(refined_ids.shape[1], semantic_ids.shape[1], scale[1])
    result = np.empty(refined_ids.shape, np.uint8)
    refined_ids, semantic_ids, confidence = (
        np.require(array, None, ('C', 'W')) for array in (refined_ids, semantic_ids, confidence))
    run_parallel(_confidence, len(rows), threads, refined_ids, semantic_ids, confidence, rows,
                 columns, float(scale[0]), float(scale[1]), result)
    return result


@compiled
def _confidence(start, stop, refined_ids, semantic_ids, confidence, rows, columns, scale_y,
                scale_x, result):
    height, width = semantic_ids.shape
    for y in range(start, stop):
        i = rows[y]
        for x in range(len(columns)):
            j = columns[x]
            class_id = refined_ids[y, x]
            if semantic_ids[i, j] == class_id:
                result[y, x] = confidence[i, j]
                continue
            at_y, at_x = (y + 0.5) * scale_y - 0.5, (x + 0.5) * scale_x - 0.5
            nearest = np.inf
            result[y, x] = 0
            for a in range(max(i - 1, 0), min(i + 2, height)):
                for b in range(max(j - 1, 0), min(j + 2, width)):
                    distance = (at_y - a)**2 + (at_x - b)**2
                    if semantic_ids[a, b] == class_id and distance < nearest:
                        nearest = distance
                        result[y, x] = confidence[a, b]
