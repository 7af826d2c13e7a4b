"""Joint training of the three decoders and the encoder."""
from __future__ import annotations

import csv
import math
import signal
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    LearningRateMonitor,
    ModelCheckpoint,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from instseg_ros.datasets.types import DatasetError
from instseg_ros.learning.callbacks import (
    BestCheckpoint,
    CheckpointFiles,
    MetadataWriter,
    Patience,
    Progress,
)
from instseg_ros.learning.checkpoints import check_resumable
from instseg_ros.learning.config import PRECISIONS, OptimizationConfig, TrainingConfig
from instseg_ros.learning.data_module import TrainingData
from instseg_ros.learning.export.onnx_export import model_info
from instseg_ros.learning.initial_weights import load_weights
from instseg_ros.learning.machine import MachineConfig
from instseg_ros.learning.model import InstanceSegmentationNetwork
from instseg_ros.learning.module import TrainingModule, moving_average
from instseg_ros.learning.validation import ValidationMetrics, ValidationPictures

FEW_IMAGES = 100
"""With fewer training images that show an object, a warning is printed."""

LAST, BEST = 'last', 'best'
"""Names of the checkpoints of the last epoch and of the best validation."""

print_once = rank_zero_only(print)
"""Prints in one of several processes only."""


def train(config: TrainingConfig, output: str | Path, resume: bool = False,
          machine: MachineConfig = MachineConfig()) -> Path:
    """Train and return the path of the last checkpoint, below `output`.

    Parameters
    ----------
    config : TrainingConfig
    output : path
        Folder for checkpoints, pictures, `metrics.csv` and TensorBoard's files.
    resume : bool
        Continue from the last checkpoint in `output`.
    machine : MachineConfig
        With more than one process Lightning starts the others, by calling the same command line
        again, unless torchrun or a cluster has started them.

    Raises
    ------
    ValueError
        The configuration, the images, the machine or the checkpoint can't be used.
    """
    output, options = Path(output), config.optimization
    last = output / f'{LAST}.ckpt'
    if output.exists() and not output.is_dir():
        raise ValueError(f'{output}: expected a folder for the results, got a file')
    if resume and not last.is_file():
        raise ValueError(f'{last}: no checkpoint to resume from')
    if not resume and last.exists():
        raise ValueError(f'{last} exists: go on with it (--resume) or choose another folder')
    lightning.seed_everything(options.seed, verbose=False)
    data = TrainingData(config)
    config = data.config
    if len(data.samples.with_instances) < FEW_IMAGES:
        print_once(f'only {len(data.samples.with_instances)} training images show an object: '
                   'enough to try things out, too few for a useful model (think of '
                   f'{FEW_IMAGES} and more)')
    module = TrainingModule(config, data.frequencies)
    config.augmentation.check_crop(module.network.size_multiple)
    callbacks = validation_callbacks(module.network, config, data, output)
    trainer = build_trainer(options, output, machine, [MetadataWriter(data.record), *callbacks],
                            validate=len(data.validation) > 0)
    data.check_shares(trainer.world_size)
    if resume:
        steps = check_resumable(last, config, data.record, trainer.world_size)
        if trainer.is_global_zero:
            continue_curves(trainer, steps)
    elif config.model.weights:
        print_once(load_weights(module.network, config))
    module.to(memory_format=torch.channels_last)
    print_once(f'training on {trainer.strategy.root_device.type}, processes: {trainer.world_size}')
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=last if resume else None)
    except SystemExit as error:  # this is what Lightning makes of Ctrl-C, which it then ignores
        signal.signal(signal.SIGINT, on_interrupt)
        raise KeyboardInterrupt from error
    except DatasetError as error:  # from a process that prepares crops, within its traceback
        raise DatasetError(str(error).rstrip().rpartition(f'{DatasetError.__name__}: ')[2]
                           ) from error
    print_result(trainer, options, last)
    return last


def validation_callbacks(network: InstanceSegmentationNetwork, config: TrainingConfig,
                         data: TrainingData, output: Path) -> list[Callback]:
    """Return the callbacks for the validation images; none if there are no such images.

    Raises
    ------
    ValueError
        There are none, but training shall stop early by their metrics.
    """
    options = config.optimization
    if len(data.validation) == 0:
        if options.patience:
            raise ValueError('optimization.patience: expected validation images to stop by, got '
                             'none; data.validation_images is their number, at most a quarter '
                             'of the images with objects')
        print_once(f'there will be no {BEST}.ckpt: no image is held out for validation')
        return []
    info = model_info(network, config.data.classes, config.data.thing_ids,
                      config.model.input_size, {},
                      duplicate_distance=config.loss.duplicate_distance)
    monitor = {'monitor': f'validation/{options.monitor}',
               'mode': 'min' if options.monitor == 'total' else 'max'}
    callbacks = [ValidationMetrics(info), ValidationPictures(info, output / 'pictures'),
                 BestCheckpoint(output, filename=BEST, save_on_train_epoch_end=False,
                                enable_version_counter=False, **monitor)]
    if options.patience:
        validations = math.ceil(options.patience / options.validation_period)
        callbacks.append(Patience(patience=validations, check_on_train_epoch_end=False, **monitor))
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
            max_epochs=options.epochs, precision=PRECISIONS[options.precision],
            gradient_clip_val=options.clip_norm, default_root_dir=output, log_every_n_steps=10,
            check_val_every_n_epoch=options.validation_period,
            limit_val_batches=1.0 if validate else 0, num_sanity_val_steps=0,
            logger=[CSVLogger(output, name='', version=''),
                    TensorBoardLogger(output, name='', version='')],
            plugins=[CheckpointFiles()],
            callbacks=[WeightAveraging(avg_fn=moving_average(options.ema_decay)), *callbacks,
                       ModelCheckpoint(output, filename=LAST, save_on_train_epoch_end=True,
                                       enable_version_counter=False),
                       LearningRateMonitor(), Progress()])
    except MisconfigurationException as error:
        raise ValueError(f'accelerator {machine.accelerator}, devices {machine.devices}: {error}'
                         ) from error


def continue_curves(trainer: lightning.Trainer, steps: int) -> None:
    """Keep the rows of metrics.csv up to the checkpoint; Lightning would start with an empty file.

    Half a row, as an interrupted training may leave, is left out.

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
                for row in csv.DictReader(file)
                if (row.get('step') or '').isdigit() and int(row['step']) < steps]
    logger.experiment.metrics.extend(rows)
    logger.save()


def print_result(trainer: lightning.Trainer, options: OptimizationConfig, last: Path) -> None:
    """Print where the checkpoints are and what to do with them."""
    best = next((callback for callback in trainer.checkpoint_callbacks
                 if isinstance(callback, BestCheckpoint)), None)
    chosen = last
    if trainer.current_epoch < options.epochs:
        print_once(f'stopped after {trainer.current_epoch} of {options.epochs} epochs: '
                   f'validation/{options.monitor} has not improved for {options.patience} epochs')
    print_once(f'checkpoint of the last epoch: {last}')
    if best is not None and best.best_model_score is not None:
        chosen = last.with_name(f'{BEST}.ckpt')
        print_once(f'best validation ({options.monitor} {best.best_model_score:.3f}): {chosen}\n'
                   f'pictures of its results: {last.parent / "pictures"}')
    print_once(f'next: instseg export {chosen} --out model.onnx')
