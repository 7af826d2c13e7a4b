"""Shared by the refinement methods: positions of image pixels on the output grid, and colours."""
from __future__ import annotations

import numpy as np


def nearest_index(length: int, output_length: int, scale: float) -> np.ndarray:
    """Return the nearest output row (or column) of every image row (or column).

    Image pixel Y lies at output coordinate (Y + .5) * scale - .5; beyond the output grid, its last
    row is the nearest.

    Returns
    -------
    (length,) int32
    """
    index = np.floor((np.arange(length) + 0.5) * scale)
    return np.minimum(index, output_length - 1).astype(np.int32)


def first_index(nearest: np.ndarray, output_length: int) -> np.ndarray:
    """Return the first image row of every output row, and the end of the last.

    Image rows `first[i]` to `first[i + 1] - 1` are those whose nearest output row is i.

    Returns
    -------
    (output_length + 1,) int32
    """
    return np.searchsorted(nearest, np.arange(output_length + 1)).astype(np.int32)


def color_matrix(unit: float) -> tuple[tuple[np.float32, ...], ...]:
    """Return the matrix from RGB, 0 to 255, to the luma and chroma in which colours are compared.

    Luma and the differences of red and blue from it (ITU-R BT.601), scaled to about the range of
    CIE Lab and divided by `unit`. It is linear, so much faster than Lab, and the refined maps are
    as good (docs/measurements/refinement.md).

    Returns
    -------
    tuple of 3 tuples of 3 float32
        The rows of the matrix.
    """
    luma = np.array([0.299, 0.587, 0.114])
    red, blue = np.array([1, 0, 0]) - luma, np.array([0, 0, 1]) - luma
    rows = np.stack([100 / 255 * luma, 0.57 * red, 0.45 * blue]) / unit
    return tuple(tuple(np.float32(value) for value in row) for row in rows)
