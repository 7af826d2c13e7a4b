"""Modes: the embeddings of one object's pixels are drawn to the embedding of its center.

The first four numbers of an embedding are the box predicted at the pixel. The boxes of a small
object's pixels scatter over some pixels, those of a large object's over some tens, so no single
distance tells duplicates of both from neighbours. Here distances are relative to the size of the
center's box: a bandwidth for each center, as in Neven et al., "Instance Segmentation by Jointly
Optimizing Spatial Embeddings and Clustering Bandwidth", CVPR 2019, but taken from the box. Drawing
points to modes of their density is mean shift (Comaniciu and Meer, 2002), in one step here. What
comes out is again grouped by the nearest embedding. (Ours.)
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from instseg_ros.learning.detector.evidence import covered

POSITION, SIZE = 0.07, 1.5
"""The embedding of a box is POSITION * (center x, center y), SIZE * log(width, height). Ours."""

PEAKS = 64
"""So many of the strongest peaks of an image can be modes; the others are none. Ours."""

DUPLICATE = 0.11
"""Peaks of one class at a squared relative distance below this are one object. A box that is moved
by a third of its width, or is half as wide, is at 0.11 or 0.12, and at an IoU of 0.5. Ours."""

SIZE_WEIGHT = 0.25
"""Weight of squared logarithms of sizes against squared relative positions. Ours."""

FLOOR = -1.4
"""Peaks with a lower logit, which is a raw confidence of 0.2, are no modes. Ours."""

STRENGTH = 1.0
"""Weight of a mode's score against the squared relative distance. Ours."""

OUTSIDE = 10.0
"""Added to the squared relative distance of a mode whose box doesn't cover the pixel. Ours."""

FAR = 1e6
"""More than any relative distance that matters."""

APART = 1 / POSITION
"""Embeddings are scaled by this in the end: positions are in pixels of the input then, and two
modes further apart than grouping's duplicate distance."""


def embed_boxes(boxes: Tensor) -> Tensor:
    """Return the embedding (N, 4, H, W) of boxes (N, 4, H, W): left, top, right, bottom."""
    left, top, right, bottom = boxes.unbind(1)
    width, height = (right - left).clamp(min=1.0), (bottom - top).clamp(min=1.0)
    return torch.stack([POSITION / 2 * (left + right), POSITION / 2 * (top + bottom),
                        SIZE * width.log(), SIZE * height.log()], 1)


def corners_of(embeddings: Tensor) -> Tensor:
    """Return the corners (N, K, 4) of the boxes in embeddings (N, K, E)."""
    centers, halves = embeddings[..., :2] / POSITION, (embeddings[..., 2:4] / SIZE).exp() / 2
    return torch.cat([centers - halves, centers + halves], -1)


class Modes(NamedTuple):
    """The centers that the pixels of each image are drawn to, strongest first.

    embeddings : (N, K, E)
    classes : (N, K, C)
        1 for the class, 0 for the others.
    scores : (N, K) in [0, 1]
    kept : (N, K) bool
        False: too weak, or a duplicate of a stronger one.
    pixels : (N, K) int64
        Index of the peak among the pixels.
    """

    embeddings: Tensor
    classes: Tensor
    scores: Tensor
    kept: Tensor
    pixels: Tensor


def seek_modes(class_ids: Tensor, logits: Tensor, peaks: Tensor, embedding: Tensor,
               class_count: int, output_stride: int, corrected: Tensor | None = None) -> Tensor:
    """Return the embeddings with each pixel's replaced by that of the mode it is drawn to.

    A pixel in whose class there is no mode keeps its own.

    Parameters
    ----------
    class_ids : (N, H, W) int64
    logits : (N, H, W)
        Of being a center.
    peaks : (N, H, W) bool
        Where a center may be: local maxima on things.
    embedding : (N, E, H, W)
    class_count : int
    output_stride : int
    corrected : (N, E, H, W), optional
        What pixels are compared by with the modes; default: their embedding.
    """
    points = embedding.flatten(2).transpose(1, 2)
    classes = F.one_hot(class_ids, class_count).to(points.dtype).flatten(1, 2)
    modes = find_modes(classes, torch.where(peaks, logits, -FAR).flatten(1), points)
    cost = costs_of_modes(embedding if corrected is None else corrected, classes, modes,
                          output_stride)
    winner = cost.argmin(2)[:, :, None].expand_as(points)
    has_mode = classes @ (modes.classes * modes.kept[..., None]).amax(1)[:, :, None] > 0
    drawn = torch.where(has_mode, modes.embeddings.gather(1, winner), points)
    return APART * drawn.transpose(1, 2).unflatten(2, embedding.shape[2:])


def costs_of_modes(embedding: Tensor, classes: Tensor, modes: Modes, output_stride: int) -> Tensor:
    """Return the cost (N, P, K) of each mode for each pixel; a pixel is drawn to the cheapest."""
    size = embedding.shape[2:]
    points = embedding.flatten(2).transpose(1, 2)
    rows, columns = covered(corners_of(modes.embeddings), size, output_stride)
    rows, columns = OUTSIDE * rows.transpose(1, 2), columns.transpose(1, 2)
    bonus = (rows[:, :, None] * columns[:, None]).flatten(1, 2)
    handicap = FAR * ~modes.kept - STRENGTH * modes.scores
    return costs(points, classes, modes.embeddings, modes.classes, handicap) - bonus


def find_modes(classes: Tensor, strengths: Tensor, points: Tensor) -> Modes:
    """Return the strongest peaks, and which of them are kept.

    Parameters
    ----------
    classes : (N, P, C)
    strengths : (N, P)
        Logits of the peaks, and -FAR at other pixels.
    points : (N, P, E)
    """
    # Small images have fewer pixels: those that are added are below the floor.
    best, index = F.pad(strengths, (0, PEAKS), value=-FAR).topk(PEAKS)
    index = index.clamp(max=points.shape[1] - 1)
    embeddings = points.gather(1, index[:, :, None].expand(-1, -1, points.shape[2]))
    mode_classes = classes.gather(1, index[:, :, None].expand(-1, -1, classes.shape[2]))
    distances = costs(embeddings, mode_classes, embeddings, mode_classes, torch.zeros_like(best))
    return Modes(embeddings, mode_classes, best.sigmoid(),
                 strongest_of_duplicates(distances, best >= FLOOR), index)


def costs(points: Tensor, classes: Tensor, modes: Tensor, mode_classes: Tensor,
          handicap: Tensor) -> Tensor:
    """Return the squared distance of each point from each mode (N, P, K), and what is added to it.

    (dx / w)^2 + (dy / h)^2 + SIZE_WEIGHT (log^2(ratio of widths) + log^2(ratio of heights)), with
    w and h of the mode, and the squared differences of what an embedding holds beyond its box;
    FAR if their classes differ; and the handicap (N, K) of each mode.
    """
    weight = weights_of(modes)
    # Multiplied out, all this is one product of matrices.
    of_points = torch.cat([points ** 2, points, classes, torch.ones_like(points[..., :1])], -1)
    constant = (weight * modes ** 2).sum(-1) + handicap
    of_modes = torch.cat([weight, -2 * weight * modes, FAR * (1 - mode_classes),
                          constant[..., None]], -1)
    return of_points @ of_modes.transpose(1, 2)


def weights_of(modes: Tensor) -> Tensor:
    """Return the weights (N, K, E) of squared differences from the embeddings of modes."""
    extent = POSITION * (modes[..., 2:4] / SIZE).exp()
    return torch.cat([extent ** -2, torch.full_like(extent, SIZE_WEIGHT / SIZE ** 2),
                      torch.ones_like(modes[..., 4:])], -1)


def relative_distances(points: Tensor, modes: Tensor) -> Tensor:
    """Return the squared distances (P, K) of embeddings (P, E) from modes (K, E).

    As in `costs`, but 1 is where duplicates end.
    """
    squares = (points[:, None] - modes[None]).square()
    return (squares * weights_of(modes)[None]).sum(-1) / DUPLICATE


def strongest_of_duplicates(distances: Tensor, candidates: Tensor, rounds: int = 3) -> Tensor:
    """Return which modes (N, K), strongest first, have no stronger duplicate that is kept itself.

    In rounds for all at once, which is what taking one after the other gives as soon as no chain
    of duplicates is longer than `rounds` (Zheng et al., "Enhancing Geometric Factors in Model
    Learning and Inference for Object Detection and Instance Segmentation", 2021).
    """
    order = torch.arange(distances.shape[1], device=distances.device)
    duplicate = (distances < DUPLICATE) & (order[:, None] > order[None])
    kept = candidates
    for _ in range(rounds):
        kept = candidates & ~(duplicate & kept[:, None]).any(2)
    return kept
