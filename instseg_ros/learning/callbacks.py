"""Lightning's checkpoints, early stopping and progress bar, as `instseg train` uses them.

Reading a checkpoint takes no Lightning, see `checkpoints.py`.
"""
from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.plugins.io import TorchCheckpointIO

from instseg_ros.files import replacing
from instseg_ros.learning.checkpoints import ENTRY, FORMAT
from instseg_ros.learning.data_record import DataRecord
from instseg_ros.learning.integrity import CHECKSUM, checksum


class MetadataWriter(Callback):
    """Writes the entries of `CheckpointMetadata` into every checkpoint.

    Parameters
    ----------
    data : DataRecord
    """

    def __init__(self, data: DataRecord) -> None:
        self.data = data

    def on_save_checkpoint(self, trainer: lightning.Trainer, module: lightning.LightningModule,
                           checkpoint: dict[str, Any]) -> None:
        checkpoint[ENTRY] = {'format': FORMAT, 'processes': trainer.world_size,
                             'data': self.data.to_dict(), CHECKSUM: checksum(checkpoint)}


class CheckpointFiles(TorchCheckpointIO):
    """Writes a checkpoint beside the one that it replaces, which stays if writing fails.

    Lightning writes to the system's temporary folder first. If that is on another disk, the file
    is then copied over the old checkpoint, and a full disk would cost both.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path,
                        storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises
        ------
        OSError
            There is no room or no permission; naming the file.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(content.getbuffer())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best checkpoint, also in a folder that has moved since."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, 'dirpath': self.dirpath})


class Patience(EarlyStopping):
    """Stops a training that has stopped improving; a resumed one may have another patience."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, 'patience': self.patience})


class Progress(TQDMProgressBar):
    """One bar over all epochs: the remaining time is that of the training, not of the epoch."""

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule
                       ) -> None:
        super().on_train_start(trainer, module)
        bar = self.train_progress_bar
        bar.total = int(trainer.estimated_stepping_batches)
        bar.initial = bar.n = trainer.global_step  # more than 0 in a resumed training

    def on_train_epoch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.train_progress_bar.set_description(
            f'epoch {trainer.current_epoch + 1} of {trainer.max_epochs}')

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule,
                           *_: Any) -> None:
        self.train_progress_bar.set_postfix(self.get_metrics(trainer, module), refresh=False)
        self.train_progress_bar.update()

    def on_exception(self, *_: Any) -> None:
        with suppress(TypeError):  # before the training starts there is no bar
            self.train_progress_bar.close()

    def get_metrics(self, trainer: lightning.Trainer, module: lightning.LightningModule
                    ) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, module)
        metrics.pop('v_num', None)  # runs have folders here, not numbers
        return metrics
