"""Joint training of the three decoders and the encoder."""
from __future__ import annotations

import dataclasses
import signal
from pathlib import Path
from typing import Any, Sequence

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from instseg_ros.learning.augmentation import change_colors
from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.data import CachedSamples, EpochSampler, TrainingCrops, WholeImages
from instseg_ros.learning.datasets import objects_shown, open_dataset
from instseg_ros.learning.encoders import build_encoder
from instseg_ros.learning.losses import class_weights, total_loss
from instseg_ros.learning.model import InstanceSegmentationNetwork, load_initial_weights
from instseg_ros.learning.targets import Targets


FEW_IMAGES = 100
"""Below this number of images with objects, training says that they are few."""


def build_network(config: TrainingConfig) -> InstanceSegmentationNetwork:
    """Return the network of a configuration, with random weights."""
    return InstanceSegmentationNetwork(
        encoder=build_encoder(config.model.encoder), classes=len(config.data.classes),
        embedding_size=config.model.embedding_size, widths=config.model.widths,
        dropout=config.model.dropout, position=config.model.position)


class TrainingModule(lightning.LightningModule):
    """What Lightning has to know: losses, optimizer and schedule."""

    def __init__(self, config: TrainingConfig, frequencies: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        self.network = build_network(config)
        self.network.encoder.freeze(config.model.frozen_stages)
        if config.model.trained != 'all':
            self.network.requires_grad_(False)
            getattr(self.network, config.model.trained).requires_grad_(True)
        classes = len(config.data.classes)
        weights = torch.ones(classes) if frequencies is None else class_weights(
            frequencies, config.loss.class_weight_power)
        self.register_buffer('class_weights', weights)
        # A plain dictionary, so that a checkpoint opens without unpickling classes of ours.
        self.save_hyperparameters({'config': config.to_dict()})

    def train(self, mode: bool = True) -> TrainingModule:
        """Set the mode; what is not trained keeps the statistics of its normalisation, too."""
        super().train(mode)
        if self.config.model.trained != 'all':
            self.network.eval()
            getattr(self.network, self.config.model.trained).train(mode)
        return self

    def on_train_start(self) -> None:
        self.train()  # Lightning leaves the modes as it finds them

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_index: int) -> None:
        # Dropout depends on the number of the step alone, as the crops do on theirs: a resumed
        # training does what an uninterrupted one would have done.
        torch.manual_seed(self.config.optimization.seed * 1_000_003 + self.global_step)

    def on_after_batch_transfer(self, batch: dict[str, Tensor], index: int) -> dict[str, Tensor]:
        # On the device that trains; which colours change how, the crops say.
        if 'color_map' in batch:
            batch['image'] = change_colors(batch['image'], batch.pop('color_map'))
        return batch

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        return self._step(batch, 'train')

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        self._step(batch, 'calibration')

    def _step(self, batch: dict[str, Tensor], name: str) -> Tensor:
        image = batch['image'].float().contiguous(memory_format=torch.channels_last)
        losses = total_loss(self.network(image), batch['semantic_ids'], batch['instance_ids'],
                            batch['center_mask'], self.class_weights, self.config.loss)
        self.log_dict({f'{name}/{key}': value.detach() for key, value in losses.items()},
                      on_step=False, on_epoch=True, batch_size=len(image))
        if name == 'train':
            self.log('loss', losses['total'].detach(), prog_bar=True, logger=False)
        return losses['total']

    def configure_optimizers(self) -> dict:
        options = self.config.optimization
        groups = []
        for part in self.network.children():
            rate = options.learning_rate * (
                options.encoder_factor if part is self.network.encoder else 1.0)
            parameters = [p for p in part.parameters() if p.requires_grad]
            if parameters:
                groups.append({'params': parameters, 'lr': rate})
        optimizer = torch.optim.AdamW(groups, weight_decay=options.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=[group['lr'] for group in groups], pct_start=0.1,
            total_steps=int(self.trainer.estimated_stepping_batches))
        return {'optimizer': optimizer,
                'lr_scheduler': {'scheduler': schedule, 'interval': 'step'}}


def start_from(network: InstanceSegmentationNetwork, config: TrainingConfig) -> None:
    """Load the initial weights that the configuration names.

    Raises
    ------
    ValueError
        The file is no such weights, or a checkpoint of other classes or another network.
    """
    path, classes = config.model.weights, config.data.classes
    if not path.endswith('.ckpt'):
        known = load_initial_weights(network, path, classes)
        print(f'initial weights: {path}; classifier taken over for: '
              f'{", ".join(known) or "no class"}')
        return
    source, theirs, _ = load_checkpoint(path)
    if theirs.data.classes != classes:
        raise ValueError(f'{path}: trained for the classes {", ".join(theirs.data.classes)}, the '
                         f'configuration has {", ".join(classes)}')
    try:
        network.load_state_dict(source.state_dict())
    except RuntimeError as error:
        raise ValueError(f'{path}: a checkpoint of another network ({error})') from error
    print(f'initial weights: {path}, the whole network')


def split_images(shows_object: Sequence[bool], calibration_images: int,
                 seed: int) -> tuple[list[int], list[int]]:
    """Split image indices into those trained on and those held out for calibration.

    Parameters
    ----------
    shows_object : sequence of bool
        For each image of the data set, see `objects_shown`.
    calibration_images : int
        Wanted number of held-out images. All of them show an object: the others would tell
        nothing of the centers that are right. At most a quarter of those that do are taken.
    seed : int
        Of the random choice.
    """
    candidates = np.flatnonzero(shows_object)
    count = min(calibration_images, len(candidates) // 4)
    held_out = sorted(np.random.default_rng(seed).permutation(candidates)[:count].tolist())
    return sorted(set(range(len(shows_object))) - set(held_out)), held_out


def train(config: TrainingConfig, output: str | Path, resume: bool = False) -> Path:
    """Train and return the path of the last checkpoint, below `output`.

    Parameters
    ----------
    config : TrainingConfig
    output : path
        Folder for checkpoints, `metrics.csv` and TensorBoard's files.
    resume : bool
        Go on from the last checkpoint in `output`.
    """
    output, options = Path(output), config.optimization
    last = output / 'last.ckpt'
    if resume and not last.is_file():
        raise ValueError(f'{last}: no checkpoint to resume from')
    if not resume and last.exists():
        raise ValueError(f'{last} exists: go on with it (--resume) or choose another folder')
    lightning.seed_everything(options.seed, verbose=False)
    dataset, data = open_dataset(config.data)
    config = dataclasses.replace(config, data=data)
    training, calibration = split_images(objects_shown(dataset), data.calibration_images,
                                         options.seed)

    def read(indices: list[int], what: str) -> CachedSamples:
        return CachedSamples(dataset, tqdm(indices, desc=f'reading {what} images', unit='img'),
                             cache_gb=data.cache_gb)

    samples = read(training, 'training')
    if len(samples.with_instances) < FEW_IMAGES:
        print(f'only {len(samples.with_instances)} training images show an object: enough to try '
              f'things out, too few for a useful model (think of {FEW_IMAGES} and more)')
    module = TrainingModule(config, samples.class_frequencies(len(config.data.classes)))
    if config.model.weights and not resume:
        start_from(module.network, config)
    module.to(memory_format=torch.channels_last)
    stride = module.network.output_stride
    config.augmentation.check_crop(module.network.size_multiple)
    crops = TrainingCrops(samples, config.augmentation, stride, options.seed)
    sampler = EpochSampler(samples, config.data.empty_share, options.seed)
    loader = DataLoader(crops, options.batch_size, sampler=sampler, num_workers=options.workers,
                        drop_last=len(sampler) > options.batch_size,
                        persistent_workers=options.workers > 0)
    held_out = WholeImages(read(calibration, 'calibration'), config.model.input_size, stride)
    callbacks = [EMAWeightAveraging(decay=options.ema_decay),
                 ModelCheckpoint(output, filename=last.stem, save_on_train_epoch_end=True,
                                 enable_version_counter=False),
                 LearningRateMonitor(), TQDMProgressBar()]
    trainer = lightning.Trainer(
        max_epochs=options.epochs, precision=options.precision, callbacks=callbacks,
        gradient_clip_val=options.clip_norm, default_root_dir=output, log_every_n_steps=10,
        check_val_every_n_epoch=min(5, options.epochs), num_sanity_val_steps=0,
        logger=[CSVLogger(output, name='', version=''),
                TensorBoardLogger(output, name='', version='')])
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, loader, DataLoader(held_out, 1) if calibration else None,
                    ckpt_path=last if resume else None)
    except SystemExit as error:  # this is what Lightning makes of Ctrl-C, which it then ignores
        signal.signal(signal.SIGINT, on_interrupt)
        raise KeyboardInterrupt from error
    return last


def calibration_images(config: TrainingConfig, input_size: int,
                       stride: int) -> tuple[list[np.ndarray], list[Targets]]:
    """Return the images that the training held out, (H, W, 3) uint8, and their targets."""
    dataset, _ = open_dataset(config.data)
    _, held_out = split_images(objects_shown(dataset), config.data.calibration_images,
                               config.optimization.seed)
    batches = list(WholeImages(CachedSamples(dataset, held_out), input_size, stride))
    return ([batch['image'].permute(1, 2, 0).contiguous().numpy() for batch in batches],
            [Targets(batch['semantic_ids'].numpy().astype(np.uint8),
                     batch['instance_ids'].numpy().astype(np.uint16),
                     batch['center_mask'].numpy()) for batch in batches])


def load_checkpoint(path: str | Path
                    ) -> tuple[InstanceSegmentationNetwork, TrainingConfig, dict[str, Any]]:
    """Return the trained network, ready for inference, its configuration, and facts for people.

    Raises
    ------
    ValueError
        The file is missing or no checkpoint of `instseg train`.
    """
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
        config = TrainingConfig.from_dict(checkpoint['hyper_parameters']['config'])
        module = TrainingModule(config)
        module.load_state_dict(checkpoint['state_dict'])
        facts = {'encoder': config.model.encoder,
                 'initial_weights': Path(config.model.weights).name,
                 'annotations': config.data.source,
                 'trained': config.model.trained, 'epochs': checkpoint['epoch'] + 1,
                 'steps': checkpoint['global_step'], 'seed': config.optimization.seed}
    except FileNotFoundError as error:
        raise ValueError(f'{path}: no such checkpoint') from error
    except Exception as error:  # whatever torch finds in a file that is no checkpoint
        raise ValueError(f'{path}: not a checkpoint of "instseg train" ({error})') from error
    return module.network.eval(), config, facts
