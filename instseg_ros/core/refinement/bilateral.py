"""Joint bilateral vote on labels near their boundaries, as compiled kernels.

After J. Kopf et al., "Joint Bilateral Upsampling", SIGGRAPH 2007, with a vote in place of their
mean: an image pixel takes the label with the largest total weight among the output pixels around
it. The weight of an output pixel falls with its distance, and with the difference between the
image pixel's colour and the mean colour of the image pixels nearest to the output pixel.

Implementation: the image pixels nearest to one output pixel have the same neighbours and labels,
so this block is the unit of work; where all neighbours agree, it is skipped.
"""
from __future__ import annotations

import numpy as np

from instseg_ros.core.compiled import compiled
from instseg_ros.core.parallel import run_parallel
from instseg_ros.core.refinement.pixels import color_matrix, first_index

RADIUS = 1
"""Output pixels up to this distance in each direction vote."""

SPATIAL_SIGMA = 1.0
"""Standard deviation of the weight over distance, in output pixels."""

_WINDOW = (2 * RADIUS + 1)**2


def vote_among_neighbors(image, codes, rows, columns, scale, color_sigma, threads, semantic_ids,
                         instance_ids) -> None:
    """Overwrite the nearest labels of an image by those of a joint bilateral vote.

    Parameters
    ----------
    image : (H0, W0, 3) uint8, RGB
    codes : (H, W) uint32
        Semantic id << 16 | instance id.
    rows, columns : (H0,), (W0,) int32
        Nearest output row and column of the image's rows and columns.
    scale : (float, float)
        Output pixels per image pixel.
    color_sigma : float
        Standard deviation of the weight over colour, about in units of Lab.
    threads : int
    semantic_ids : (H0, W0) uint8
    instance_ids : (H0, W0) uint16
        Hold the nearest labels; changed in place.
    """
    first_row = first_index(rows, codes.shape[0])
    first_column = first_index(columns, codes.shape[1])
    colors = color_matrix(np.sqrt(2) * color_sigma)
    voting, wanted = (np.zeros(codes.shape, np.bool_) for _ in range(2))
    _mark_boundaries(codes, voting, wanted)
    means = np.empty((*codes.shape, 3), np.float32)
    run_parallel(_mean_colors, codes.shape[0], threads, image, wanted, first_row, first_column,
                 colors, means, min_chunk=8)
    run_parallel(_vote, codes.shape[0], threads, image, codes, voting, first_row, first_column,
                 scale, colors, means, semantic_ids, instance_ids, min_chunk=8)


@compiled
def _mark_boundaries(codes, voting, wanted):
    """Mark output pixels whose window has two labels, and all pixels in such windows."""
    height, width = codes.shape
    for i in range(height - 1 if height > 1 else 1):
        below = min(i + 1, height - 1)
        for j in range(width - 1 if width > 1 else 1):
            right = min(j + 1, width - 1)
            code = codes[i, j]
            if codes[i, right] == code and codes[below, j] == code and codes[below, right] == code:
                continue
            _mark(voting, i, j, RADIUS)
            _mark(wanted, i, j, 2 * RADIUS)


@compiled
def _mark(marks, i, j, reach):
    marks[max(i + 1 - reach, 0):i + 1 + reach, max(j + 1 - reach, 0):j + 1 + reach] = True


@compiled
def _mean_colors(start, stop, image, wanted, first_row, first_column, colors, means):
    """Average the image pixels that are nearest to each wanted output pixel."""
    for i in range(start, stop):
        for j in range(wanted.shape[1]):
            if not wanted[i, j]:
                continue
            red = green = blue = np.int64(0)
            for y in range(first_row[i], first_row[i + 1]):
                for x in range(first_column[j], first_column[j + 1]):
                    pixel = image[y, x]
                    red += pixel[0]
                    green += pixel[1]
                    blue += pixel[2]
            area = max((first_row[i + 1] - first_row[i])
                       * (first_column[j + 1] - first_column[j]), 1)
            for c in range(3):
                means[i, j, c] = (colors[c][0] * red + colors[c][1] * green
                                  + colors[c][2] * blue) / area


@compiled
def _vote(start, stop, image, codes, voting, first_row, first_column, scale, colors, means,
          semantic_ids, instance_ids):
    height, width = codes.shape
    pixels = np.max(np.diff(first_row)) * np.max(np.diff(first_column))
    color = np.empty((3, pixels), np.float32)
    position = np.empty((2, pixels), np.float32)
    labels = np.empty(_WINDOW, np.uint32)
    weights = np.empty((_WINDOW, pixels), np.float32)
    near = np.float32(0.5 / SPATIAL_SIGMA**2)
    for i in range(start, stop):
        top, bottom = first_row[i], first_row[i + 1]
        for j in range(width):
            if not voting[i, j]:
                continue
            left, right = first_column[j], first_column[j + 1]
            count = 0
            for y in range(top, bottom):
                for x in range(left, right):
                    color[0, count], color[1, count], color[2, count] = _color(
                        colors, image[y, x, 0], image[y, x, 1], image[y, x, 2])
                    position[0, count] = (y + 0.5) * scale[0] - 0.5
                    position[1, count] = (x + 0.5) * scale[1] - 0.5
                    count += 1
            labels[0] = codes[i, j]  # the nearest label comes first, and so wins a tie
            weights[0, :count] = np.float32(0)
            label_count = 1
            for a in range(max(i - RADIUS, 0), min(i + RADIUS + 1, height)):
                for b in range(max(j - RADIUS, 0), min(j + RADIUS + 1, width)):
                    label = 0
                    while label < label_count and labels[label] != codes[a, b]:
                        label += 1
                    if label == label_count:
                        labels[label_count] = codes[a, b]
                        weights[label_count, :count] = np.float32(0)
                        label_count += 1
                    _add_weights(color, position, means[a, b], np.float32(a), np.float32(b), near,
                                 count, weights[label])
            _write_winners(labels, weights, label_count, top, bottom, left, right, semantic_ids,
                           instance_ids)


@compiled
def _add_weights(color, position, mean, a, b, near, count, weights):
    """Add the weight of the neighbour at (a, b): exp(-t), as (1 - t / 8)^8 and 0 from t = 8."""
    for p in range(count):
        distance = ((color[0, p] - mean[0])**2 + (color[1, p] - mean[1])**2
                    + (color[2, p] - mean[2])**2
                    + near * ((position[0, p] - a)**2 + (position[1, p] - b)**2))
        weight = max(np.float32(1) - np.float32(0.125) * distance, np.float32(0))
        weight *= weight
        weight *= weight
        weights[p] += weight * weight


@compiled
def _write_winners(labels, weights, label_count, top, bottom, left, right, semantic_ids,
                   instance_ids):
    for y in range(top, bottom):
        for x in range(left, right):
            p = (y - top) * (right - left) + x - left
            winner = 0
            for label in range(1, label_count):
                if weights[label, p] > weights[winner, p]:
                    winner = label
            if winner:
                semantic_ids[y, x] = labels[winner] >> 16
                instance_ids[y, x] = labels[winner] & 0xffff


@compiled
def _color(colors, red, green, blue):
    """Return luma and chroma; without loops over the matrix, twice as fast."""
    luma, first, second = colors
    red, green, blue = np.float32(red), np.float32(green), np.float32(blue)
    return (luma[0] * red + luma[1] * green + luma[2] * blue,
            first[0] * red + first[1] * green + first[2] * blue,
            second[0] * red + second[1] * green + second[2] * blue)
