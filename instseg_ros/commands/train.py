"""`instseg train`: from labelled images to a checkpoint."""
from __future__ import annotations

import argparse
from pathlib import Path

EPILOG = """\
The configuration file says which images, network, losses and schedule. The least that it needs:
  data:
    images: my_data/images
    annotations: my_data/instances.json
docs/train-your-own.md leads from labelled images to a running node; "instseg scenes" makes images
up to try it with. config/training/ holds the configurations of this package. Data: COCO instances
(masks), COCO panoptic, Cityscapes.

examples:
  instseg train --config config/training/street.yaml --out runs/street
  instseg train --config config/training/street.yaml --out runs/street --resume
  instseg export runs/street/last.ckpt --out models/street.onnx

Curves: metrics.csv in the output folder, and "tensorboard --logdir runs".
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `instseg train`."""
    parser.epilog = EPILOG
    parser.add_argument('--config', required=True, type=Path, help='YAML file of the training')
    parser.add_argument('--out', required=True, type=Path,
                        help='folder for checkpoints and curves')
    parser.add_argument('--resume', action='store_true',
                        help='go on from the last checkpoint in the output folder')


def run(args: argparse.Namespace) -> int:
    """Train; return the exit code."""
    from instseg_ros.learning.config import TrainingConfig
    from instseg_ros.learning.training import train

    checkpoint = train(TrainingConfig.from_yaml(args.config), args.out, args.resume)
    print(f'checkpoint: {checkpoint}\nnext: instseg export {checkpoint} --out model.onnx')
    return 0
