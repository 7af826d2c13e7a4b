"""The `instseg` command: one table of subcommands, each loaded only when it is the one asked for.

A subcommand is a module with `add_arguments(parser)` and `run(args) -> int`. Only `run` may import
what is heavy or optional, so that help is instant and a missing library is one clear sentence.
"""
from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from typing import Sequence

from instseg_ros.errors import UserError

COMMANDS = {
    'segment': ('instseg_ros.commands.segment', 'find the objects in images, folders and videos'),
    'segment-bag': ('instseg_ros.commands.segment_bag',
                    'find the objects in the images of recorded bags'),
    'report': ('instseg_ros.commands.report', 'show the results of a run on a page'),
    'compare': ('instseg_ros.commands.compare', 'show where two results or models differ'),
    'demo': ('instseg_ros.commands.demo', 'run the ROS 2 node on a video and record its results'),
    'view': ('instseg_ros.commands.view', 'show in a browser what the live options do'),
    'warm-up': ('instseg_ros.commands.warm_up',
                'compile the kernels, so that no later start waits'),
    'evaluate': ('instseg_ros.commands.evaluate', 'measure a model on labelled images'),
    'benchmark': ('instseg_ros.commands.benchmark', 'measure how fast this machine is'),
    'scenes': ('instseg_ros.commands.scenes', 'make up labelled images, to try training with'),
    'train': ('instseg_ros.commands.train', 'train a model on labelled images'),
    'export': ('instseg_ros.commands.export', 'make an ONNX model of a training checkpoint'),
}
"""Name of each subcommand: its module and one line of help."""

EXTRAS = {
    'bags': ('rosbags',),
    'cluster': ('distributed',),
    'evaluate': ('jinja2', 'matplotlib', 'pycocotools', 'skimage'),
    'view': ('foxglove',),
    'train': ('lightning', 'onnx', 'onnxscript', 'safetensors', 'tensorboard', 'torch'),
}
"""Extra of the package: the modules that it brings. `train` brings those of `evaluate`, too."""

TRAINING_COMMANDS = ('train', 'export')
"""Commands for which the extra `train` is needed, whichever module is found missing first."""

INSTALL_HINTS = {
    'rclpy': 'source a ROS 2 workspace, or run "make demo", which installs it',
    'vision_msgs': 'install ros-$ROS_DISTRO-vision-msgs, or run "make demo", which builds it',
    'cv2': 'pip install opencv-python-headless',
    'cityscapesscripts': 'pip install --no-deps -r requirements/cityscapes.txt',
    'trackeval': 'pip install --no-deps -r requirements/trackeval.txt',
    'yaml': 'pip install PyYAML',
}
"""How to get a module that no extra brings and whose package is not simply called like it."""

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

EPILOG = """\
examples:
  instseg segment photo.jpg --out out
  instseg segment street.mp4 --out out
  instseg evaluate --model models/street.onnx --images DIR --annotations instances.json
  instseg demo --video street.mp4 --out out/demo
  instseg benchmark

"instseg COMMAND --help" explains a command and all of its options.
"""


def make_parser(command: str | None) -> argparse.ArgumentParser:
    """Return the parser; only the arguments of `command` are declared in full."""
    parser = argparse.ArgumentParser(
        prog='instseg', epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Semantic and instance segmentation of camera images.')
    subparsers = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for name, (module, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=f'{summary[0].upper()}{summary[1:]}.',
            formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == command:
            importlib.import_module(module).add_arguments(subparser)
            subparser.add_argument('--traceback', action='store_true',
                                   help='show where in the code an error came from')
    return parser


def install_hint(command: str, module: str) -> str:
    """Return how to get a module that a command has not found."""
    for extra, modules in EXTRAS.items():
        if module in modules:
            extra = 'train' if command in TRAINING_COMMANDS else extra
            return f'pip install ".[{extra}]" in the sources of instseg_ros'
    return INSTALL_HINTS.get(module, f'pip install {module}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Errors that a person can put right are one sentence on stderr and code 1; a wrong command line
    or a library that is not installed is code 2; Ctrl-C is code 130.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    args = make_parser(argv[0] if argv else None).parse_args(argv)
    module = importlib.import_module(COMMANDS[args.command][0])
    try:
        return module.run(args)
    except KeyboardInterrupt:
        print(f'instseg {args.command}: interrupted', file=sys.stderr)
        return EXIT_INTERRUPTED
    except ModuleNotFoundError as error:
        missing = (error.name or '').partition('.')[0]
        if args.traceback or missing in ('', 'instseg_ros'):
            raise
        print(f'instseg {args.command} needs {missing}, which is not installed: '
              f'{install_hint(args.command, missing)}', file=sys.stderr)
        return EXIT_USAGE
    except (UserError, ValueError, OSError) as error:
        if args.traceback:
            traceback.print_exc()
        print(f'instseg {args.command}: error: {error}', file=sys.stderr)
        return EXIT_FAILURE


if __name__ == '__main__':
    raise SystemExit(main())
