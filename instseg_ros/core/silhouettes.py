"""Mask and colours of each object on a small grid over its box, and their comparison.

Whatever its size, an object has GRID x GRID samples: so comparing two images takes the same short
time at every resolution, and a mask can be moved and compared without a map of its own.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from instseg_ros.core.compiled import compiled
from instseg_ros.core.types import Segmentation

GRID = 16  # samples along each side of a box
LUMA_BINS, CHROMA_BINS = 8, 4  # each 32 values wide
BINS = LUMA_BINS * CHROMA_BINS * CHROMA_BINS


@dataclass(frozen=True)
class Silhouettes:
    """Shape and colour of K objects.

    Attributes
    ----------
    boxes : (K, 4) float64
        Left, top, right, bottom in pixels.
    masks : (K, GRID, GRID) bool
        Whether the pixel at each sample belongs to the object.
    colors : (K, 2 * BINS) float32
        Square roots of the shares of each colour in the upper and in the lower half of the box,
        with sum 1 of the shares; zeros if there is no image.
    """

    boxes: np.ndarray
    masks: np.ndarray
    colors: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: np.ndarray) -> Silhouettes:
        return Silhouettes(self.boxes[rows], self.masks[rows], self.colors[rows])


def no_silhouettes() -> Silhouettes:
    """Return those of no object."""
    return Silhouettes(np.empty((0, 4)), np.empty((0, GRID, GRID), np.bool_),
                       np.empty((0, 2 * BINS), np.float32))


def joined(first: Silhouettes, second: Silhouettes) -> Silhouettes:
    """Return the objects of both."""
    return Silhouettes(*(np.concatenate(pair) for pair in (
        (first.boxes, second.boxes), (first.masks, second.masks),
        (first.colors, second.colors))))


def silhouettes_of(segmentation: Segmentation, ids: np.ndarray, boxes: np.ndarray,
                   image: np.ndarray | None) -> Silhouettes:
    """Sample objects of a segmentation.

    Parameters
    ----------
    segmentation : Segmentation
    ids : (K,) uint16
        Of the objects.
    boxes : (K, 4) float64
        Left, top, right, bottom in pixels, inside the image.
    image : (H0, W0, 3) uint8, RGB, optional
    """
    masks = np.zeros((len(ids), GRID, GRID), np.bool_)
    counts = np.zeros((len(ids), 2 * BINS), np.float32)
    pixels = np.empty((0, 0, 3), np.uint8) if image is None else image.view()
    pixels.setflags(write=False)  # as many messages are: for Numba all are of one type so
    _sample(np.ascontiguousarray(segmentation.instance_ids), ids, boxes, pixels, masks, counts)
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return Silhouettes(boxes, masks, np.sqrt(counts / totals))


def overlaps(known: Silhouettes, shifts: np.ndarray, instance_ids: np.ndarray, ids: np.ndarray,
             areas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare moved masks with the objects of a map.

    Parameters
    ----------
    known : Silhouettes
        K objects.
    shifts : (K, 2) float64
        Movement of each in y and x since it was sampled.
    instance_ids : (H0, W0) uint16
    ids : (D,) uint16
        Of the objects to compare with.
    areas : (D,) int64
        Their numbers of pixels.

    Returns
    -------
    ious : (K, D) float64
        Intersection over union; the part of a mask that leaves the image counts for nothing.
    contained : (K, D) float64
        Intersection over the smaller of both areas.
    """
    columns = np.full(int(ids.max(initial=0)) + 1, -1, np.int32)
    columns[ids] = np.arange(len(ids))
    hits = np.zeros((len(known), len(ids)))
    inside = np.zeros((len(known), 1))
    _count_hits(known.masks, known.boxes, shifts, instance_ids, columns, hits, inside)
    sizes = known.boxes[:, 2:] - known.boxes[:, :2]
    pixels = sizes.prod(axis=1, keepdims=True) / GRID**2  # of a sample
    both, before = hits * pixels, inside * pixels
    return (both / np.maximum(before + areas - both, 1),
            both / np.maximum(np.minimum(before, areas), 1))


def color_distances(colors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the Hellinger distances (K, D), from 0 to 1, of (K, B) and (D, B) colours."""
    # Not by BLAS, whose threads may wait for a busy core for longer than all of this takes.
    alike = np.einsum('kb,db->kd', colors, others)
    return np.sqrt(np.clip(1 - alike, 0, 1)).astype(np.float64)


def color_shares(pixels: np.ndarray) -> np.ndarray:
    """Return the square roots (1, BINS) float32 of the shares of each colour in some pixels.

    Parameters
    ----------
    pixels : (H, W, 3) uint8, RGB
    """
    counts = np.zeros((1, BINS), np.float32)
    _count_colors(pixels, counts[0])
    return np.sqrt(counts / max(counts.sum(), 1))


@compiled
def _bin_of(pixel):
    """Return the bin of a colour by luma (ITU-R BT.601) and the differences from it."""
    red, green, blue = np.int32(pixel[0]), np.int32(pixel[1]), np.int32(pixel[2])
    luma = (77 * red + 150 * green + 29 * blue) >> 8
    # The outer bins take all differences beyond 64: strong colours are rare.
    first = min(max((red - luma + 64) >> 5, 0), CHROMA_BINS - 1)
    second = min(max((blue - luma + 64) >> 5, 0), CHROMA_BINS - 1)
    return ((luma >> 5) * CHROMA_BINS + first) * CHROMA_BINS + second


@compiled
def _sample(instance_ids, ids, boxes, image, masks, counts):
    """Fill the masks (K, GRID, GRID), and the counts of colours if there is an image."""
    for k in range(len(ids)):
        left, top, right, bottom = boxes[k]
        for i in range(GRID):
            y = np.int64(top + (i + 0.5) * (bottom - top) / GRID)
            half = BINS if 2 * i >= GRID else 0
            for j in range(GRID):
                x = np.int64(left + (j + 0.5) * (right - left) / GRID)
                if instance_ids[y, x] == ids[k]:
                    masks[k, i, j] = True
                    if len(image):
                        counts[k, half + _bin_of(image[y, x])] += 1


@compiled
def _count_hits(masks, boxes, shifts, instance_ids, columns, hits, inside):
    """Count the moved samples on each object (K, D), and those inside the image (K, 1)."""
    height, width = instance_ids.shape
    for k in range(len(masks)):
        left, top, right, bottom = boxes[k]
        for i in range(GRID):
            y = np.int64(np.floor(top + (i + 0.5) * (bottom - top) / GRID + shifts[k, 0]))
            if y < 0 or y >= height:
                continue
            for j in range(GRID):
                x = np.int64(np.floor(left + (j + 0.5) * (right - left) / GRID + shifts[k, 1]))
                if masks[k, i, j] and 0 <= x < width:
                    inside[k, 0] += 1
                    instance_id = instance_ids[y, x]
                    if instance_id < len(columns) and columns[instance_id] >= 0:
                        hits[k, columns[instance_id]] += 1


@compiled
def _count_colors(pixels, counts):
    """Count the colours of pixels (H, W, 3)."""
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            counts[_bin_of(pixels[y, x])] += 1
