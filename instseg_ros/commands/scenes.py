"""`instseg scenes`: a made-up data set, to try training with."""
from __future__ import annotations

import argparse
import functools
from pathlib import Path

EPILOG = """\
Drawn streets with people, bicycles, cars and motorcycles, whose labels are exact. They show how a
data set looks and what the commands do with it; what a model learns from them holds for drawings.

the folder given by --out gets:
  images/NUMBER.jpg                 640x360 pixels
  instances.json                    COCO instances: a mask for every visible object
  panoptic.json, panoptic/          COCO panoptic: the same, and road, sidewalk, building, sky

The same seed makes the same images. docs/how-to/train-your-own.md goes on from here.

examples:
  instseg scenes --out scenes --count 60
  instseg scenes --out scenes_val --count 20 --seed 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `instseg scenes`."""
    parser.epilog = EPILOG
    parser.add_argument('--out', required=True, type=Path, metavar='DIR',
                        help='folder to make; it must not exist')
    parser.add_argument('--count', type=int, default=60, metavar='N',
                        help='number of images (default 60)')
    parser.add_argument('--seed', type=int, default=0, metavar='N',
                        help='another seed makes other images (default 0)')


def run(args: argparse.Namespace) -> int:
    """Write the data set; return the exit code."""
    from tqdm import tqdm

    from instseg_ros.datasets.scene_files import write_scenes

    if args.seed < 0:
        raise ValueError(f'--seed: expected 0 or more, got {args.seed}')
    folder = write_scenes(args.out, args.count, args.seed, functools.partial(
        tqdm, desc='drawing', unit='image', dynamic_ncols=True))
    print(f'{args.count} images in {folder}: COCO instances in instances.json, COCO panoptic in '
          'panoptic.json')
    return 0
