"""What a training is to keep of networks that know something already.

A teacher is a trained network with (some of) the same classes: on every image, labelled or not,
the class probabilities stay near those of the teachers (Hinton, Vinyals and Dean, "Distilling the
Knowledge in a Neural Network", 2015). A detector that goes on training with its encoder stays near
the detections that it started with.
"""
from __future__ import annotations

from typing import Callable, Mapping, NamedTuple, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.deeplab import DeepLab
from instseg_ros.learning.detector.heads import (
    BINS,
    SIDES,
    Detections,
    DetectorHeads,
    load_detector,
)
from instseg_ros.learning.encoders import Encoder, build_encoder
from instseg_ros.learning.encoders.encoder import TENSOR_FILES
from instseg_ros.learning.model import VOC_CLASSES, Prediction


class Distillation:
    """The losses of staying near the teachers and near the initial detector.

    Parameters
    ----------
    config : TrainingConfig
        `model.teacher` and `model.weights` are read if the weights of their losses are not 0.
    device : torch.device

    Raises
    ------
    ValueError
        A file can't be read, or a teacher has none of the classes or another output stride.
    """

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        self.config = config.loss
        self.teachers = [Teacher(path, config, device) for path in config.model.teacher
                         if self.config.distillation_weight]
        self.encoder = None
        if self.config.consistency_weight:
            encoder, heads = _initial_detector(config)
            for part in (encoder, heads):
                _freeze(part, device)
            self.encoder, self.heads = encoder, heads
            self.mean, self.std = (torch.tensor(values, device=device).view(1, 3, 1, 1)
                                   for values in (encoder.mean, encoder.std))

    def losses(self, image: Tensor, prediction: Prediction, step: int) -> dict[str, Tensor]:
        """Return the weighted losses by name; none in steps without a comparison.

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
        if self.teachers:
            mean = torch.stack([teacher.loss(image, prediction.semantic)
                                for teacher in self.teachers]).mean()
            found['distillation'] = self.config.distillation_weight * period * mean
        if self.encoder is not None:
            assert prediction.detections is not None  # of a detector
            with torch.no_grad():
                initial = self.heads(self.encoder((image - self.mean) / self.std))
            found['consistency'] = self.config.consistency_weight * period * consistency_loss(
                prediction.detections, initial)
        return found


class Teacher:
    """A trained network, and how its classes and ours are compared.

    Parameters
    ----------
    path : str
        A checkpoint, or the weights of a `DeepLab`.
    config : TrainingConfig
        Of the training.
    device : torch.device

    Raises
    ------
    ValueError
        The file can't be read, or the network has none of the classes or another output stride.
    """

    def __init__(self, path: str, config: TrainingConfig, device: torch.device) -> None:
        try:
            self.logits, classes = _class_logits(path, config.model.output_stride, device)
            groups = class_groups(config.data.classes, classes, path)
        except ValueError as error:
            raise ValueError(f'model.teacher: {error}') from error
        self.groups = ClassGroups(*(one_hot.to(device) for one_hot in groups))

    def loss(self, image: Tensor, logits: Tensor) -> Tensor:
        """Return the `distillation_loss` of our logits for images with values in [0, 255]."""
        with torch.no_grad():
            wanted = self.logits(image).float().softmax(1)
        return distillation_loss(logits, wanted, self.groups)


def _initial_detector(config: TrainingConfig) -> tuple[Encoder, DetectorHeads]:
    """Return the detector that a training starts with: of a file of its own, or a checkpoint's."""
    from instseg_ros.learning.checkpoints import load_checkpoint

    if config.model.weights.endswith('.ckpt'):
        network, _, _ = load_checkpoint(config.model.weights)
        return network.encoder, network.heads
    encoder = build_encoder(config.model.encoder)
    names = [config.data.classes[k] for k in config.data.thing_ids]
    heads = DetectorHeads(encoder.channels[8], len(names))
    load_detector(encoder, heads, config.model.weights, names)
    return encoder, heads


def _class_logits(path: str, stride: int, device: torch.device,
                  ) -> tuple[Callable[[Tensor], Tensor], Sequence[str]]:
    """Return a function from images to logits at the output stride, and the classes' names."""
    from instseg_ros.learning.checkpoints import load_checkpoint

    if path.endswith(TENSOR_FILES):
        deeplab = DeepLab()
        deeplab.load_weights(path)
        _freeze(deeplab, device)
        return lambda image: deeplab.class_logits(image, stride), VOC_CLASSES
    network, config, _ = load_checkpoint(path)
    if network.output_stride != stride:
        raise ValueError(f'{path}: expected a network of output stride {stride}, got one of '
                         f'{network.output_stride}')
    _freeze(network, device)
    return lambda image: network(image).semantic, config.data.classes


def _freeze(module: nn.Module, device: torch.device) -> None:
    module.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


class ClassGroups(NamedTuple):
    """The groups in which our classes and a teacher's can be compared, as one-hot rows.

    Attributes
    ----------
    ours : (C, G)
    theirs : (T, G)
    """

    ours: Tensor
    theirs: Tensor


def class_groups(ours: Sequence[str], theirs: Sequence[str], path: str = '') -> ClassGroups:
    """Group the classes of a student and a teacher: one group for each class that both have.

    The first group is all else: the teacher's first class, which is its background, its classes
    that we don't have, and our classes that it doesn't have. Where the teacher takes an object of
    such a class of ours for another one, as it may take a truck for a car, it teaches that.

    Parameters
    ----------
    ours, theirs : sequence of str
        Names of the classes.
    path : str
        Of the teacher, for messages.

    Raises
    ------
    ValueError
        There is no other group.
    """
    common = [name for name in theirs[1:] if name in ours]
    if not common:
        raise ValueError(f'{path}: expected some of the classes {", ".join(ours)}, got '
                         f'{", ".join(theirs)}')
    return ClassGroups(*(
        F.one_hot(torch.tensor([common.index(name) + 1 if name in common else 0
                                for name in names]), len(common) + 1).float()
        for names in (ours, theirs)))


def distillation_loss(logits: Tensor, wanted: Tensor, groups: ClassGroups) -> Tensor:
    """Cross-entropy between the teacher's probabilities and ours, each summed in groups.

    Parameters
    ----------
    logits : (N, C, H, W)
    wanted : (N, T, H, W)
        The teacher's probabilities.
    groups : ClassGroups
    """
    probabilities = logits.float().softmax(1)
    with torch.autocast(logits.device.type, enabled=False):  # 8 bits are too few for the sums
        found = torch.einsum('nchw,cg->nghw', probabilities, groups.ours)
        target = torch.einsum('nthw,tg->nghw', wanted, groups.theirs)
    return -(target * found.clamp(min=1e-6).log()).sum(1).mean()


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
