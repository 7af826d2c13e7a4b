"""`instseg train`: train a network on labelled images."""
from __future__ import annotations

import argparse
import functools
import logging
import warnings
from pathlib import Path
from typing import Any

from instseg_ros.core.config import options_of

EPILOG = """\
The configuration file sets images, network, losses and schedule. The least that it needs:
  data:
    images: my_data/images
    annotations: my_data/instances.json
Paths in it are relative to the file and may contain environment variables, as in
${INSTSEG_DATA}/images; paths on the command line are relative to the working directory.

docs/how-to/train-your-own.md leads from labelled images to a running node; "instseg scenes" draws
images to try it with. config/training/ holds the configurations of this package. Data: COCO
instances (masks), COCO panoptic, Cityscapes.

examples:
  instseg train --config config/training/street.yaml --out runs/street
  instseg train --config config/training/street.yaml --out runs/street --resume
  instseg train --config config/training/street.yaml --out runs/street --devices 4
  instseg train --config config/training/street.yaml --out runs/mine --images my_data/images \\
      --annotations my_data/instances.json --set optimization.epochs=10
  instseg export runs/street/best.ckpt --out models/street.onnx

files in the output folder:
  last.ckpt            after every epoch; --resume continues from it
  best.ckpt            the best validation so far, by optimization.monitor
  pictures/epoch-*.png a few validation images: image, result, confidence of centers, truth
  metrics.csv          curves; also with pictures: tensorboard --logdir runs

how to read the curves:
  train/*              losses of the crops that are trained on
  validation/*         whole images that are not trained on: losses, miou (classes) and pq_things
                       (objects, at the best raw threshold). If miou falls while train/semantic
                       goes on falling, the network overfits: train for fewer epochs, on more
                       images, or with optimization.patience, which stops early.

several processors: --devices 2 trains on two GPUs (--accelerator cpu: in two processes). Each
takes batch_size crops in a step, so a higher learning rate may be better. On several machines
start the same command on each, with --num-nodes and with torchrun or SLURM, or with MASTER_ADDR,
MASTER_PORT and NODE_RANK set:

  srun --nodes 2 --ntasks-per-node 4 instseg train ... --devices 4 --num-nodes 2

A training resumes only with the same classes, network, losses, schedule, images and number of
processes. Otherwise the command fails and names the differences.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `instseg train`."""
    from instseg_ros.learning.machine import MachineConfig

    parser.epilog = EPILOG
    parser.add_argument('--config', required=True, type=Path, help='YAML file of the training')
    parser.add_argument('--out', required=True, type=Path,
                        help='folder for checkpoints, pictures and curves')
    parser.add_argument('--resume', action='store_true',
                        help='continue from the last checkpoint in the output folder')
    group = parser.add_argument_group('instead of what the configuration file says')
    for flag, key, text in (
            ('--images', 'data.images', 'folder of the training images'),
            ('--annotations', 'data.annotations', 'their COCO file (JSON)'),
            ('--weights', 'model.weights', "initial weights or checkpoint; '': random weights")):
        group.add_argument(flag, dest='overrides', action='append', metavar='PATH', help=text,
                           type=functools.partial(_override, key))
    group.add_argument('--set', dest='overrides', action='append', metavar='SECTION.KEY=VALUE',
                       type=parse_override, help='any option; the value is read as YAML; '
                       'repeatable')
    for option in options_of(MachineConfig):
        parser.add_argument(f'--{option.name.replace("_", "-")}', default=option.default,
                            type=option.type, choices=option.choices,
                            metavar=None if option.choices else 'N',
                            help=f'{option.help} (default {option.default})')


def run(args: argparse.Namespace) -> int:
    """Train; return the exit code."""
    from instseg_ros.learning.config import TrainingConfig
    from instseg_ros.learning.machine import MachineConfig
    from instseg_ros.learning.training import train

    machine = MachineConfig(**{option.name: getattr(args, option.name)
                               for option in options_of(MachineConfig)})
    _quieten_lightning()
    config = TrainingConfig.from_yaml(args.config, dict(args.overrides or ()))
    train(config, args.out, args.resume, machine)
    return 0


def parse_override(text: str) -> tuple[str, Any]:
    """Read SECTION.KEY=VALUE.

    Raises
    ------
    argparse.ArgumentTypeError
        The text has another form.
    """
    from instseg_ros.yaml_files import parse_yaml

    key, equals, value = text.partition('=')
    if not equals or '.' not in key:
        raise argparse.ArgumentTypeError(f'expected SECTION.KEY=VALUE, got {text}')
    try:
        return _override(key, parse_yaml(value) if value else '')
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{key}: not a YAML value: {value:.80}') from error


def _override(key: str, value: Any) -> tuple[str, Any]:
    return key, value


def _quieten_lightning() -> None:
    """Leave out its advice, and its warnings of our own files in the output folder."""
    logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)
    warnings.filterwarnings('ignore', message='.*exists and is not empty')
    warnings.filterwarnings('ignore', message='.*smaller than the logging interval')
    warnings.filterwarnings('ignore', message='You have overridden `on_after_batch_transfer`')
