"""Validation during a training: metrics and pictures of images that it does not train on.

They are those of the moving average of the weights, with the grouping used for inference and the
scores of `instseg_ros.evaluation`, on the output grid. The raw confidences of the centers are not
calibrated yet, so the panoptic quality is that of the best of a few thresholds.

Classes and objects don't peak together: classes are best early, before the network overfits to the
training images, and centers go on improving long after.
"""
from __future__ import annotations

import functools
import operator
from pathlib import Path
from typing import Any

import cv2
import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.postprocessing import Postprocessor
from instseg_ros.core.types import ModelInfo, NetworkOutput, Segmentation
from instseg_ros.evaluation.semantic import SemanticScore
from instseg_ros.learning.calibration import (
    CANDIDATE_THRESHOLDS,
    Calibration,
    ThingQuality,
    restrict_output,
)
from instseg_ros.learning.data_module import targets_of
from instseg_ros.learning.export.wrapper import ExportedNetwork
from instseg_ros.learning.module import TrainingModule, Validated
from instseg_ros.learning.targets import Targets
from instseg_ros.media.images import write_image
from instseg_ros.visualization import contact_sheet, overlay

THRESHOLDS = CANDIDATE_THRESHOLDS[::4]
"""Raw confidences that are tried: fewer than for calibration, as they are tried often."""

PICTURES = 4
"""Images on a sheet: the first ones with an object."""
TILE = 448
"""Side of a picture on a sheet, in pixels; images that are not square are padded."""


class ValidationScore:
    """Losses and metrics of one or, added up with `+`, many validation images."""

    def __init__(self, info: ModelInfo) -> None:
        self.images = 0
        self.losses: dict[str, float] = {}
        self.semantic = SemanticScore(len(info.class_names))
        self.things = ThingQuality(info, THRESHOLDS)

    def __add__(self, other: ValidationScore) -> ValidationScore:
        result = ValidationScore(self.things.info)
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
        output = restrict_output(output, target)
        self.semantic.update(target.semantic_ids, output.semantic_ids)
        self.things.update(output, target)

    def _add_losses(self, losses: dict[str, float]) -> None:
        for name, loss in losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + loss

    @property
    def values(self) -> dict[str, float]:
        """Name and value of every metric, as the curves have them."""
        best = self.things.best_threshold
        return {**{name: total / self.images for name, total in self.losses.items()},
                'miou': self.semantic.miou, 'pq_things': self.things.values[best],
                'threshold': best}


class ValidationMetrics(Callback):
    """Logs losses, mean IoU and panoptic quality of things over all validation images."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info
        self.score = ValidationScore(info)

    def on_validation_epoch_start(self, trainer: lightning.Trainer,
                                  module: TrainingModule) -> None:
        self.score = ValidationScore(self.info)

    def on_validation_batch_end(self, trainer: lightning.Trainer, module: TrainingModule,
                                outputs: Validated, batch: dict[str, Tensor], *_: Any) -> None:
        self.score.update(network_output(module, outputs), first_of(batch), outputs.losses)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: TrainingModule) -> None:
        values = _over_processes(self.score).values
        module.log_dict({f'validation/{name}': value for name, value in values.items()},
                        sync_dist=True)


class ValidationPictures(Callback):
    """Draws image, result, confidence of centers, and truth; a row for each of a few images.

    Parameters
    ----------
    info : ModelInfo
    folder : path
        Gets a PNG file for each validation. TensorBoard gets the same picture.
    """

    def __init__(self, info: ModelInfo, folder: Path) -> None:
        self.info = info
        self.folder = folder
        self.shown: list[tuple[np.ndarray, NetworkOutput, np.ndarray, Targets]] = []

    def on_validation_epoch_start(self, trainer: lightning.Trainer,
                                  module: TrainingModule) -> None:
        self.shown = []

    def on_validation_batch_end(self, trainer: lightning.Trainer, module: TrainingModule,
                                outputs: Validated, batch: dict[str, Tensor], *_: Any) -> None:
        sample = first_of(batch)
        if trainer.is_global_zero and len(self.shown) < PICTURES and sample['instance_ids'].any():
            image = sample['image'].permute(1, 2, 0).contiguous().cpu().numpy()
            confidence = outputs.prediction.center[0].sigmoid().cpu().numpy()
            self.shown.append((image, network_output(module, outputs), confidence,
                               targets_of(sample)))

    def on_validation_end(self, trainer: lightning.Trainer, module: TrainingModule) -> None:
        if not self.shown:
            return
        threshold = float(trainer.callback_metrics['validation/threshold'])
        tiles = [tile for shown in self.shown
                 for tile in picture_row(*shown, self.info, threshold)]
        sheet = contact_sheet(tiles, columns=len(tiles) // len(self.shown))
        self.shown = []
        write_image(self.folder / f'epoch-{trainer.current_epoch + 1:04d}.png', sheet)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image('validation', sheet, trainer.global_step,
                                            dataformats='HWC')


def network_output(module: TrainingModule, validated: Validated) -> NetworkOutput:
    """Return the output of the exported network for the first image of a batch."""
    interpreter = ExportedNetwork(module.network, Calibration())
    return NetworkOutput(*(tensor[0].cpu().numpy()
                           for tensor in interpreter.interpret(validated.prediction)))


def first_of(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the first image of a batch, with its targets."""
    return {name: tensor[0] for name, tensor in batch.items()}


def _over_processes(score: ValidationScore) -> ValidationScore:
    if not torch.distributed.is_initialized():
        return score
    scores: list[ValidationScore] = [score] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(scores, score)
    return functools.reduce(operator.add, scores)


def picture_row(image: np.ndarray, output: NetworkOutput, confidence: np.ndarray, truth: Targets,
                info: ModelInfo, threshold: float) -> list[np.ndarray]:
    """Return four TILE x TILE pictures: image, result, confidence of centers, and truth.

    Parameters
    ----------
    image : (H0, W0, 3) uint8, RGB
    output : NetworkOutput
    confidence : (H, W) float32, in [0, 1]
        Raw confidence of being a center, at every pixel and not only at the peaks.
    truth : Targets
    info : ModelInfo
    threshold : float
        Least raw confidence of a center.
    """
    result = Postprocessor(info, GroupingConfig(threshold)).run(output, image)
    size = image.shape[1::-1]
    semantic_ids, instance_ids = (cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST)
                                  for ids in (truth.semantic_ids, truth.instance_ids))
    heat = cv2.applyColorMap(np.round(255 * confidence).astype(np.uint8), cv2.COLORMAP_INFERNO)
    heat = cv2.resize(heat[..., ::-1], size, interpolation=cv2.INTER_NEAREST)
    pictures = (image, overlay(image, result, info), heat,
                overlay(image, Segmentation(semantic_ids, instance_ids, (), 0, {}), info))
    return [_tile(picture) for picture in pictures]


def _tile(picture: np.ndarray) -> np.ndarray:
    """Return a picture scaled and padded to TILE x TILE pixels."""
    height, width = (max(1, round(side * TILE / max(picture.shape)))
                     for side in picture.shape[:2])
    tile = np.zeros((TILE, TILE, 3), np.uint8)
    tile[:height, :width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return tile
