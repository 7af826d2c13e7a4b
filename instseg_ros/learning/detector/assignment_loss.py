"""The loss of the assignment: each pixel of an object to the center that the detector found on it.

A softmax over the modes of a pixel's class in its image gives their probabilities. Pixels of
objects on which the detector found no center have no right answer and are left out, as are those
whose class is wrong. (Ours.)
"""
from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from instseg_ros.learning.detector.assignment import ASSIGNMENT_STRIDE
from instseg_ros.learning.detector.fits import boxes_of_masks, overlaps
from instseg_ros.learning.detector.modes import (
    FAR,
    Modes,
    corners_of,
    costs_of_modes,
    find_modes,
)
from instseg_ros.learning.model import Prediction
from instseg_ros.learning.peaks import find_peaks

SHARPNESS = 5.0
"""A difference in cost of 1 is one of so many logits. Ours."""

SAME = 0.3
"""Least IoU of the boxes of a center and its object. Ours."""

ON_OBJECT = 0.5
"""What a center on the object's own pixels is ahead of others, as a difference of IoU. Ours."""


def assignment_loss(prediction: Prediction, semantic_ids: Tensor, instance_ids: Tensor,
                    thing_ids: Sequence[int]) -> Tensor:
    """Return the mean of 2 (1 - sqrt(p)), with p the probability of the pixel's own center.

    Compared with -ln(p), a pixel that is far from right changes less: there are few crowds to
    learn from, and some of their borders can't be told. (The generalized cross-entropy of Zhang
    and Sabuncu, NeurIPS 2018, with q = 1/2.) A pixel has the weight 1 / sqrt(area of its object).

    Parameters
    ----------
    prediction : Prediction
    semantic_ids, instance_ids : (N, H, W) int64
        The truth; 255: ignore; 0: no instance.
    thing_ids : sequence of int
    """
    class_count = prediction.semantic.shape[1]
    class_ids = prediction.semantic.argmax(1)
    embedding, center = prediction.embedding.float(), prediction.center.float()
    points = embedding.flatten(2).transpose(1, 2)
    classes = F.one_hot(class_ids, class_count).to(points.dtype).flatten(1, 2)
    is_thing = torch.isin(class_ids, class_ids.new_tensor(thing_ids))
    peaks = find_peaks(center[:, None], ASSIGNMENT_STRIDE)[:, 0] & is_thing
    modes = find_modes(classes, torch.where(peaks, center, -FAR).flatten(1), points)
    corrected = embedding if prediction.corrected is None else prediction.corrected.float()
    cost = costs_of_modes(corrected, classes, modes, ASSIGNMENT_STRIDE)
    loss = 2 - 2 * (F.log_softmax(-SHARPNESS * cost, 2) / 2).exp()
    # Crops without any object have a loss, too: 0, with a gradient.
    total, weights = 0.0 * loss.sum(), loss.new_zeros(())
    for image, instances in enumerate(instance_ids):
        for mode, mask in owned_objects(modes, image, instances, semantic_ids[image]):
            pixels = (mask & (class_ids[image] == semantic_ids[image])).flatten()
            weight = mask.sum().to(loss.dtype).rsqrt()
            total = total + weight * loss[image, pixels, mode].sum()
            weights = weights + weight * pixels.sum()
    return total / weights.clamp(min=1.0)


def owned_objects(modes: Modes, image: int, instance_ids: Tensor, semantic_ids: Tensor
                  ) -> list[tuple[int, Tensor]]:
    """Return pairs of a mode and the mask (H, W) of its object: each is the other's best match."""
    ids = instance_ids.unique()
    masks = instance_ids[None] == ids[ids > 0].view(-1, 1, 1)
    if not len(masks):
        return []
    classes = torch.where(masks, semantic_ids, torch.zeros_like(semantic_ids)).amax((1, 2))
    fits = overlaps(corners_of(modes.embeddings[image])[:, None],
                    ASSIGNMENT_STRIDE * boxes_of_masks(masks)[None])
    on_object = masks.flatten(1)[:, modes.pixels[image]].T
    possible = ((fits > SAME) | (on_object & (fits > SAME / 3))) & modes.kept[image][:, None]
    possible &= modes.classes[image].argmax(1)[:, None] == classes
    fits = torch.where(possible, fits + ON_OBJECT * on_object, torch.zeros_like(fits))
    best_mode, best_object = fits.argmax(0), fits.argmax(1)
    return [(int(mode), masks[k]) for k, mode in enumerate(best_mode)
            if fits[mode, k] > 0 and best_object[mode] == k]
