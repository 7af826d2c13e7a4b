"""Pictures of held-out images during a training: people look rather than read figures."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.postprocessing import Postprocessor
from instseg_ros.core.types import ModelInfo, NetworkOutput, Segmentation
from instseg_ros.files import replacing
from instseg_ros.learning.validation import first_of, network_output
from instseg_ros.learning.module import TrainingModule, Validated
from instseg_ros.learning.targets import Targets
from instseg_ros.learning.data_module import targets_of
from instseg_ros.visualization import contact_sheet, overlay

COUNT = 4
"""Images that are shown: the first ones with an object."""
TILE = 448
"""Side of a picture on the sheet, in pixels; images of other shapes are padded."""


class HeldOutPictures(Callback):
    """Draws image, result, confidence of centers, and truth; a row for each of a few images.

    Parameters
    ----------
    info : ModelInfo
    folder : path
        Gets a PNG file for each look at the held-out images. TensorBoard gets the same picture.
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
        if trainer.is_global_zero and len(self.shown) < COUNT and sample['instance_ids'].any():
            image = sample['image'].permute(1, 2, 0).contiguous().cpu().numpy()
            confidence = outputs.prediction.center[0].sigmoid().cpu().numpy()
            self.shown.append((image, network_output(module, outputs), confidence,
                               targets_of(sample)))

    def on_validation_end(self, trainer: lightning.Trainer, module: TrainingModule) -> None:
        if not self.shown:
            return
        threshold = float(trainer.callback_metrics['held_out/threshold'])
        tiles = [tile for shown in self.shown for tile in row(*shown, self.info, threshold)]
        sheet = contact_sheet(tiles, columns=len(tiles) // len(self.shown))
        self.shown = []
        with replacing(self.folder / f'epoch-{trainer.current_epoch + 1:04d}.png') as path:
            cv2.imwrite(str(path), sheet[..., ::-1])
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image('held_out', sheet, trainer.global_step,
                                            dataformats='HWC')


def row(image: np.ndarray, output: NetworkOutput, confidence: np.ndarray, truth: Targets,
        info: ModelInfo, threshold: float) -> list[np.ndarray]:
    """Return four TILE x TILE pictures: image, result, confidence of centers, and truth.

    Parameters
    ----------
    image : (H0, W0, 3) uint8, RGB
    output : NetworkOutput
    confidence : (H, W) float32, in [0, 1]
        Raw confidence of being a center, before all but the peaks are taken out.
    truth : Targets
    info : ModelInfo
    threshold : float
        Raw confidence from which on a center counts.
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
