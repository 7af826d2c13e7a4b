"""Superpixels near label boundaries, and their vote on labels, as compiled kernels.

SLIC: R. Achanta et al., "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods",
PAMI 2012: k-means over colour and position that compares a pixel only with the superpixels of its
own and the 8 adjacent cells of a regular grid. The differences, for speed:

- Only cells near a boundary of the label map are active: elsewhere all votes agree.
- Superpixels are fitted to 4x4 samples per cell, whatever the cell's size, which also vote. A
  sample is a mean of pixels; at the border of the image, its last pixels are repeated. Only the
  last step, from superpixels to pixels, works at full resolution.
- Colour is luma and chroma, linear in RGB and scaled to about the range of Lab.

Implementation: the active cells are numbered, and everything is stored by cell number, the 16
samples of a cell side by side, so that the inner loops run over 16 contiguous values.
`neighbors[n, k]` is the cell at (k // 3 - 1, k % 3 - 1) from cell n; inactive cells have the
number `count`, whose superpixel is too far away for any pixel and whose sums stay 0. Superpixel n
started in cell n; the superpixel of a sample is stored as k, relative to the sample's cell.
Positions are measured in cells from the corner of the sample's or the superpixel's own cell.
"""
from __future__ import annotations

import numpy as np

from instseg_ros.core.compiled import compiled
from instseg_ros.core.parallel import run_parallel
from instseg_ros.core.refinement.cells import active_cells
from instseg_ros.core.refinement.pixels import color_matrix

SIDE = 4  # samples along one side of a cell
SAMPLES = SIDE * SIDE
SUPPORT = 3
"""A pixel takes a label only if this many of the 3x3 output pixels around it have it. (Ours.)"""

_FAR = np.float32(1e6)


def cell_side(superpixel_size: float, scale: tuple[float, float]) -> int:
    """Return the side of a cell in image pixels, at least one pixel per sample."""
    return max(SIDE, round(superpixel_size / max(scale)))


def vote_in_superpixels(image, codes, rows, columns, side, compactness, iterations, purity,
                        threads, semantic_ids, instance_ids) -> None:
    """Overwrite the nearest labels of an image by those of a vote in superpixels.

    Parameters
    ----------
    image : (H0, W0, 3) uint8, RGB
    codes : (H, W) uint32
        Semantic id << 16 | instance id.
    rows, columns : (H0,), (W0,) int32
        Nearest output row and column of the image's rows and columns.
    side : int
        Side of a cell in pixels, at least SIDE.
    compactness, iterations, purity
        As in `RefinementConfig`.
    threads : int
    semantic_ids : (H0, W0) uint8
    instance_ids : (H0, W0) uint16
        Hold the nearest labels; changed in place.
    """
    numbers, cells = active_cells(codes, rows, columns, side)
    count = len(cells)
    if count == 0:
        return
    neighbors = np.empty((count, 9), np.int32)
    samples = np.empty((count, 3, SAMPLES), np.float32)
    labels = np.empty((count + 1, SAMPLES), np.uint32)
    centers = np.empty((count + 1, 5), np.float32)
    centers[count] = _FAR
    sums = np.zeros((count + 1, 9, 6), np.float32)
    chosen = np.empty((count + 1, SAMPLES), np.uint8)
    chosen[count] = 255
    winners = np.empty(count + 1, np.int64)
    winners[count] = -1
    colors = color_matrix(compactness)
    edges = np.arange(SIDE + 1) * side // SIDE  # of the pixels that make up a sample
    middle = ((edges[1:] + edges[:-1]) / (2 * side)).astype(np.float32)
    position = np.stack([np.repeat(middle, SIDE), np.tile(middle, SIDE)])

    run_parallel(_sample, count, threads, image, codes, rows, columns, side, edges, colors,
                 numbers, cells, neighbors, samples, labels, centers)
    for _ in range(iterations):
        run_parallel(_assign, count, threads, neighbors, samples, position, centers, chosen, sums)
        run_parallel(_update, count, threads, neighbors, sums, centers)
    run_parallel(_assign, count, threads, neighbors, samples, position, centers, chosen, sums)
    run_parallel(_vote, count, threads, neighbors, labels, chosen, purity, winners)
    run_parallel(_label_pixels, count, threads, image, codes, rows, columns, side, colors, cells,
                 neighbors, centers, winners, semantic_ids, instance_ids)


@compiled
def _sample(start, stop, image, codes, rows, columns, side, edges, colors, numbers, cells,
            neighbors, samples, labels, centers):
    """Fill neighbors, samples, labels and initial centers; border pixels are repeated."""
    bottom, right = image.shape[0] - 1, image.shape[1] - 1
    for n in range(start, stop):
        for k in range(9):
            neighbors[n, k] = numbers[cells[n, 0] + k // 3, cells[n, 1] + k % 3]
        for p in range(SAMPLES):
            first_y, first_x = cells[n, 0] * side, cells[n, 1] * side
            top, end = first_y + edges[p // SIDE], first_y + edges[p // SIDE + 1]
            left, last = first_x + edges[p % SIDE], first_x + edges[p % SIDE + 1]
            red = green = blue = np.int32(0)
            for y in range(top, end):
                row = image[min(y, bottom)]
                for x in range(left, last):
                    pixel = row[min(x, right)]
                    red += pixel[0]
                    green += pixel[1]
                    blue += pixel[2]
            share = np.float32(1 / ((end - top) * (last - left)))
            color = _color(colors, red, green, blue)
            for c in range(3):
                samples[n, c, p] = share * color[c]
            labels[n, p] = codes[rows[min((top + end) // 2, bottom)],
                                 columns[min((left + last) // 2, right)]]
        for c in range(3):
            total = np.float32(0)
            for p in range(SAMPLES):
                total += samples[n, c, p]
            centers[n, c] = total / np.float32(SAMPLES)
        centers[n, 3] = centers[n, 4] = np.float32(0.5)


@compiled
def _assign(start, stop, neighbors, samples, position, centers, chosen, sums):
    """Assign samples to superpixels; add up each cell's samples by their superpixel."""
    nearest = np.empty(SAMPLES, np.float32)
    for n in range(start, stop):
        nearest[:] = np.float32(np.inf)
        for k in range(9):
            center = centers[neighbors[n, k]]
            y, x = center[3] + np.float32(k // 3 - 1), center[4] + np.float32(k % 3 - 1)
            for p in range(SAMPLES):
                distance = ((samples[n, 0, p] - center[0])**2 + (samples[n, 1, p] - center[1])**2
                            + (samples[n, 2, p] - center[2])**2
                            + (position[0, p] - y)**2 + (position[1, p] - x)**2)
                closer = distance < nearest[p]
                nearest[p] = distance if closer else nearest[p]
                chosen[n, p] = k if closer else chosen[n, p]
        sums[n] = np.float32(0)
        for p in range(SAMPLES):
            total = sums[n, chosen[n, p]]
            total[0] += samples[n, 0, p]
            total[1] += samples[n, 1, p]
            total[2] += samples[n, 2, p]
            total[3] += position[0, p]
            total[4] += position[1, p]
            total[5] += np.float32(1)


@compiled
def _update(start, stop, neighbors, sums, centers):
    """Move each superpixel to the mean of its samples."""
    total = np.empty(6, np.float32)
    for n in range(start, stop):
        total[:] = np.float32(0)
        for k in range(9):
            part = sums[neighbors[n, k], 8 - k]
            for c in range(6):
                total[c] += part[c]
            total[3] += part[5] * np.float32(k // 3 - 1)
            total[4] += part[5] * np.float32(k % 3 - 1)
        if total[5] > 0:
            for c in range(5):
                centers[n, c] = total[c] / total[5]


@compiled
def _vote(start, stop, neighbors, labels, chosen, purity, winners):
    """Find each superpixel's majority label (Boyer and Moore); -1 if its share is too small."""
    for n in range(start, stop):
        members = surplus = votes = 0
        winner = np.uint32(0)
        for k in range(9):
            m = neighbors[n, k]
            for p in range(SAMPLES):
                if chosen[m, p] == 8 - k:
                    members += 1
                    if surplus == 0:
                        winner = labels[m, p]
                    surplus += 1 if labels[m, p] == winner else -1
        for k in range(9):
            m = neighbors[n, k]
            for p in range(SAMPLES):
                votes += chosen[m, p] == 8 - k and labels[m, p] == winner
        winners[n] = winner if votes > purity * members else -1


@compiled
def _label_pixels(start, stop, image, codes, rows, columns, side, colors, cells, neighbors,
                  centers, winners, semantic_ids, instance_ids):
    """Assign pixels to superpixels, and give them the superpixels' labels."""
    pixels = side * side
    color = np.empty((3, pixels), np.float32)
    position = np.empty((2, pixels), np.float32)
    for p in range(pixels):
        position[0, p] = (p // side + 0.5) / side
        position[1, p] = (p % side + 0.5) / side
    nearest = np.empty(pixels, np.float32)
    choice = np.empty(pixels, np.uint8)
    labels = np.empty(9, np.int64)
    for n in range(start, stop):
        top, left = cells[n, 0] * side, cells[n, 1] * side
        bottom, right = min(top + side, image.shape[0]), min(left + side, image.shape[1])
        if not _may_change(codes, rows[top], rows[bottom - 1], columns[left], columns[right - 1],
                           neighbors[n], winners):
            continue
        for y in range(top, bottom):
            for x in range(left, right):
                p = (y - top) * side + x - left
                color[0, p], color[1, p], color[2, p] = _color(
                    colors, image[y, x, 0], image[y, x, 1], image[y, x, 2])
        nearest[:] = np.float32(np.inf)
        for k in range(9):
            center = centers[neighbors[n, k]]
            center_y = center[3] + np.float32(k // 3 - 1)
            center_x = center[4] + np.float32(k % 3 - 1)
            for p in range(pixels):
                distance = ((color[0, p] - center[0])**2 + (color[1, p] - center[1])**2
                            + (color[2, p] - center[2])**2
                            + (position[0, p] - center_y)**2 + (position[1, p] - center_x)**2)
                closer = distance < nearest[p]
                nearest[p] = distance if closer else nearest[p]
                choice[p] = k if closer else choice[p]
        for k in range(9):
            labels[k] = winners[neighbors[n, k]]
        for y in range(top, bottom):
            for x in range(left, right):
                winner = labels[choice[(y - top) * side + x - left]]
                if (winner >= 0 and codes[rows[y], columns[x]] != winner
                        and _has_support(codes, rows[y], columns[x], winner)):
                    semantic_ids[y, x] = winner >> 16
                    instance_ids[y, x] = winner & 0xffff


@compiled
def _may_change(codes, top, bottom, left, right, neighbors, winners):
    """Tell whether some pixel of a cell may take another label.

    Only labels of output pixels in and around the cell have support there.
    """
    won = False
    for k in range(9):
        won |= winners[neighbors[k]] >= 0
    uniform = True
    for i in range(max(top - 1, 0), min(bottom + 2, codes.shape[0])):
        for j in range(max(left - 1, 0), min(right + 2, codes.shape[1])):
            uniform &= codes[i, j] == codes[top, left]
    return won and not uniform


@compiled
def _has_support(codes, i, j, code):
    count = 0
    for a in range(max(i - 1, 0), min(i + 2, codes.shape[0])):
        for b in range(max(j - 1, 0), min(j + 2, codes.shape[1])):
            count += codes[a, b] == code
    return count >= SUPPORT


@compiled
def _color(colors, red, green, blue):
    """Return luma and chroma; without loops over the matrix, twice as fast."""
    luma, first, second = colors
    red, green, blue = np.float32(red), np.float32(green), np.float32(blue)
    return (luma[0] * red + luma[1] * green + luma[2] * blue,
            first[0] * red + first[1] * green + first[2] * blue,
            second[0] * red + second[1] * green + second[2] * blue)
