"""The training as a Lightning module: network, losses, optimizer and schedule."""
from __future__ import annotations

from typing import Callable, NamedTuple

import lightning
import torch
from torch import Tensor, nn

from instseg_ros.learning.augmentation import change_colors
from instseg_ros.learning.build import build_network
from instseg_ros.learning.config import TRAINED_PARTS, TrainingConfig
from instseg_ros.learning.detector.model_weights import is_folded
from instseg_ros.learning.distillation import Distillation
from instseg_ros.learning.encoders import Encoder
from instseg_ros.learning.losses import class_weights, total_loss
from instseg_ros.learning.model import Prediction

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises to its peak."""


class Validated(NamedTuple):
    """Prediction and losses of a batch of validation images."""

    prediction: Prediction
    losses: dict[str, Tensor]


class TrainingModule(lightning.LightningModule):
    """Network, losses and optimizer of a training.

    Parameters
    ----------
    config : TrainingConfig
    frequencies : (C,) float tensor, optional
        Share of each class in the labelled pixels; without it, all classes count the same.
    """

    def __init__(self, config: TrainingConfig, frequencies: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        self.network = build_network(config)
        if config.model.trained != 'all':
            self.network.requires_grad_(False)
            for part in self._trained_parts():
                part.requires_grad_(True)
        for part in self.network.pretrained:
            if isinstance(part, Encoder):
                part.freeze(config.model.frozen_stages)
        classes = len(config.data.classes)
        weights = torch.ones(classes) if frequencies is None else class_weights(
            frequencies, config.loss.class_weight_power)
        self.register_buffer('class_weights', weights)
        # A plain dictionary, so that a checkpoint loads without unpickling our classes.
        self.save_hyperparameters({'config': config.to_dict()})

    def train(self, mode: bool = True) -> TrainingModule:
        """Set the mode; parts that are not trained keep that of inference.

        So do normalisations that are folded into the weights of a model file: statistics of a
        batch would undo that. Parts that the file lacks learn theirs.
        """
        super().train(mode)
        if self.config.model.trained != 'all':
            self.network.eval()
            for part in self._trained_parts():
                part.train(mode)
        for layer in self.network.modules():
            if is_folded(layer):
                layer.eval()
        return self

    def _trained_parts(self) -> list[nn.Module]:
        """Return the parts of the network that `model.trained` names.

        Raises
        ------
        ValueError
            It has none of them.
        """
        found, wanted = dict(self.network.named_modules()), self.config.model.trained
        parts = [found[part] for part in TRAINED_PARTS[wanted] if part in found]
        if not parts:
            names = ', '.join(name for name, _ in self.network.named_children())
            raise ValueError(f'model.trained: the network has no part for {wanted!r}, only '
                             f'{names}')
        return parts

    def on_fit_start(self) -> None:
        # No part of the module: what training keeps to is in no checkpoint of it.
        self.distillation = Distillation(self.config, self.device)

    def on_train_start(self) -> None:
        self.train()  # Lightning leaves the modes as it finds them

    def on_train_epoch_start(self) -> None:
        if self.current_epoch + 1 == self.trainer.max_epochs:
            # The last epoch is always validated: its learning rate is the lowest.
            self.trainer.check_val_every_n_epoch = 1

    def on_train_epoch_end(self) -> None:
        # Before the checkpoints are written: the last good one stays.
        if not all(bool(weights.isfinite().all()) for weights in self.network.parameters()):
            raise ValueError(f'after epoch {self.current_epoch + 1} some weights are infinite or '
                             'no numbers: lower optimization.learning_rate, raise '
                             'optimization.batch_size, or check model.weights')

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_index: int) -> None:
        # Dropout depends on the number of the step alone, as the crops do on theirs: a resumed
        # training does what an uninterrupted one would have done.
        step = self.config.optimization.seed * 1_000_003 + self.global_step
        torch.manual_seed(step * self.trainer.world_size + self.global_rank)

    def on_after_batch_transfer(self, batch: dict[str, Tensor], index: int) -> dict[str, Tensor]:
        # On the training device; each crop comes with its own map of colours.
        if 'color_map' in batch:
            batch['image'] = change_colors(batch['image'], batch.pop('color_map'))
        return batch

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        prediction = self._predict(batch)
        losses = self._losses(prediction, batch)
        kept = self.distillation.losses(batch['image'].float(), prediction, self.global_step)
        losses = {**losses, **kept, 'total': sum(kept.values(), losses['total'])}
        self.log_dict({f'train/{key}': value.detach() for key, value in losses.items()},
                      on_step=False, on_epoch=True, batch_size=len(batch['image']),
                      sync_dist=True)
        self.log('loss', losses['total'].detach(), prog_bar=True, logger=False)
        return losses['total']

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> Validated:
        # In float32, as the exported network computes: in bfloat16 neighbours are often equally
        # strong, and each would be a center.
        with torch.autocast(self.device.type, enabled=False):
            prediction = self._predict(batch)
            return Validated(prediction, self._losses(prediction, batch))

    def _predict(self, batch: dict[str, Tensor]) -> Prediction:
        return self.network(batch['image'].float().contiguous(memory_format=torch.channels_last))

    def _losses(self, prediction: Prediction, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return total_loss(prediction, batch['semantic_ids'], batch['instance_ids'],
                          batch['center_mask'], self.class_weights, self.config.loss,
                          batch['candidates'], self.config.data.thing_ids)

    def configure_optimizers(self) -> dict:
        options = self.config.optimization
        groups = []
        for part in self.network.children():
            rate = options.learning_rate * (
                options.encoder_factor if part in self.network.pretrained else 1.0)
            parameters = [p for p in part.parameters() if p.requires_grad]
            if parameters:
                groups.append({'params': parameters, 'lr': rate})
        optimizer = torch.optim.AdamW(groups, weight_decay=options.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=[group['lr'] for group in groups], total_steps=steps,
            # PyTorch divides by 0 where the warm-up is a single step.
            pct_start=WARM_UP if WARM_UP * steps > 1 else 0.0)
        return {'optimizer': optimizer,
                'lr_scheduler': {'scheduler': schedule, 'interval': 'step'}}


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the update rule of the moving average of the weights.

    average + (1 - d) (weights - average) with d = min(decay, (1 + n) / (10 + n)) after n steps: at
    first the average is short, so that the initial weights are forgotten also in a short training.
    The growing decay is that of TensorFlow's `ExponentialMovingAverage` with `num_updates`.
    """
    def update(average: Tensor, weights: Tensor, steps: Tensor) -> Tensor:
        n = int(steps)
        return average + (1 - min(decay, (1 + n) / (10 + n))) * (weights - average)

    return update
