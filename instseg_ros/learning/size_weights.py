"""Weights of pixels in the semantic loss with which small objects count beside large ones."""
from __future__ import annotations

import torch
from torch import Tensor

from instseg_ros.learning.detector.fits import boxes_of_masks

AROUND = 0.25
"""The surroundings of an object reach so far beyond its box, as a share of its sides. Ours."""

LEAST_SIDE = 3.0
"""Smaller objects count like those of this size, in output pixels. Ours."""

EMPTY_SIDE = 64.0
"""Pixels that are near no object count like those of one of this size; so do those of larger ones.
In output pixels. Ours."""


def size_weights(instance_ids: Tensor, power: float) -> Tensor:
    """Return the weight (N, H, W) of each pixel: the size of the object there to the power -power.

    An object's size is the square root of the area of its box. Its pixels and those around it have
    the same weight: if only its own counted more, its class would become too probable. In the
    surroundings of several objects, the smallest one decides. With a power of 1, an object counts
    as much as its sides are long, and not as much as its area is large. (Weights for small objects
    are those of Yang et al., "DeeperLab", 2019, where they are 3 for all below 64x64 pixels; size
    and surroundings are ours.)

    Parameters
    ----------
    instance_ids : (N, H, W) int64
        0: none.
    power : float
    """
    weights = torch.full(instance_ids.shape, EMPTY_SIDE ** -power, device=instance_ids.device)
    for image, ids in enumerate(instance_ids):
        numbers = ids.unique()
        boxes = boxes_of_masks(ids[None] == numbers[numbers > 0].view(-1, 1, 1))
        sides = boxes[:, 2:] - boxes[:, :2]
        margins = (AROUND * sides).long() + 1
        sizes = sides.prod(1).sqrt().clamp(min=LEAST_SIDE)
        starts, ends = (boxes[:, :2] - margins).clamp(min=0).tolist(), boxes[:, 2:] + margins
        for (left, top), (right, bottom), weight in zip(starts, ends.tolist(),
                                                        (sizes ** -power).tolist()):
            weights[image, top:bottom, left:right].clamp_(min=weight)
    return weights
