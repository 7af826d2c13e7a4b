"""`instseg warm-up`: compile the kernels and load the model, so that a later start is quick."""
from __future__ import annotations

import argparse
import time
from pathlib import Path

from instseg_ros.commands.options import add_config_arguments, configs_of

EPILOG = """\
The kernels of grouping and refinement are compiled when they are first used on a machine, and kept
in a cache beside the installed package or, where this user can't write or others can, in the
user's cache folder.
Run this once after the installation, or in the build of an image, as the user that runs the node:
then the node's first configuration takes as long as every later one. With --provider tensorrt it
builds the engine for the model as well, which takes minutes.

examples:
  instseg warm-up
  instseg warm-up --model mine.onnx
  instseg warm-up --provider tensorrt --precision fp16
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.add_argument('--model', type=Path, metavar='FILE',
                        help='the ONNX model (default: the one installed with the package)')
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compile, load, and return the exit code."""
    configs = configs_of(args)
    start = time.monotonic()
    from instseg_ros.core import depth, tracking
    from instseg_ros.core.compiled import watch_compilation
    from instseg_ros.core.segmenter import Segmenter
    from instseg_ros.installed import default_model

    path = args.model or default_model()
    print(f'loading {path}', flush=True)
    segmenter = Segmenter.from_onnx(path, **configs)
    print(f'model checksum {segmenter.network.checksum}')
    compiled = []

    def report(kernel: str, ready: int, total: int) -> None:
        compiled.append(kernel)
        print(f'compiling kernel {ready + 1} of {total}: {kernel.lstrip("_")}', flush=True)

    with watch_compilation(report):
        segmenter.warm_up()
        tracking.warm_up()
        depth.warm_up()
    print(f'ready after {time.monotonic() - start:.1f} s: provider {segmenter.provider}, '
          + ('kernels compiled and kept' if compiled else 'all kernels were compiled before'))
    return 0
