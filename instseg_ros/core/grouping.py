"""From the network's output to instances: which centers there are, and whose each pixel is.

1. Centers are the pixels of a thing class whose calibrated center confidence reaches a threshold.
2. From the strongest to the weakest, a center is dropped as a duplicate if its embedding is near
   to that of a stronger center of its class that was not dropped itself.
3. A pixel belongs to the center of its own class whose embedding is nearest to the pixel's.

Distances are Euclidean, between embeddings. A pixel of a thing class in whose class no center was
found keeps its class and belongs to no instance: the class is known there, the object isn't.

Strategy: the kernels are serial. Only pixels and centers of the same class are compared: pixels
of classes with centers are sorted by class and taken in blocks, whose embeddings are transposed
into a small buffer. The innermost loop runs over the pixels of a block and so vectorises without
changing the order of any sum: the result is, bit for bit, that of the plain formula in single
precision.
"""
from __future__ import annotations

import numpy as np

from instseg_ros.core.compiled import compiled
from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.types import NO_INSTANCE, Centers, ModelInfo, NetworkOutput

CLASSES = 256  # as many as a uint8 tells apart
BLOCK = 128  # pixels; their embeddings fit into the first-level cache


def find_centers(output: NetworkOutput, info: ModelInfo,
                 config: GroupingConfig = GroupingConfig()) -> tuple[Centers, int]:
    """Find the centers of the instances.

    Parameters
    ----------
    output : NetworkOutput
    info : ModelInfo
        Says which classes are things.
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
    embeddings = output.embedding.reshape(-1, output.embedding.shape[2])[candidates]
    kept, cut = _without_duplicates(classes, embeddings, squared(config.duplicate_distance),
                                    config.max_instances)
    points = np.stack(np.unravel_index(candidates[kept], output.semantic_ids.shape), axis=1)
    return Centers(points=points.astype(np.float32), scores=scores[kept],
                   class_ids=classes[kept], embeddings=embeddings[kept]), int(cut)


def assign_pixels(output: NetworkOutput, centers: Centers) -> np.ndarray:
    """Assign every pixel to the nearest center of its class.

    Parameters
    ----------
    output : NetworkOutput
    centers : Centers
        At most 65535.

    Returns
    -------
    (H, W) uint16
        Index of the center + 1, or 0 where the pixel's class has no center. Of equally near
        centers the first one, which is the strongest, gets the pixel.

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
    instance_ids = np.full(output.semantic_ids.shape, NO_INSTANCE, np.uint16)
    by_class = np.argsort(centers.class_ids, kind='stable')
    starts = np.searchsorted(centers.class_ids[by_class], np.arange(CLASSES + 1))
    _assign(output.semantic_ids.ravel(), output.embedding.reshape(-1, length),
            centers.embeddings[by_class], starts,
            (by_class + 1).astype(np.uint16), instance_ids.reshape(-1))
    return instance_ids


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
    kept = np.empty(min(most, len(classes)), np.int64)
    count = cut = 0
    for i in range(len(classes)):
        duplicate = False
        for n in range(count):
            k = kept[n]
            if classes[k] != classes[i]:
                continue
            distance = np.float32(0)
            for d in range(embeddings.shape[1]):
                difference = embeddings[i, d] - embeddings[k, d]
                distance += difference * difference
                if distance >= limit:  # it can only grow
                    break
            if distance < limit:
                duplicate = True
                break
        if duplicate:
            continue
        if count < most:
            kept[count] = i
            count += 1
        else:
            cut += 1
    return kept[:count], cut


@compiled
def _assign(semantic_ids, embedding, centers, starts, numbers, instance_ids):
    """Write the number of the nearest center of each pixel's class.

    Parameters
    ----------
    semantic_ids : (N,) uint8
    embedding : (N, E) float32
    centers : (K, E) float32
        Ordered by class.
    starts : (257,) int64
        Rows starts[c] to starts[c + 1] of `centers` belong to class c.
    numbers : (K,) uint16
        What to write for each row.
    instance_ids : (N,) uint16
        The result; pixels of classes without centers are left as they are.
    """
    pixels, firsts = _sort_by_class(semantic_ids, starts)
    length = centers.shape[1]
    block = np.zeros((length, BLOCK), np.float32)
    distances, nearest = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    best = np.empty(BLOCK, np.int32)
    for c in range(CLASSES):
        for first in range(firsts[c], firsts[c + 1], BLOCK):
            size = min(BLOCK, firsts[c + 1] - first)
            for i in range(size):
                pixel = pixels[first + i]
                for d in range(length):
                    block[d, i] = embedding[pixel, d]
            nearest[:] = np.inf
            best[:] = starts[c]
            for k in range(starts[c], starts[c + 1]):
                distances[:] = 0
                for d in range(length):
                    value, row = centers[k, d], block[d]
                    for i in range(BLOCK):
                        difference = row[i] - value
                        distances[i] += difference * difference
                for i in range(BLOCK):
                    if distances[i] < nearest[i]:
                        nearest[i] = distances[i]
                        best[i] = k
            for i in range(size):
                instance_ids[pixels[first + i]] = numbers[best[i]]


@compiled
def _sort_by_class(semantic_ids, starts):
    """Return the pixels of classes with centers by class, and where each class begins."""
    wanted = starts[1:] > starts[:-1]
    firsts = np.zeros(CLASSES + 1, np.int64)
    for n in range(len(semantic_ids)):
        c = np.int64(semantic_ids[n])
        if wanted[c]:
            firsts[c + 1] += 1
    for c in range(CLASSES):
        firsts[c + 1] += firsts[c]
    pixels = np.empty(firsts[CLASSES], np.int32)
    ends = firsts.copy()
    for n in range(len(semantic_ids)):
        c = np.int64(semantic_ids[n])
        if wanted[c]:
            pixels[ends[c]] = n
            ends[c] += 1
    return pixels, firsts
