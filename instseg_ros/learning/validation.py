"""What the held-out images say of a training: how good it would be as a model, epoch by epoch.

The network is judged with the moving average of its weights, by the grouping of the robot and the
figures of `instseg_ros.evaluation`, on the output grid. As the raw confidences of the centers are
not calibrated during training, the panoptic quality is that of the best of a few thresholds.

Classes and objects don't peak together: classes are best early, before the training images are
learned by heart, and centers go on improving long after.
"""
from __future__ import annotations

import dataclasses
import functools
import operator
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from instseg_ros.core.types import ModelInfo, NetworkOutput
from instseg_ros.evaluation.partial_labels import restrict_classes
from instseg_ros.evaluation.semantic import SemanticScore
from instseg_ros.learning.calibration import CANDIDATE_THRESHOLDS, Calibration, ThingQuality
from instseg_ros.learning.export.wrapper import ExportedNetwork
from instseg_ros.learning.module import TrainingModule, Validated
from instseg_ros.learning.data_module import targets_of

THRESHOLDS = CANDIDATE_THRESHOLDS[::4]
"""Raw confidences that are tried: fewer than for calibration, as they are tried often."""


class HeldOutScore:
    """Losses and figures of one or, added up with `+`, many held-out images."""

    def __init__(self, info: ModelInfo) -> None:
        self.images = 0
        self.losses: dict[str, float] = {}
        self.semantic = SemanticScore(len(info.class_names))
        self.things = ThingQuality(info, THRESHOLDS)

    def __add__(self, other: HeldOutScore) -> HeldOutScore:
        result = HeldOutScore(self.things.info)
        for name in ('images', 'semantic', 'things'):
            setattr(result, name, getattr(self, name) + getattr(other, name))
        for losses in (self.losses, other.losses):
            result._add_losses(losses)
        return result

    def update(self, output: NetworkOutput, sample: dict[str, Tensor],
               losses: dict[str, Tensor]) -> None:
        """Add an image."""
        target = targets_of(sample)
        self.images += 1
        self._add_losses({name: loss.item() for name, loss in losses.items()})
        candidates = sample['candidates'].nonzero()[:, 0].tolist()
        output = dataclasses.replace(output, semantic_ids=restrict_classes(
            output.semantic_ids, target.semantic_ids, candidates))
        self.semantic.update(target.semantic_ids, output.semantic_ids)
        self.things.update(output, target)

    def _add_losses(self, losses: dict[str, float]) -> None:
        for name, loss in losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + loss

    @property
    def values(self) -> dict[str, float]:
        """Name and value of every figure, as the curves have them."""
        best = self.things.best_threshold
        return {**{name: total / self.images for name, total in self.losses.items()},
                'miou': self.semantic.miou, 'pq_things': self.things.values[best],
                'threshold': best}


class HeldOutFigures(Callback):
    """Logs losses, mean IoU and panoptic quality of things of all held-out images together."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info
        self.score = HeldOutScore(info)

    def on_validation_epoch_start(self, trainer: lightning.Trainer,
                                  module: TrainingModule) -> None:
        self.score = HeldOutScore(self.info)

    def on_validation_batch_end(self, trainer: lightning.Trainer, module: TrainingModule,
                                outputs: Validated, batch: dict[str, Tensor], *_: Any) -> None:
        self.score.update(network_output(module, outputs), first_of(batch), outputs.losses)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: TrainingModule) -> None:
        values = _over_processes(self.score).values
        module.log_dict({f'held_out/{name}': value for name, value in values.items()},
                        sync_dist=True)


def network_output(module: TrainingModule, validated: Validated) -> NetworkOutput:
    """Return what the exported network would say of the first image of a batch."""
    interpreter = ExportedNetwork(module.network, Calibration())
    return NetworkOutput(*(tensor[0].cpu().numpy()
                           for tensor in interpreter.interpret(validated.prediction)))


def first_of(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the first image of a batch, with its targets."""
    return {name: tensor[0] for name, tensor in batch.items()}


def _over_processes(score: HeldOutScore) -> HeldOutScore:
    if not torch.distributed.is_initialized():
        return score
    scores: list[HeldOutScore] = [score] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(scores, score)
    return functools.reduce(operator.add, scores)
