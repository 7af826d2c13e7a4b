"""The cells of the superpixel grid that are near a label boundary."""
from __future__ import annotations

import numpy as np

from instseg_ros.core.compiled import compiled
from instseg_ros.core.refinement.pixels import first_index


def active_cells(codes, rows, columns, side):
    """Return the cells within one cell of a label boundary.

    Parameters
    ----------
    codes : (H, W) uint32
        One number for each label.
    rows, columns : (H0,), (W0,) int32
        Nearest output row and column of the image's rows and columns.
    side : int
        Side of a cell in image pixels.

    Returns
    -------
    numbers : (GH + 2, GW + 2) int32
        Number of each cell of the grid, with a margin of one; the count of active cells where a
        cell is not active.
    cells : (count, 2) int32
        (y, x) of the active cells in the grid.
    """
    first_row = first_index(rows, codes.shape[0])
    first_column = first_index(columns, codes.shape[1])
    active = np.zeros((-(-len(rows) // side) + 2, -(-len(columns) // side) + 2), np.bool_)
    _mark_boundaries(codes, first_row, first_column, side, active)
    cells = np.argwhere(active[1:-1, 1:-1]).astype(np.int32, order='C')
    numbers = np.full(active.shape, len(cells), np.int32)
    numbers[cells[:, 0] + 1, cells[:, 1] + 1] = np.arange(len(cells), dtype=np.int32)
    return numbers, cells


@compiled
def _mark_boundaries(codes, first_row, first_column, side, active):
    height, width = codes.shape
    last_y, last_x = active.shape[0] - 2, active.shape[1] - 2
    for i in range(height):
        below = min(i + 1, height - 1)
        for j in range(width):
            right = min(j + 1, width - 1)
            code = codes[i, j]
            if codes[i, right] == code and codes[below, j] == code and codes[below, right] == code:
                continue
            # + 1 for the margin of `active`, - 1 and + 1 for the cells around
            top = max(1, first_row[i] // side)
            bottom = min(last_y, (first_row[below + 1] - 1) // side + 2)
            left = max(1, first_column[j] // side)
            end = min(last_x, (first_column[right + 1] - 1) // side + 2)
            for y in range(top, bottom + 1):
                for x in range(left, end + 1):
                    active[y, x] = True
