"""What a training is to keep of networks that know something already.

A teacher is a checkpoint with (some of) the same classes: on every image, labelled or not, the
class probabilities stay near the teacher's (Hinton, Vinyals and Dean, "Distilling the Knowledge in
a Neural Network", 2015). A detector that goes on training with its encoder stays near the
detections that it started with.
"""
from __future__ import annotations

from typing import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.detector.heads import (
    BINS,
    SIDES,
    Detections,
    DetectorHeads,
    load_detector,
)
from instseg_ros.learning.encoders import build_encoder
from instseg_ros.learning.model import Prediction


class Distillation:
    """The losses of staying near a teacher and near the initial detector.

    Parameters
    ----------
    config : TrainingConfig
        `model.teacher` and `model.weights` are read if the weights of their losses are not 0.
    device : torch.device

    Raises
    ------
    ValueError
        A file can't be read, or the teacher has none of the classes or another output stride.
    """

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        from instseg_ros.learning.checkpoints import load_checkpoint

        self.config = config.loss
        self.teacher = self.encoder = None
        if self.config.distillation_weight:
            teacher, theirs, _ = load_checkpoint(config.model.teacher)
            if teacher.output_stride != config.model.output_stride:
                raise ValueError('model.teacher: expected a network of output stride '
                                 f'{config.model.output_stride}, got one of '
                                 f'{teacher.output_stride}')
            self.teacher = _frozen(teacher, device)
            self.groups = class_groups(config.data.classes, theirs.data.classes).to(device)
        if self.config.consistency_weight:
            encoder = build_encoder(config.model.encoder)
            names = [config.data.classes[k] for k in config.data.thing_ids]
            heads = DetectorHeads(encoder.channels[8], len(names))
            load_detector(encoder, heads, config.model.weights, names)
            self.encoder, self.heads = _frozen(encoder, device), _frozen(heads, device)
            self.mean, self.std = (torch.tensor(values, device=device).view(1, 3, 1, 1)
                                   for values in (encoder.mean, encoder.std))

    def losses(self, image: Tensor, prediction: Prediction, step: int) -> dict[str, Tensor]:
        """Return the weighted losses by name; none in steps without a comparison.

        Both networks together take about a third of the time of a step.

        Parameters
        ----------
        image : (N, 3, H, W) with values in [0, 255]
        prediction : Prediction
        step : int
            Training steps so far.
        """
        found: dict[str, Tensor] = {}
        period = self.config.distillation_period
        if step % period:
            return found
        image = image.contiguous(memory_format=torch.channels_last)
        if self.teacher is not None:
            with torch.no_grad():
                wanted = self.teacher(image).semantic.float().softmax(1)
            found['distillation'] = self.config.distillation_weight * period * distillation_loss(
                prediction.semantic.float(), wanted, self.groups)
        if self.encoder is not None:
            assert prediction.detections is not None  # of a detector
            with torch.no_grad():
                initial = self.heads(self.encoder((image - self.mean) / self.std))
            found['consistency'] = self.config.consistency_weight * period * consistency_loss(
                prediction.detections, initial)
        return found


def _frozen(module: nn.Module, device: torch.device) -> nn.Module:
    return module.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


def class_groups(ours: Sequence[str], theirs: Sequence[str]) -> Tensor:
    """Return which of the teacher's classes (T,) each of ours is, as its one-hot rows (C, T).

    A class that the teacher doesn't have is its first one, the background.

    Raises
    ------
    ValueError
        The teacher has no class of ours but that.
    """
    index = [theirs.index(name) if name in theirs else 0 for name in ours]
    if not any(index):
        raise ValueError(f'model.teacher: expected some of the classes {", ".join(ours)}, got '
                         f'{", ".join(theirs)}')
    return F.one_hot(torch.tensor(index), len(theirs)).float()


def distillation_loss(logits: Tensor, wanted: Tensor, groups: Tensor) -> Tensor:
    """Cross-entropy between the teacher's probabilities and ours, summed over its classes.

    Parameters
    ----------
    logits : (N, C, H, W)
    wanted : (N, T, H, W)
        The teacher's probabilities.
    groups : (C, T)
        See `class_groups`.
    """
    probabilities = torch.einsum('nchw,ct->nthw', logits.softmax(1), groups)
    return -(wanted * probabilities.clamp(min=1e-6).log()).sum(1).mean()


def consistency_loss(detections: Mapping[int, Detections],
                     initial: Mapping[int, Detections]) -> Tensor:
    """Difference of the detections from those of the detector that training started from.

    Squared differences of the class scores, and Kullback-Leibler divergences of the distances to
    the sides, where the initial detector sees an object; both relative to the sum of its scores,
    so that the many empty cells don't count. (Ours.)
    """
    differences, seen = [], []
    for stride, wanted in initial.items():
        found = detections[stride]
        scores = wanted.classes.float().sigmoid()
        error = (found.classes.float().sigmoid() - scores).square().sum()
        best = scores.amax(1)
        target, log_found = (
            level.distances.float().unflatten(1, (SIDES, BINS)).log_softmax(2)
            for level in (wanted, found))
        divergence = (target.exp() * (target - log_found)).sum(2).mean(1)
        differences.append(error + (best * divergence).sum())
        seen.append(best.sum())
    return torch.stack(differences).sum() / torch.stack(seen).sum().clamp(min=1.0)
