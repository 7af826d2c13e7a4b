"""The loss of a detector's scores, which teaches it new classes."""
from __future__ import annotations

from typing import Mapping, Sequence

import torch
from torch import Tensor

from instseg_ros.core.types import UNLABELLED
from instseg_ros.learning.center_loss import center_loss
from instseg_ros.learning.detector.fits import box_fits
from instseg_ros.learning.detector.grids import to_output_grid
from instseg_ros.learning.detector.heads import Detections

MISFIT = 0.5
"""Intersection over union below which a box does not fit an object. (Ours.)"""


def score_loss(detections: Mapping[int, Detections], semantic_ids: Tensor, instance_ids: Tensor,
               center_mask: Tensor, candidates: Tensor | None, thing_ids: Sequence[int], *,
               gamma: float, positive_weight: float) -> Tensor:
    """Center loss of a detector's score of every class. Ours.

    The center loss of a prediction reaches the scores of a class only where pixels are taken for
    it, which is not enough to teach a detector a new class.

    The strongest stride counts, as in the network; but at centers, the stride whose box fits the
    object best shall score, and none whose box doesn't fit: a new class has no scores yet that
    could tell large objects from small ones.

    Parameters
    ----------
    detections : dict of int to Detections
    semantic_ids, instance_ids : (N, H, W) int64
    center_mask : (N, H, W) uint8
    candidates : (N, C) bool, optional
        Where a pixel has semantic id 0, the scores of these classes are free.
    thing_ids : sequence of int
        Class of each of the detector's classes, in their order.
    gamma, positive_weight : float
        See `center_loss`.
    """
    size, finest = semantic_ids.shape[1:], min(detections)
    output_stride = finest * detections[finest].classes.shape[3] // size[1]
    scores = torch.stack([to_output_grid(found.classes.float(), stride, output_stride, size)
                          for stride, found in detections.items()])
    things = torch.tensor(thing_ids, device=semantic_ids.device)
    is_class = semantic_ids[:, None] == things.view(1, -1, 1, 1)
    mask = center_mask[:, None]
    unknown = mask == UNLABELLED
    if candidates is not None:
        unknown = unknown | ((semantic_ids == 0)[:, None] & candidates[:, things][..., None, None])
    target = torch.where(unknown, UNLABELLED, ((mask == 1) & is_class).to(mask.dtype))
    fits = box_fits(detections, instance_ids, output_stride)[:, :, None]
    best = scores.gather(0, fits.argmax(0, keepdim=True).expand_as(scores[:1]))[0]
    misfit = scores.masked_fill(fits >= fits.amax(0).clamp(max=MISFIT), -torch.inf).amax(0)
    strongest = scores.amax(0)
    is_center = (target == 1) & (instance_ids > 0)[:, None]
    wrong = torch.where(is_center & misfit.isfinite(), 0, UNLABELLED).to(target.dtype)
    return center_loss(torch.cat([torch.where(is_center, best, strongest),
                                  torch.where(wrong == 0, misfit, strongest)]),
                       torch.cat([target, wrong]), gamma, positive_weight)
