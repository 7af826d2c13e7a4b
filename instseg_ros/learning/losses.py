"""The three losses of the method and their weighted sum.

The method is that of Milioto, Mandtler and Stachniss, "Fast Instance and Semantic Segmentation
Exploiting Local Connectivity, Metric Learning, and One-Shot Detection for Robotics", ICRA 2019.
Its values of the hyper-parameters are not known to us: the defaults here are ours.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from instseg_ros.core.config import check_options, option
from instseg_ros.core.types import UNLABELLED, ModelInfo
from instseg_ros.learning.center_loss import center_loss
from instseg_ros.learning.detector.assignment_loss import assignment_loss
from instseg_ros.learning.detector.modes import relative_distances
from instseg_ros.learning.detector.score_loss import score_loss
from instseg_ros.learning.lovasz import lovasz_embedding_loss
from instseg_ros.learning.model import Prediction
from instseg_ros.learning.size_weights import size_weights

MARGIN = 1.5
"""Distance at which repulsion ends, in duplicate distances of the grouping. (Ours.)"""

TINY = 1e-6
"""Less than the weight of any pixel."""


@dataclass(frozen=True)
class LossConfig:
    """Hyper-parameters of the losses."""

    semantic_weight: float = option(1.0, 'Weight of the semantic loss', minimum=0.0)
    center_weight: float = option(1.0, 'Weight of the center loss', minimum=0.0)
    embedding_weight: float = option(1.0, 'Weight of the embedding loss', minimum=0.0)
    score_weight: float = option(0.0, "Weight of the center loss of a detector's scores, of every "
                                 'class and wherever it is: what teaches it new classes',
                                 minimum=0.0)
    assignment_weight: float = option(0.0, 'Weight of the loss of the choice between the centers '
                                      'of a detector', minimum=0.0)
    embedding_loss: str = option('hinges', "Loss of the embeddings: the method's hinges of "
                                 'attraction and repulsion, or the Lovász hinge on the assignment '
                                 'of pixels, for which delta_a and regularization mean nothing',
                                 choices=('hinges', 'lovasz'))
    class_weight_power: float = option(0.5, 'Class weights are 1 / ln(1.1 + frequency) to this '
                                       'power', minimum=0.0, maximum=2.0)
    object_size_power: float = option(0.0, 'Pixels in and around an object weigh 1 / its size to '
                                      'this power in the semantic loss; 1: an object counts as '
                                      'much as its sides are long, 0: as its area is large',
                                      minimum=0.0, maximum=2.0)
    gamma: float = option(2.0, 'Exponent that modulates the center loss', minimum=0.0)
    center_positive_weight: float = option(4.0, 'Weight of center pixels against the others',
                                           minimum=0.0)
    delta_a: float = option(0.5, 'Attraction ends below this distance', minimum=0.0)
    delta_b: float = option(MARGIN * ModelInfo.duplicate_distance, 'Repulsion ends beyond this '
                            'distance; grouping takes centers for duplicates that are nearer than '
                            'two thirds of it', minimum=0.0)
    regularization: float = option(0.001, 'Weight of the L2 norm of the embeddings', minimum=0.0)
    distillation_weight: float = option(0.0, 'Weight of the difference from the class '
                                        'probabilities of model.teacher', minimum=0.0)
    consistency_weight: float = option(0.0, 'Weight of the difference from the detections that '
                                       "a detector's network starts with", minimum=0.0)
    distillation_period: int = option(1, 'Steps from one comparison with the teacher and the '
                                      'initial detector to the next; each counts so many times',
                                      unit='steps', minimum=1)

    def __post_init__(self) -> None:
        check_options(self, 'loss')

    @property
    def duplicate_distance(self) -> float:
        """Distance below which grouping takes two centers for the same object."""
        return self.delta_b / MARGIN


def class_weights(frequencies: Tensor, power: float) -> Tensor:
    """Weights of the classes, (1 / ln(1.1 + p)) ** power, scaled to a mean of 1.

    The form 1 / ln(c + p) is that of Paszke et al., "ENet", 2016; the constant 1.1 and the power
    are ours.
    """
    weights = (1.0 / torch.log(1.1 + frequencies)) ** power
    return weights / weights.mean()


def semantic_loss(logits: Tensor, target: Tensor, weights: Tensor,
                  candidates: Tensor | None = None, pixel_weights: Tensor | float = 1.0
                  ) -> Tensor:
    """Weighted cross-entropy, averaged over the weights of the pixels that are not ignored.

    sum_i v_i w[y_i] (-ln P_i) / sum_i v_i w[y_i], where y_i is the label of pixel i, v_i its own
    weight, and P_i is the summed probability of all classes that it may have: of y_i alone, or,
    where y_i is 0, of the image's candidates. With p_i, the softmax of the pixel's logits,
    P_i = sum_c p_i[c].

    Weighted cross-entropy is the method's; the weighted mean is what PyTorch calls
    `reduction='mean'`, but 0 where every pixel is ignored. The summed probability for classes that
    are not labelled is the marginal loss of Shi et al., "Marginal Loss and Exclusion Loss for
    Partially Supervised Multi-Organ Segmentation", Medical Image Analysis 70, 2021.

    Parameters
    ----------
    logits : (N, C, H, W)
    target : (N, H, W) int64
        255: ignore.
    weights : (C,)
    candidates : (N, C) bool, optional
        Classes that a pixel of each image with label 0 may have; default: only class 0.
    pixel_weights : (N, H, W), optional
        Default: all alike.
    """
    valid = target != UNLABELLED
    label = target.where(valid, torch.zeros_like(target))
    log_shares = F.log_softmax(logits, 1)
    log_right = log_shares.gather(1, label[:, None])[:, 0]
    if candidates is not None:
        possible = log_shares.masked_fill(~candidates[:, :, None, None], -torch.inf)
        log_right = torch.where(label == 0, possible.logsumexp(1), log_right)
    weight = weights[label] * valid * pixel_weights
    return -(log_right * weight).sum() / weight.sum().clamp(min=TINY)


def unlabelled_share(logits: Tensor, candidates: Tensor, thing_ids: Sequence[int]) -> Tensor:
    """Return how probable it is that a pixel with label 0 shows an unlabelled thing.

    The share of the things among the candidates in their summed probability, by the network's
    own class probabilities, without gradient.

    Parameters
    ----------
    logits : (N, C, H, W)
    candidates : (N, C) bool
    thing_ids : sequence of int

    Returns
    -------
    (N, H, W)
    """
    things = torch.zeros_like(candidates)
    things[:, list(thing_ids)] = True
    things[:, 0] = False

    def mass(classes: Tensor) -> Tensor:
        return logits.detach().masked_fill(~classes[:, :, None, None], -torch.inf).logsumexp(1)

    return (mass(candidates & things) - mass(candidates)).exp()


def embedding_loss(embedding: Tensor, instance_ids: Tensor, config: LossConfig) -> Tensor:
    """Attraction within an instance, repulsion between instances of an image, L2 regularisation.

    With m_k the mean embedding of instance k and [x]+ = max(x, 0):

    - attraction: mean over instances of the mean over their pixels of [|e_i - m_k| - delta_a]+^2
    - repulsion: sum over pairs of instances of one image of [delta_b - |m_j - m_k|]+^2, divided
      by the number of instances. (A mean over the pairs would drown the few near ones, which
      matter, in a crowd.)
    - regularisation: mean over instances of |m_k|, without the position (see below)

    The hinges are those of De Brabandere, Neven and Van Gool, "Semantic Instance Segmentation with
    a Discriminative Loss Function", 2017, with the distances measured as the method describes:
    nothing to pull closer than delta_a, nothing to push beyond delta_b. The norm is taken of the
    channels that carry no position (all but the first two): how far an object is from the image's
    corner is nothing to be punished.

    Parameters
    ----------
    embedding : (N, E, H, W) float
    instance_ids : (N, H, W) int64
        0: none.
    """
    n, size = embedding.shape[:2]
    limit = int(instance_ids.max()) + 1
    image = torch.arange(n, device=embedding.device).view(n, 1, 1)
    labelled = instance_ids > 0
    keys, pixel_instance, counts = torch.unique(
        (image * limit + instance_ids)[labelled], return_inverse=True, return_counts=True)
    if len(keys) == 0:
        return embedding.sum() * 0.0
    pixels = embedding.permute(0, 2, 3, 1)[labelled].float()
    counts = counts.to(pixels.dtype)
    sums = pixels.new_zeros(len(keys), size).index_add_(0, pixel_instance, pixels)
    means = sums / counts[:, None]

    gap = _norm(pixels - means[pixel_instance])
    excess = F.relu(gap - config.delta_a) ** 2
    attraction = (excess / counts[pixel_instance]).sum() / len(keys)

    owner = torch.div(keys, limit, rounding_mode='floor')
    first, second = torch.triu_indices(len(keys), len(keys), 1, device=keys.device)
    same_image = owner[first] == owner[second]
    first, second = first[same_image], second[same_image]
    lack = F.relu(config.delta_b - _norm(means[first] - means[second])) ** 2
    repulsion = lack.sum() / len(keys)

    norm = _norm(means[:, 2:]).mean()
    return attraction + repulsion + config.regularization * norm


def _norm(vectors: Tensor) -> Tensor:
    # The gradient of a norm is not a number at 0, where an instance of one pixel sits exactly.
    return (vectors.square().sum(-1) + 1e-12).sqrt()


def total_loss(prediction: Prediction, semantic_ids: Tensor, instance_ids: Tensor,
               center_mask: Tensor, weights: Tensor, config: LossConfig,
               candidates: Tensor | None = None, thing_ids: Sequence[int] = ()
               ) -> dict[str, Tensor]:
    """Return the three losses and, as 'total', their weighted sum.

    The sum is the method's, its weights are ours. With `score_weight`, that of a detector's scores
    is added.

    Parameters
    ----------
    prediction : Prediction
    semantic_ids, instance_ids : (N, H, W) int64
        255: ignore; 0: no instance.
    center_mask : (N, H, W) uint8
        1: center, 0: none, 255: ignore.
    weights : (C,)
        Of the classes.
    config : LossConfig
    candidates : (N, C) bool, optional
        Classes that a pixel of each image with semantic id 0 may have; default: only class 0.
    thing_ids : sequence of int
        Classes that have instances.
    """
    semantic = prediction.semantic.float()
    if candidates is None:
        unlabelled = None
    else:
        unlabelled = unlabelled_share(semantic, candidates, thing_ids) * (semantic_ids == 0)
    pixel_weights = (size_weights(instance_ids, config.object_size_power)
                     if config.object_size_power else 1.0)
    losses = {
        'semantic': semantic_loss(semantic, semantic_ids, weights, candidates, pixel_weights),
        'center': center_loss(prediction.center.float(), center_mask, config.gamma,
                              config.center_positive_weight, unlabelled),
        'embedding': _embedding_loss(prediction, instance_ids, semantic_ids, config)}
    losses['total'] = (config.semantic_weight * losses['semantic']
                       + config.center_weight * losses['center']
                       + config.embedding_weight * losses['embedding'])
    if config.score_weight and prediction.detections is not None:
        losses['score'] = score_loss(
            prediction.detections, semantic_ids, instance_ids, center_mask, candidates, thing_ids,
            gamma=config.gamma, positive_weight=config.center_positive_weight)
        losses['total'] = losses['total'] + config.score_weight * losses['score']
    if config.assignment_weight and prediction.corrected is not None:
        losses['assignment'] = assignment_loss(prediction, semantic_ids, instance_ids, thing_ids)
        losses['total'] = losses['total'] + config.assignment_weight * losses['assignment']
    return losses


def _embedding_loss(prediction: Prediction, instance_ids: Tensor, semantic_ids: Tensor,
                    config: LossConfig) -> Tensor:
    """Return the loss that the configuration names."""
    if config.embedding_loss == 'hinges':
        return embedding_loss(prediction.embedding, instance_ids, config)

    def euclidean(points: Tensor, centers: Tensor) -> Tensor:
        squares = (points[:, None] - centers[None]).square()
        return squares.sum(-1) / config.duplicate_distance ** 2

    distances = euclidean if prediction.detections is None else relative_distances
    return lovasz_embedding_loss(prediction.embedding, instance_ids, semantic_ids, distances)
