"""From the network's output to instances: which centers there are, and whose each pixel is.

1. Centers are the pixels of a thing class whose calibrated center confidence reaches a threshold.
2. From the strongest to the weakest, a center is dropped as a duplicate if its embedding is near
   to that of a stronger center of its class that was not dropped itself.
3. A pixel belongs to the center of its own class whose embedding is nearest to the pixel's.

Distances are Euclidean, between embeddings. A pixel of a thing class in whose class no center was
found keeps its class and belongs to no instance: the class is known there, the object isn't.

Strategy: only pixels and centers of the same class are compared: pixels of classes with centers
are sorted by class and taken in blocks, whose embeddings are transposed into a small buffer. The
innermost loop runs over the pixels of a block, for some dimensions at once, and so vectorises
without changing the order of any sum: the result is, bit for bit, that of the plain formula in
single precision. Embeddings are lengthened by zeros to a multiple of those dimensions, which adds
exact zeros to sums that are not negative. A center that is too far from all pixels of a block in
the first dimensions already is not looked at any further; where those hold the position, that is
most of them. Duplicates are found in the same way, with the centers that were kept in place of
the pixels.
"""
from __future__ import annotations

import numpy as np

from instseg_ros.core.parallel import run_parallel
from instseg_ros.core.compiled import compiled
from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.types import (
    NO_INSTANCE, Centers, DeviceArray, ModelInfo, NetworkOutput)

CLASSES = 256  # as many as a uint8 tells apart
BLOCK = 64  # pixels; their embeddings fit into the first-level cache
DIMENSIONS = 4  # taken at once
MIN_CHUNK = 4096  # pixels; below that a thread costs more than it brings


def find_centers(output: NetworkOutput, info: ModelInfo,
                 config: GroupingConfig = GroupingConfig()) -> tuple[Centers, int]:
    """Find the centers of the instances.

    Parameters
    ----------
    output : NetworkOutput
    info : ModelInfo
        Has the thing classes and the default of `config.duplicate_distance`.
    config : GroupingConfig

    Returns
    -------
    centers : Centers
        Strongest first; equally strong ones in raster order.
    cut : int
        Number of further centers, no duplicates of those returned, that `config.max_instances`
        left out.
    """
    is_thing = np.zeros(CLASSES, np.bool_)
    is_thing[list(info.thing_ids)] = True
    candidates = _candidates(output.center_heatmap, output.semantic_ids, is_thing,
                             np.float32(config.center_threshold))
    scores = output.center_heatmap.ravel()[candidates]
    order = np.argsort(-scores, kind='stable')
    candidates, scores = candidates[order], scores[order]
    classes = output.semantic_ids.ravel()[candidates]
    embeddings = _embeddings_of(candidates, output.embedding)
    distance = config.duplicate_distance or info.duplicate_distance
    kept, cut = _without_duplicates(classes, embeddings, squared(distance),
                                    int(config.max_instances))
    points = np.stack(np.unravel_index(candidates[kept], output.semantic_ids.shape), axis=1)
    return Centers(points=points.astype(np.float32), scores=scores[kept],
                   class_ids=classes[kept], embeddings=embeddings[kept]), int(cut)


def assign_pixels(output: NetworkOutput, centers: Centers, threads: int = 0) -> np.ndarray:
    """Assign every pixel to the nearest center of its class.

    Parameters
    ----------
    output : NetworkOutput
    centers : Centers
        At most 65535.
    threads : int
        At most so many share the work; 0 takes one for each core. The result doesn't depend on it.

    Returns
    -------
    (H, W) uint16
        Index of the center + 1, or 0 where the pixel's class has no center. Of equally near
        centers the first one, which is the strongest, gets the pixel. (On a GPU, an embedding
        halfway between centers but for rounding may go to any of them.)

    Raises
    ------
    ValueError
        More centers than ids, or embeddings of another length than the output's.
    """
    if len(centers) > np.iinfo(np.uint16).max:
        raise ValueError(f'centers: expected at most {np.iinfo(np.uint16).max}, '
                         f'got {len(centers)}')
    length = output.embedding.shape[2]
    if centers.embeddings.shape[1] != length:
        raise ValueError(f'centers.embeddings: expected shape ({len(centers)}, {length}), '
                         f'got {centers.embeddings.shape}')
    if not isinstance(output.embedding, np.ndarray):
        return output.embedding.assign(output.semantic_ids, centers)
    instance_ids = np.full(output.semantic_ids.shape, NO_INSTANCE, np.uint16)
    by_class = np.argsort(centers.class_ids, kind='stable')
    starts = np.searchsorted(centers.class_ids[by_class], np.arange(CLASSES + 1))
    pixels, firsts = _sort_by_class(output.semantic_ids.ravel(), starts)
    run_parallel(_assign, len(pixels), threads, pixels, firsts,
                 output.embedding.reshape(-1, length), centers.embeddings[by_class], starts,
                 (by_class + 1).astype(np.uint16), instance_ids.reshape(-1),
                 min_chunk=MIN_CHUNK)
    return instance_ids


def _embeddings_of(pixels: np.ndarray, embedding: np.ndarray | DeviceArray) -> np.ndarray:
    """Return the embeddings (K, E) of pixels (K,), flat indices."""
    if isinstance(embedding, np.ndarray):
        return embedding.reshape(-1, embedding.shape[2])[pixels]
    return embedding.take(pixels)


def squared(distance: float) -> np.float32:
    """Return a distance as kernels compare it: squared, in single precision."""
    return np.float32(distance * distance)


@compiled
def _candidates(heatmap, semantic_ids, is_thing, threshold):
    """Return the flat indices of possible centers in raster order."""
    height, width = heatmap.shape
    count = 0
    # Counting first is cheaper than a list: hardly any pixel is a center.
    for y in range(height):
        for x in range(width):
            if heatmap[y, x] >= threshold and heatmap[y, x] > 0:
                count += is_thing[semantic_ids[y, x]]
    found = np.empty(count, np.int64)
    count = 0
    for y in range(height):
        for x in range(width):
            if (heatmap[y, x] >= threshold and heatmap[y, x] > 0
                    and is_thing[semantic_ids[y, x]]):
                found[count] = y * width + x
                count += 1
    return found


@compiled
def _without_duplicates(classes, embeddings, limit, most):
    """Return the indices of the centers to keep, and how many more there were."""
    candidates = _lengthened(embeddings)
    most = min(most, len(classes))
    kept = np.empty(most, np.int64)
    blocks = np.zeros((most // BLOCK + 1, candidates.shape[1], BLOCK), np.float32)
    limits, distances = np.full(BLOCK, limit), np.empty(BLOCK, np.float32)
    count = cut = 0
    for i in range(len(classes)):
        duplicate = False
        for first in range(0, count, BLOCK):
            _distances(blocks[first // BLOCK], candidates[i], limits, distances)
            for n in range(min(BLOCK, count - first)):
                duplicate |= distances[n] < limit and classes[kept[first + n]] == classes[i]
            if duplicate:
                break
        if duplicate:
            continue
        if count < most:
            blocks[count // BLOCK, :, count % BLOCK] = candidates[i]
            kept[count] = i
            count += 1
        else:
            cut += 1
    return kept[:count], cut


@compiled
def _sort_by_class(semantic_ids, starts):
    """Return the pixels of classes with centers by class, and where each class begins.

    Parameters
    ----------
    semantic_ids : (N,) uint8
    starts : (257,) int64
        Class c has centers if starts[c + 1] is above starts[c].
    """
    wanted = starts[1:] > starts[:-1]
    found = np.empty(len(semantic_ids) + 1, np.int32)
    count = 0
    for n in range(len(semantic_ids)):  # without a branch, for the sake of ragged maps
        found[count] = n
        count += wanted[semantic_ids[n]]
    firsts = np.zeros(CLASSES + 1, np.int64)
    for i in range(count):
        firsts[np.int64(semantic_ids[found[i]]) + 1] += 1
    for c in range(CLASSES):
        firsts[c + 1] += firsts[c]
    pixels = np.empty(count, np.int32)
    ends = firsts.copy()
    for i in range(count):
        c = np.int64(semantic_ids[found[i]])
        pixels[ends[c]] = found[i]
        ends[c] += 1
    return pixels, firsts


@compiled
def _assign(start, stop, pixels, firsts, embedding, centers, starts, numbers, instance_ids):
    """Write the number of the nearest center of each pixel's class.

    Parameters
    ----------
    start, stop : int
        Which of `pixels` to write.
    pixels : (M,) int32
        Flat indices, ordered by class.
    firsts : (257,) int64
        Pixels firsts[c] to firsts[c + 1] of `pixels` belong to class c.
    embedding : (N, E) float32
    centers : (K, E) float32
        Ordered by class.
    starts : (257,) int64
        Rows starts[c] to starts[c + 1] of `centers` belong to class c.
    numbers : (K,) uint16
        What to write for each row.
    instance_ids : (N,) uint16
        The result.
    """
    rivals = _lengthened(centers)
    block = np.zeros((rivals.shape[1], BLOCK), np.float32)
    distances, nearest = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    best = np.empty(BLOCK, np.int32)
    for c in range(CLASSES):
        end = min(firsts[c + 1], stop)
        for first in range(max(firsts[c], start), end, BLOCK):
            size = min(BLOCK, end - first)
            for i in range(size):
                values = embedding[pixels[first + i]]
                for d in range(len(values)):
                    block[d, i] = values[d]
            nearest[:] = np.float32(np.inf)
            best[:] = starts[c]
            for k in range(starts[c], starts[c + 1]):
                _distances(block, rivals[k], nearest, distances)
                for i in range(BLOCK):
                    closer = distances[i] < nearest[i]
                    nearest[i] = distances[i] if closer else nearest[i]
                    best[i] = np.int32(k) if closer else best[i]
            for i in range(size):
                instance_ids[pixels[first + i]] = numbers[best[i]]


@compiled
def _lengthened(embeddings):
    """Add zeros to embeddings up to a multiple of DIMENSIONS."""
    count, length = embeddings.shape
    result = np.zeros((count, -(-length // DIMENSIONS) * DIMENSIONS), np.float32)
    result[:, :length] = embeddings
    return result


@compiled
def _distances(block, embedding, limits, distances):
    """Compute the squared distances of a block of embeddings from one.

    If none is below its limit after the first DIMENSIONS, none is going to be, and the rest is
    left out: distances at or above their limits may be too small.

    Parameters
    ----------
    block : (E, BLOCK) float32
        E is a multiple of DIMENSIONS.
    embedding : (E,) float32
    limits : (BLOCK,) float32
    distances : (BLOCK,) float32
        The result.
    """
    distances[:] = np.float32(0)
    _add_squares(block, embedding, 0, distances)
    below = np.int32(0)
    for i in range(BLOCK):
        below |= np.int32(distances[i] < limits[i])
    if below:
        for d in range(DIMENSIONS, len(embedding), DIMENSIONS):
            _add_squares(block, embedding, d, distances)


@compiled
def _add_squares(block, embedding, d, sums):
    """Add the squared differences in DIMENSIONS dimensions from d on, one after the other."""
    row0, row1, row2, row3 = block[d], block[d + 1], block[d + 2], block[d + 3]
    value0, value1 = embedding[d], embedding[d + 1]
    value2, value3 = embedding[d + 2], embedding[d + 3]
    for i in range(BLOCK):
        difference0, difference1 = row0[i] - value0, row1[i] - value1
        difference2, difference3 = row2[i] - value2, row3[i] - value3
        sums[i] = (((sums[i] + difference0 * difference0) + difference1 * difference1)
                   + difference2 * difference2) + difference3 * difference3
