"""Where image pixels lie on the output grid, and their colour: what the refinements share."""
from __future__ import annotations

import numpy as np
from numba import njit

compiled = njit(cache=True, nogil=True, error_model='numpy')


def nearest_index(length: int, output_length: int, scale: float) -> np.ndarray:
    """Return the nearest output row (or column) of every image row (or column).

    Image pixel Y lies at output coordinate (Y + .5) * scale - .5; what lies beyond the output
    grid takes its last row.

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


@compiled
def luma_chroma(red, green, blue, gain):
    """Return luma, red and blue difference (ITU-R BT.601), scaled to about the range of Lab.

    Being linear in RGB it is much faster than Lab, and it segments as well (docs/refinement.md).
    """
    luma = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    return (np.float32(100 / 255) * gain * luma,
            np.float32(0.57) * gain * (red - luma),
            np.float32(0.45) * gain * (blue - luma))
