"""Crowds: instances of other images, set beside or behind instances of their class in a crop.

Copy-paste as in Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for
Instance Segmentation", CVPR 2021, puts instances anywhere. Here they overlap with others of their
class and are about as large, as people in a street are. (Ours.)
"""
from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from instseg_ros.learning.augmentation import Sample, blend, soften

LEAST_PIXELS = 1600
"""Smaller instances of a source are not pasted: their outlines are coarse."""

LEAST_HEIGHT = 32
"""Nothing is set beside lower instances, in pixels of the crop."""

MOST_ENLARGED = 2.0
"""No instance is enlarged more than this."""

HEIGHT_SPREAD = 0.25
"""Standard deviation of the logarithm of the pasted instance's height over its neighbor's."""

DISTANCE = 0.2, 0.95
"""Range of the distance between the middles of both, as a share of half their summed widths."""

LOWER_SPREAD = 0.1
"""Standard deviation of the difference of their lower ends, as a share of the height."""

BEHIND = 0.4
"""Share of the instances that are pasted behind all others of the crop."""


class Cutout(NamedTuple):
    """The pixels of an instance.

    image : (H, W, 3) float32
    alpha : (H, W) float32 in [0, 1]
    class_id : int
    """

    image: np.ndarray
    alpha: np.ndarray
    class_id: int


def paste_beside(onto: Sample, source: Sample, rng: np.random.Generator,
                 class_id: int | None = None) -> Sample:
    """Paste an instance of `source` beside an instance of its class in a crop.

    Parameters
    ----------
    onto, source : Sample
    rng : Generator
    class_id : int, optional
        Class of the instance; default: any.

    Returns
    -------
    Sample
        `onto` itself if it shows no instance of that class, or `source` none that is large enough.
    """
    if class_id is not None and not (onto.semantic_ids == class_id).any():
        return onto
    cutout = _cut_out(source, rng, class_id)
    if cutout is None:
        return onto
    beside = _neighbors(onto, cutout.class_id)
    if not len(beside):
        return onto
    heights = beside[:, 3] - beside[:, 1]
    left, top, right, bottom = rng.choice(beside, p=heights / heights.sum())
    height, width = cutout.alpha.shape
    scale = (bottom - top) / height * np.exp(rng.normal(0, HEIGHT_SPREAD))
    scale = min(scale, MOST_ENLARGED)
    side, distance = rng.choice([-1, 1]), rng.uniform(*DISTANCE)
    middle = (left + right) / 2 + side * distance * (right - left + scale * width) / 2
    lower = bottom + rng.normal(0, LOWER_SPREAD) * (bottom - top)
    image, alpha = _placed(cutout, scale, middle - scale * width / 2, lower - scale * height,
                           onto.semantic_ids.shape)
    if rng.random() < BEHIND:
        alpha = np.where(onto.instance_ids > 0, 0, alpha)
    return blend(onto, image, alpha, alpha > 0.5, cutout.class_id,
                 int(onto.instance_ids.max()) + 1)


def _cut_out(source: Sample, rng: np.random.Generator, class_id: int | None) -> Cutout | None:
    """Return an instance, perhaps mirrored; larger ones are more probable."""
    wanted = source.instance_ids
    if class_id is not None:
        wanted = np.where(source.semantic_ids == class_id, wanted, 0)
    areas = np.bincount(wanted.ravel())
    areas[0] = 0
    areas[areas < LEAST_PIXELS] = 0
    if not areas.any():
        return None
    mask = wanted == rng.choice(len(areas), p=areas / areas.sum())
    left, top, right, bottom = _box(mask)
    inside = np.s_[top:bottom, left:right]
    classes = source.semantic_ids[inside][mask[inside]]
    image, alpha = source.image[inside], mask[inside].astype(np.float32)
    if rng.random() < 0.5:
        image, alpha = image[:, ::-1], alpha[:, ::-1]
    return Cutout(np.ascontiguousarray(image, np.float32), np.ascontiguousarray(alpha),
                  int(np.bincount(classes).argmax()))


def _neighbors(sample: Sample, class_id: int) -> np.ndarray:
    """Return the boxes (K, 4) of the instances of a class that others may be set beside."""
    of_class = np.where(sample.semantic_ids == class_id, sample.instance_ids, 0)
    boxes = [_box(of_class == k) for k in np.flatnonzero(np.bincount(of_class.ravel())) if k]
    return np.array([box for box in boxes if box[3] - box[1] >= LEAST_HEIGHT]).reshape(-1, 4)


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a mask, the last two exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _placed(cutout: Cutout, scale: float, left: float, top: float, size: tuple[int, int]
            ) -> tuple[np.ndarray, np.ndarray]:
    """Return image and alpha of a cutout, scaled, with its corner at (top, left) of a crop."""
    image, alpha = cutout.image, cutout.alpha
    if scale < 0.75:
        # warpAffine does not smooth: shrink by averaging first.
        small = [max(round(scale * side), 1) for side in reversed(alpha.shape)]
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, small, interpolation=cv2.INTER_AREA)
        scale = 1.0
    matrix = np.array([[scale, 0, left], [0, scale, top]])
    options = {'dsize': size[::-1], 'flags': cv2.INTER_LINEAR}
    image = cv2.warpAffine(image, matrix, borderMode=cv2.BORDER_REPLICATE, **options)
    alpha = cv2.warpAffine(alpha, matrix, **options)
    return image, soften(alpha)
