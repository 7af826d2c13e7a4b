"""The Lovász hinge on the assignment of pixels to instances, a loss for embeddings.

Neven, De Brabandere, Proesmans and Van Gool, "Instance Segmentation by Jointly Optimizing Spatial
Embeddings and Clustering Bandwidth", CVPR 2019: a pixel belongs to an instance with probability
exp(-d^2 / (2 sigma^2)), d being the distance of its embedding from the instance's center, and the
Lovász hinge optimises the IoU of the pixels with a probability above 1/2 directly, instead of
pulling and pushing by fixed margins. The bandwidth sigma is learned.

Grouping has no bandwidth beside the embedding. So it is a part of the embedding: of a detector's
network, distances are relative to the box in the embedding of the center (`detector/modes.py`),
which is learned for each object; of others, the scale of the whole embedding is learned. (Ours.)
"""
from __future__ import annotations

from typing import Callable

import torch
from torch import Tensor

Distances = Callable[[Tensor, Tensor], Tensor]
"""Squared distances (P, K) of embeddings (P, E) from those of centers (K, E), 1 being the squared
duplicate distance of the grouping."""

RADIUS = 0.5
"""Distance from a center at which a pixel belongs to it with probability 1/2, in duplicate
distances: two centers that are no duplicates don't share a pixel then. Ours."""


def lovasz_embedding_loss(embedding: Tensor, instance_ids: Tensor, semantic_ids: Tensor,
                          distances: Distances) -> Tensor:
    """Mean over instances of the Lovász hinge between assigned pixels and mask.

    The assignment competes for the pixels of all instances of the same class in the image, since
    grouping compares a pixel only with the centers of its class. An instance's center is the mean
    embedding of its pixels.

    Parameters
    ----------
    embedding : (N, E, H, W)
    instance_ids : (N, H, W) int64
        0: none.
    semantic_ids : (N, H, W) int64
    distances : callable
        See `Distances`.
    """
    losses = []
    for points, instances, classes in zip(embedding.float(), instance_ids, semantic_ids):
        for class_id in classes[instances > 0].unique():
            pixels = (instances > 0) & (classes == class_id)
            points_of_class, owners = points[:, pixels].T, instances[pixels]
            masks = owners[None] == owners.unique()[:, None]
            shares = masks / masks.sum(1, keepdim=True)
            squared = distances(points_of_class, shares.to(points.dtype) @ points_of_class).T
            belongs = torch.exp2(-squared / RADIUS ** 2)
            losses += [lovasz_hinge(2 * margin - 1, mask) for margin, mask in zip(belongs, masks)]
    return torch.stack(losses).mean() if losses else embedding.sum() * 0.0


def lovasz_hinge(margins: Tensor, labels: Tensor) -> Tensor:
    """Return the Lovász extension of the loss 1 - IoU at the hinge errors of the pixels.

    Berman, Triki and Blaschko, "The Lovász-Softmax Loss", CVPR 2018, equation 6 and algorithm 1.

    Parameters
    ----------
    margins : (P,)
        Above 0: the pixel is taken for one of the mask.
    labels : (P,) bool
        The mask; at least one pixel is true.
    """
    errors = 1 - torch.where(labels, margins, -margins)
    errors, order = errors.sort(descending=True)
    right = labels[order].to(errors.dtype)
    intersection = right.sum() - right.cumsum(0)
    union = right.sum() + (1 - right).cumsum(0)
    loss = 1 - intersection / union
    return errors.relu() @ torch.cat([loss[:1], loss[1:] - loss[:-1]])
