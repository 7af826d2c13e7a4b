"""What the compiled refinement computes, one pixel at a time.

Every number is rounded where the kernels round it, so the results must be equal, not just close.
"""
from collections import Counter

import numpy as np

from instseg_ros.core.refinement import bilateral, slic
from instseg_ros.core.refinement.pixels import color_matrix, nearest_index

F = np.float32


def slow_slic(image, codes, scale, config):
    """Return the codes (H0, W0) after a vote in superpixels."""
    scene = _Grid(image, codes, scale)
    side = slic.cell_side(config.superpixel_size, scale)
    colors = color_matrix(config.compactness)
    edges = [p * side // slic.SIDE for p in range(slic.SIDE + 1)]
    parts = [(range(edges[a], edges[a + 1]), range(edges[b], edges[b + 1]))
             for a in range(slic.SIDE) for b in range(slic.SIDE)]
    middles = [tuple(F((part[0] + part[-1] + 1) / (2 * side)) for part in pair) for pair in parts]
    cells = _cells_near_boundaries(scene, side)
    samples = {cell: [_sample(scene, cell, side, pair, colors) for pair in parts]
               for cell in cells}
    centers = {cell: (*(_mean([color[c] for color, _ in samples[cell]]) for c in range(3)),
                      F(0.5), F(0.5)) for cell in cells}

    def choose(cell, color, place):
        best = None
        for k in range(9):
            other = cell[0] + k // 3 - 1, cell[1] + k % 3 - 1
            if other in centers:
                distance = _distance(centers[other], color, place, k)
                if best is None or distance < best[0]:
                    best = distance, k, other
        return best[1:]

    for iteration in range(config.iterations + 1):
        members = {cell: [] for cell in cells}
        sums = {}
        for cell in cells:
            for place, (color, label) in zip(middles, samples[cell]):
                k, other = choose(cell, color, place)
                members[other].append(label)
                total = sums.setdefault((other, 8 - k), np.zeros(6, F))
                total += np.array([*color, *place, 1], F)
        if iteration == config.iterations:
            break
        for cell in cells:
            total = np.zeros(6, F)
            for k in range(9):
                part = sums.get((cell, k), np.zeros(6, F))
                total += part
                total[3] += part[5] * F(k // 3 - 1)
                total[4] += part[5] * F(k % 3 - 1)
            if total[5]:
                centers[cell] = tuple(total[:5] / total[5])
    winners = {}
    for cell in cells:
        if members[cell]:
            label, votes = Counter(members[cell]).most_common(1)[0]
            if votes > config.purity * len(members[cell]):
                winners[cell] = label
    result = scene.nearest.copy()
    for y, x in np.ndindex(*result.shape):
        cell = y // side, x // side
        if cell in centers:
            color = _color(colors, *image[y, x].tolist())
            place = F((y % side + 0.5) / side), F((x % side + 0.5) / side)
            winner = winners.get(choose(cell, color, place)[1])
            window = scene.window(scene.rows[y], scene.columns[x], 1)
            if winner is not None and np.count_nonzero(window == winner) >= slic.SUPPORT:
                result[y, x] = winner
    return result


def slow_bilateral(image, codes, scale, config):
    """Return the codes (H0, W0) after a joint bilateral vote."""
    scene = _Grid(image, codes, scale)
    colors = color_matrix(np.sqrt(2) * config.color_sigma)
    near = F(0.5 / bilateral.SPATIAL_SIGMA**2)
    reach = bilateral.RADIUS
    result = scene.nearest.copy()
    for y, x in np.ndindex(*result.shape):
        i, j = scene.rows[y], scene.columns[x]
        if len(np.unique(scene.window(i, j, reach))) == 1:
            continue
        color = _color(colors, *image[y, x].tolist())
        place = F((y + 0.5) * scale[0] - 0.5), F((x + 0.5) * scale[1] - 0.5)
        weights = {codes[i, j]: F(0)}
        for a in range(max(i - reach, 0), min(i + reach + 1, codes.shape[0])):
            for b in range(max(j - reach, 0), min(j + reach + 1, codes.shape[1])):
                mean = scene.mean_color(a, b, colors)
                distance = ((color[0] - mean[0])**2 + (color[1] - mean[1])**2
                            + (color[2] - mean[2])**2
                            + near * ((place[0] - F(a))**2 + (place[1] - F(b))**2))
                weight = max(F(1) - F(0.125) * distance, F(0))
                for _ in range(3):
                    weight = weight * weight
                weights[codes[a, b]] = weights.get(codes[a, b], F(0)) + weight
        result[y, x] = max(weights, key=weights.get)
    return result


class _Grid:

    def __init__(self, image, codes, scale):
        self.image, self.codes = image, codes
        self.rows = nearest_index(image.shape[0], codes.shape[0], scale[0])
        self.columns = nearest_index(image.shape[1], codes.shape[1], scale[1])
        self.nearest = codes[self.rows[:, None], self.columns]
        self._means = {}

    def window(self, i, j, reach):
        return self.codes[max(i - reach, 0):i + reach + 1, max(j - reach, 0):j + reach + 1]

    def mean_color(self, a, b, colors):
        if (a, b) not in self._means:
            self._means[a, b] = self._mean_color(a, b, colors)
        return self._means[a, b]

    def _mean_color(self, a, b, colors):
        pixels = self.image[self.rows == a][:, self.columns == b].reshape(-1, 3)
        red, green, blue = (float(value) for value in pixels.sum(axis=0, dtype=int))
        return [F((float(m[0]) * red + float(m[1]) * green + float(m[2]) * blue)
                  / max(len(pixels), 1)) for m in colors]


def _cells_near_boundaries(scene, side):
    """Return the cells within one cell of the pixels of 2x2 output pixels that differ."""
    cells = set()
    height, width = scene.codes.shape
    last = (scene.image.shape[0] - 1) // side, (scene.image.shape[1] - 1) // side
    for i, j in np.ndindex(height, width):
        square = scene.codes[i:i + 2, j:j + 2]
        if len(np.unique(square)) > 1:
            y = np.flatnonzero((scene.rows == i) | (scene.rows == i + 1)) // side
            x = np.flatnonzero((scene.columns == j) | (scene.columns == j + 1)) // side
            cells.update((a, b) for a in range(max(y[0] - 1, 0), min(y[-1] + 1, last[0]) + 1)
                         for b in range(max(x[0] - 1, 0), min(x[-1] + 1, last[1]) + 1))
    return sorted(cells)


def _sample(scene, cell, side, pair, colors):
    bottom, right = scene.image.shape[0] - 1, scene.image.shape[1] - 1
    y, x = (np.array(part) + index * side for part, index in zip(pair, cell))
    pixels = scene.image[np.minimum(y, bottom)[:, None], np.minimum(x, right)]
    total = pixels.reshape(-1, 3).sum(axis=0, dtype=int).tolist()
    share = F(1 / (len(y) * len(x)))
    place = min((y[0] + y[-1] + 1) // 2, bottom), min((x[0] + x[-1] + 1) // 2, right)
    return [share * value for value in _color(colors, *total)], scene.nearest[place]


def _color(colors, red, green, blue):
    return [row[0] * F(red) + row[1] * F(green) + row[2] * F(blue) for row in colors]


def _mean(values):
    total = F(0)
    for value in values:
        total = total + value
    return total / F(len(values))


def _distance(center, color, place, k):
    y, x = center[3] + F(k // 3 - 1), center[4] + F(k % 3 - 1)
    return ((color[0] - center[0])**2 + (color[1] - center[1])**2 + (color[2] - center[2])**2
            + (place[0] - y)**2 + (place[1] - x)**2)
