"""Joint training of the three decoders and the encoder."""
from __future__ import annotations

import csv
import math
import signal
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback, LearningRateMonitor, ModelCheckpoint, WeightAveraging)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from instseg_ros.learning.blending import blend_with_initial
from instseg_ros.learning.checkpoints import (
    BestCheckpoint, MetadataWriter, Patience, check_resumable, start_from)
from instseg_ros.learning.config import OptimizationConfig, TrainingConfig
from instseg_ros.learning.export.onnx_export import model_info
from instseg_ros.learning.validation import HeldOutFigures
from instseg_ros.learning.machine import MachineConfig
from instseg_ros.learning.model import InstanceSegmentationNetwork, load_initial_weights
from instseg_ros.learning.module import TrainingModule, moving_average
from instseg_ros.learning.pictures import HeldOutPictures
from instseg_ros.learning.progress import Progress
from instseg_ros.learning.data_module import TrainingData

FEW_IMAGES = 100
"""Below this number of images with objects, training says that they are few."""

LAST, BEST = 'last', 'best'
"""Names of the checkpoints of the last epoch and of the best look at the held-out images."""

say = rank_zero_only(print)


def train(config: TrainingConfig, output: str | Path, resume: bool = False,
          machine: MachineConfig = MachineConfig()) -> Path:
    """Train and return the path of the last checkpoint, below `output`.

    Parameters
    ----------
    config : TrainingConfig
    output : path
        Folder for checkpoints, pictures, `metrics.csv` and TensorBoard's files.
    resume : bool
        Go on from the last checkpoint in `output`.
    machine : MachineConfig
        With more than one process Lightning starts the others, by calling the same command line
        again, unless torchrun or a cluster has started them.

    Raises
    ------
    ValueError
        The configuration, the images, the machine or the checkpoint are not what is needed.
    """
    output, options = Path(output), config.optimization
    last = output / f'{LAST}.ckpt'
    if resume and not last.is_file():
        raise ValueError(f'{last}: no checkpoint to resume from')
    if not resume and last.exists():
        raise ValueError(f'{last} exists: go on with it (--resume) or choose another folder')
    lightning.seed_everything(options.seed, verbose=False)
    data = TrainingData(config)
    config = data.config
    if len(data.samples.with_instances) < FEW_IMAGES:
        say(f'only {len(data.samples.with_instances)} training images show an object: enough to '
            f'try things out, too few for a useful model (think of {FEW_IMAGES} and more)')
    module = TrainingModule(config, data.frequencies)
    config.augmentation.check_crop(module.network.size_multiple)
    callbacks = held_out_callbacks(module.network, config, data, output)
    trainer = build_trainer(options, output, machine, [MetadataWriter(data.record), *callbacks],
                            validate=len(data.held_out) > 0)
    if resume:
        steps = check_resumable(last, config, data.record, trainer.world_size)
        if trainer.is_global_zero:
            continue_curves(trainer, steps)
    elif config.model.weights:
        load_weights(module.network, config)
    module.to(memory_format=torch.channels_last)
    say(f'training on {trainer.strategy.root_device.type}, processes: {trainer.world_size}')
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=last if resume else None)
    except SystemExit as error:  # this is what Lightning makes of Ctrl-C, which it then ignores
        signal.signal(signal.SIGINT, on_interrupt)
        raise KeyboardInterrupt from error
    say_what_came_out(trainer, options, last)
    return last


def held_out_callbacks(network: InstanceSegmentationNetwork, config: TrainingConfig,
                       data: TrainingData, output: Path) -> list[Callback]:
    """Return what looks at the held-out images; nothing if there are none.

    Raises
    ------
    ValueError
        There are none, but training is to stop early by them.
    """
    options = config.optimization
    if len(data.held_out) == 0:
        if options.patience:
            raise ValueError('optimization.patience: no image is held out to stop by; '
                             'data.calibration_images says how many are, at most a quarter of '
                             'those with objects')
        say(f'there will be no {BEST}.ckpt: no image is held out')
        return []
    info = model_info(network, config.data.classes, config.data.thing_ids,
                      config.model.input_size, {},
                      duplicate_distance=config.loss.duplicate_distance)
    monitor = {'monitor': f'held_out/{options.monitor}',
               'mode': 'min' if options.monitor == 'total' else 'max'}
    callbacks = [HeldOutFigures(info), HeldOutPictures(info, output / 'pictures'),
                 BestCheckpoint(output, filename=BEST, save_on_train_epoch_end=False,
                                enable_version_counter=False, **monitor)]
    if options.patience:
        looks = math.ceil(options.patience / options.validation_period)
        callbacks.append(Patience(patience=looks, check_on_train_epoch_end=False, **monitor))
    return callbacks


def build_trainer(options: OptimizationConfig, output: Path, machine: MachineConfig,
                  callbacks: list[Callback], validate: bool) -> lightning.Trainer:
    """Return Lightning's trainer.

    Raises
    ------
    ValueError
        The machine has no such devices.
    """
    try:
        return lightning.Trainer(
            accelerator=machine.accelerator, devices=machine.devices, num_nodes=machine.num_nodes,
            # Statistics of the crops on all devices together; PyTorch has that on GPUs only.
            sync_batchnorm=machine.accelerator != 'cpu' and torch.cuda.is_available(),
            use_distributed_sampler=False,  # TrainingData shares the images out
            max_epochs=options.epochs, precision=options.precision,
            gradient_clip_val=options.clip_norm, default_root_dir=output, log_every_n_steps=10,
            check_val_every_n_epoch=options.validation_period,
            limit_val_batches=1.0 if validate else 0, num_sanity_val_steps=0,
            logger=[CSVLogger(output, name='', version=''),
                    TensorBoardLogger(output, name='', version='')],
            callbacks=[WeightAveraging(avg_fn=moving_average(options.ema_decay)), *callbacks,
                       ModelCheckpoint(output, filename=LAST, save_on_train_epoch_end=True,
                                       enable_version_counter=False),
                       LearningRateMonitor(), Progress()])
    except MisconfigurationException as error:
        raise ValueError(f'accelerator {machine.accelerator}, devices {machine.devices}: {error}'
                         ) from error


def continue_curves(trainer: lightning.Trainer, steps: int) -> None:
    """Keep the rows of metrics.csv up to the checkpoint; Lightning would start with an empty file.

    Parameters
    ----------
    trainer : lightning.Trainer
    steps : int
        Steps that are behind the checkpoint.
    """
    logger = next(logger for logger in trainer.loggers if isinstance(logger, CSVLogger))
    path = Path(logger.log_dir) / 'metrics.csv'
    if not path.is_file():
        return
    with open(path, newline='') as file:
        rows = [{name: value for name, value in row.items() if value}
                for row in csv.DictReader(file) if int(row['step']) < steps]
    logger.experiment.metrics.extend(rows)
    logger.save()


def load_weights(network: InstanceSegmentationNetwork, config: TrainingConfig) -> None:
    """Load the initial weights that the configuration names.

    Raises
    ------
    ValueError
        The file is no such weights, or a checkpoint of other classes or another network.
    """
    path, classes = config.model.weights, config.data.classes
    if path.endswith('.ckpt'):
        start_from(network, path, config)
        say(f'initial weights: {path}, the whole network')
        if config.model.blend_with:
            blend_with_initial(network, config.model.blend_with, classes, config.model.blend)
            say(f'{1 - config.model.blend:.0%} of encoder and classifier from '
                f'{config.model.blend_with}')
    else:
        known = load_initial_weights(network, path, classes)
        say(f'initial weights: {path}; classifier taken over for: '
            f'{", ".join(known) or "no class"}')


def say_what_came_out(trainer: lightning.Trainer, options: OptimizationConfig, last: Path) -> None:
    """Say where the checkpoints are and what to do with them."""
    best = next((callback for callback in trainer.checkpoint_callbacks
                 if isinstance(callback, BestCheckpoint)), None)
    chosen = last
    if trainer.current_epoch < options.epochs:
        say(f'stopped after {trainer.current_epoch} of {options.epochs} epochs: {options.monitor} '
            f'of the held-out images has not improved for {options.patience} epochs')
    say(f'checkpoint of the last epoch: {last}')
    if best is not None and best.best_model_score is not None:
        chosen = last.with_name(f'{BEST}.ckpt')
        say(f'best on the held-out images ({options.monitor} {best.best_model_score:.3f}): '
            f'{chosen}\nlook at its results in {last.parent / "pictures"}')
    say(f'next: instseg export {chosen} --out model.onnx')
