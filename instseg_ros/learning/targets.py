"""Targets of the network on its output grid, made of the label maps of an image."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np

from instseg_ros.core.types import NO_INSTANCE, UNLABELLED

CENTER_RADIUS = 0.18
"""Radius of a center's disc, relative to the square root of the instance's area. Ours."""
CENTER_RADIUS_MIN, CENTER_RADIUS_MAX = 3.2, 24.0
"""Bounds of that radius in pixels of the network's input, at whatever output stride. Ours."""


@dataclass(frozen=True)
class Targets:
    """Targets of one image on the output grid.

    Attributes
    ----------
    semantic_ids : (H, W) uint8
        255: ignore.
    instance_ids : (H, W) uint16
        0: none.
    center_mask : (H, W) uint8
        1 in the disc around a center, 0 elsewhere, 255 where it is ignored.
    candidates : tuple of int
        Classes that a pixel with label 0 may have; more than class 0 if some are not labelled.
    """

    semantic_ids: np.ndarray
    instance_ids: np.ndarray
    center_mask: np.ndarray
    candidates: tuple[int, ...] = (0,)


def build_targets(semantic_ids: np.ndarray, instance_ids: np.ndarray, stride: int,
                  thing_ids: Sequence[int] = ()) -> Targets:
    """Reduce label maps to the output grid and mark the centers.

    Parameters
    ----------
    semantic_ids : (H0, W0) uint8
        255: ignore. H0 and W0 are multiples of `stride`.
    instance_ids : (H0, W0) uint16
    stride : int
        Output stride.
    thing_ids : sequence of int
        Classes that have instances. Where a pixel of theirs has no instance, as in a group that
        was not labelled one by one, nothing is known of centers.

    Notes
    -----
    An instance's center is the pixel of its visible mask that is nearest to the mask's centroid,
    so that it lies on the object, whose embedding grouping reads there.
    """
    half = stride // 2
    semantic = np.ascontiguousarray(semantic_ids[half::stride, half::stride])
    instances = np.ascontiguousarray(instance_ids[half::stride, half::stride])
    smallest, largest = CENTER_RADIUS_MIN / stride, CENTER_RADIUS_MAX / stride
    unknown = (semantic == UNLABELLED) | ((instances == NO_INSTANCE)
                                          & np.isin(semantic, thing_ids))
    centers = np.where(unknown, UNLABELLED, 0).astype(np.uint8)
    for instance_id in np.unique(instances):
        if instance_id == NO_INSTANCE:
            continue
        ys, xs = np.nonzero(instances == instance_id)
        k = np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2)
        radius = np.clip(CENTER_RADIUS * np.sqrt(len(ys)), smallest, largest)
        disc = (ys - ys[k]) ** 2 + (xs - xs[k]) ** 2 <= radius ** 2
        centers[ys[disc], xs[disc]] = 1
    return Targets(semantic, instances, centers)
