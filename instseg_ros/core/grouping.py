"""Grouping: find the centers of instances in the network's output, and assign pixels to them.

1. Centers are the pixels of a thing class whose calibrated center confidence reaches a threshold.
2. From the strongest to the weakest, a center is dropped as a duplicate if its embedding is near
   to that of a stronger center of its class that was not dropped itself.
3. A pixel is assigned to the center of its own class with the nearest embedding.

Distances are Euclidean, between embeddings. A pixel whose thing class has no center keeps its
class and belongs to no instance.

Implementation: only pixels and centers of the same class are compared. The pixels of classes with
centers are sorted by class and processed in blocks, whose embeddings are transposed into a small
buffer. The innermost loop runs over the pixels of a block, for some dimensions at once, and so
vectorises without changing the order of any sum: the result is, bit for bit, that of the plain
formula in single precision. Embeddings are padded with zeros to a multiple of those dimensions,
which adds exact zeros to sums that are not negative. If the first dimensions alone make a center
too far from all pixels of a block, the rest is skipped; as they hold the position, that is so for
most centers. Duplicates are found in the same way, with the kept centers in place of the pixels.
"""
from __future__ import annotations

import numpy as np

from instseg_ros.core.compiled import compiled
from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.model_info import ModelError
from instseg_ros.core.output_values import check_embedding
from instseg_ros.core.parallel import run_parallel
from instseg_ros.core.types import NO_INSTANCE, Centers, DeviceArray, ModelInfo, NetworkOutput

CLASSES = 256  # values of a uint8
BLOCK = 64  # pixels; their embeddings fit into the first-level cache
DIMENSIONS = 4  # processed at once
MIN_CHUNK = 4096  # pixels; below that, another thread costs more than it saves


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
    dropped : int
        Number of further centers, no duplicates of those returned, beyond
        `config.max_instances`.

    Raises
    ------
    ModelError
        The embedding of a center is not finite.
    """
    is_thing = np.zeros(CLASSES, np.bool_)
    is_thing[list(info.thing_ids)] = True
    candidates = _candidates(output.center_heatmap, output.semantic_ids, is_thing,
                             np.float32(config.center_threshold))
    confidences = output.center_heatmap.ravel()[candidates]
    order = np.argsort(-confidences, kind='stable')
    candidates, confidences = candidates[order], confidences[order]
    classes = output.semantic_ids.ravel()[candidates]
    embeddings = _embeddings_of(candidates, output.embedding)
    check_embedding(embeddings)
    distance = config.duplicate_distance or info.duplicate_distance
    kept, dropped = _without_duplicates(classes, embeddings, squared(distance),
                                        int(config.max_instances))
    points = np.stack(np.unravel_index(candidates[kept], output.semantic_ids.shape), axis=1)
    return Centers(points=points.astype(np.float32), confidences=confidences[kept],
                   class_ids=classes[kept], embeddings=embeddings[kept]), int(dropped)


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
        centers the first one, which is the strongest, gets the pixel. (On a GPU, a pixel halfway
        between centers, up to rounding, may get any of them.)

    Raises
    ------
    ValueError
        More centers than ids, or embeddings of another length than the output's.
    ModelError
        The embedding of a pixel is not finite, or too far from all centers for single precision.
        (Not found on a GPU.)
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
    is_lost = np.zeros(1, np.bool_)
    run_parallel(_assign, len(pixels), threads, pixels, firsts,
                 output.embedding.reshape(-1, length), centers.embeddings[by_class], starts,
                 (by_class + 1).astype(np.uint16), instance_ids.reshape(-1), is_lost,
                 min_chunk=MIN_CHUNK)
    if is_lost[0]:
        raise ModelError('output embedding: expected finite numbers, got infinite ones, NaN, or '
                         'numbers whose squares are too large for single precision')
    return instance_ids


def _embeddings_of(pixels: np.ndarray, embedding: np.ndarray | DeviceArray) -> np.ndarray:
    """Return the embeddings (K, E) of pixels (K,), flat indices."""
    if isinstance(embedding, np.ndarray):
        return embedding.reshape(-1, embedding.shape[2])[pixels]
    return embedding.take(pixels)


def squared(distance: float) -> np.float32:
    """Return a distance in the form that kernels compare: squared, in single precision."""
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
def _without_duplicates(classes, embeddings, limit, max_instances):
    """Return the indices of the centers to keep, and the number beyond `max_instances`."""
    candidates = _padded(embeddings)
    most = min(max_instances, len(classes))
    kept = np.empty(most, np.int64)
    blocks = np.zeros((most // BLOCK + 1, candidates.shape[1], BLOCK), np.float32)
    limits, distances = np.full(BLOCK, limit), np.empty(BLOCK, np.float32)
    count = dropped = 0
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
            dropped += 1
    return kept[:count], dropped


@compiled
def _sort_by_class(semantic_ids, starts):
    """Return the pixels of classes with centers, sorted by class, and the start of each class.

    Parameters
    ----------
    semantic_ids : (N,) uint8
    starts : (257,) int64
        Class c has centers if starts[c + 1] is above starts[c].
    """
    wanted = starts[1:] > starts[:-1]
    found = np.empty(len(semantic_ids) + 1, np.int32)
    count = 0
    for n in range(len(semantic_ids)):  # without a branch, which ragged maps would mispredict
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
def _assign(start, stop, pixels, firsts, embedding, centers, starts, ids, instance_ids, is_lost):
    """Write the id of the nearest center of each pixel's class.

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
    ids : (K,) uint16
        Id of each center.
    instance_ids : (N,) uint16
        The result.
    is_lost : (1,) bool
        Becomes true if a pixel is at no finite distance from any center of its class.
    """
    padded_centers = _padded(centers)
    block = np.zeros((padded_centers.shape[1], BLOCK), np.float32)
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
                _distances(block, padded_centers[k], nearest, distances)
                for i in range(BLOCK):
                    closer = distances[i] < nearest[i]
                    nearest[i] = distances[i] if closer else nearest[i]
                    best[i] = np.int32(k) if closer else best[i]
            for i in range(size):
                instance_ids[pixels[first + i]] = ids[best[i]]
                if not nearest[i] < np.inf:
                    is_lost[0] = True


@compiled
def _padded(embeddings):
    """Pad embeddings with zeros to a multiple of DIMENSIONS."""
    count, length = embeddings.shape
    result = np.zeros((count, -(-length // DIMENSIONS) * DIMENSIONS), np.float32)
    result[:, :length] = embeddings
    return result


@compiled
def _distances(block, embedding, limits, distances):
    """Compute the squared distances of a block of embeddings from one.

    If no partial sum over the first DIMENSIONS is below its limit, the other dimensions are
    skipped: distances at or above their limits may be too small.

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
