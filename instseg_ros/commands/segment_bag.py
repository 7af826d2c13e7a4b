"""`instseg segment-bag`: the images of recorded bags become bags of labels and objects."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence

from instseg_ros.commands.interrupts import sigterm_interrupts
from instseg_ros.commands.options import add_config_arguments

if TYPE_CHECKING:
    from instseg_ros.node.options import Configs
    from instseg_ros.recorded.job import Job, ModelSettings, Outcome

NODE = '/segmenter'
"""Full name of the node whose sections of a parameter file hold."""

EPILOG = """\
Needs no ROS. Reads what "ros2 bag record" writes (MCAP, SQLite3) and bags of ROS 1; writes MCAP
for "ros2 bag play", rviz2 and Foxglove. Every message has the header and the recorded time of its
image; no image is left out.

topics of a result, below /segmenter/ or, with several image topics, /segmenter/TOPIC/:
  semantic_image/compressed   class of every pixel, PNG of 8 bits; 255 is unlabelled
  instance_image/compressed   object of every pixel, PNG of 16 bits; 0 is none
  confidence_image/compressed confidence of every pixel's class, PNG of 8 bits
  instances                   vision_msgs/Detection2DArray: class, score, box, center
  label_info                  vision_msgs/LabelInfo: names of the classes
  overlay/compressed          masks, class, id and score over the image, JPEG
  color_labels/compressed     label image in colours, PNG
  settings                    model and options of the result, JSON

examples:
  instseg segment-bag recording/ --out result.mcap
  instseg segment-bag run.mcap --topics /front/image_raw --params segmenter.yaml --out result.mcap
  instseg segment-bag recordings/ --workers 4 --out results/

A run that was interrupted goes on where it was when the same command is given again. With
tracking, ids depend on earlier images, so each unfinished bag is begun anew.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.add_argument('inputs', nargs='+', metavar='IN',
                        help='bag (file or folder), folder of bags, or pattern in quotes')
    parser.add_argument('--out', required=True, type=Path, metavar='OUT',
                        help='the bag to write, NAME.mcap, for a single input; else a folder for '
                        'one bag of each input and report.json')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC',
                        help='topics of the images (default: all, raw and compressed)')
    parser.add_argument('--copy', nargs='*', metavar='TOPIC',
                        help='also copy these topics, without names all others')
    parser.add_argument('--labels', choices=('png', 'raw'), default='png',
                        help='label images losslessly compressed or as sensor_msgs/Image '
                        '(default %(default)s)')
    parser.add_argument('--start', type=float, default=0.0, metavar='SECONDS',
                        help='begin that long after the beginning of the bag')
    parser.add_argument('--duration', type=float, default=0.0, metavar='SECONDS',
                        help='end that long after the start (default: at the end of the bag)')
    parser.add_argument('--every', type=int, default=1, metavar='N',
                        help='segment only every N-th image of a topic (default %(default)s)')
    parser.add_argument('--tracking', dest='tracking.enabled', default=argparse.SUPPRESS,
                        action=argparse.BooleanOptionalAction,
                        help='objects keep their ids from image to image, each topic on its own, '
                        'as in the node; tracking.* of --params has the other options (default: '
                        'as in --params, else off)')
    parser.add_argument('--force', action='store_true', help='replace a result that exists')
    parser.add_argument('--workers', type=int, default=1, metavar='N',
                        help='segment so many bags at once, in processes of this machine '
                        '(default %(default)s)')
    parser.add_argument('--scheduler', default='', metavar='ADDRESS',
                        help='segment the bags on the workers of a Dask scheduler, for example '
                        'tcp://host:8786, that see the same files')
    parser.add_argument('--model', type=Path, metavar='FILE',
                        help='the ONNX model (default: that of --params, or the installed one)')
    parser.add_argument('--params', type=Path, metavar='FILE',
                        help='parameter file of the node; options of the command line override it')
    add_config_arguments(parser, only_given=True)


def run(args: argparse.Namespace) -> int:
    """Segment every bag and return the exit code."""
    for name, low in (('start', 0.0), ('duration', 0.0), ('every', 1), ('workers', 1)):
        if not getattr(args, name) >= low:
            raise ValueError(f'--{name}: expected at least {low}, got {getattr(args, name)}')
    jobs = make_jobs(args, *read_options(args))
    try:
        with sigterm_interrupts():
            outcomes = segment_all(jobs, args)
    except KeyboardInterrupt:
        tracked = jobs[0].tracking.enabled
        print('Interrupted; the same command '
              f'{"begins unfinished bags anew" if tracked else "goes on where it was"}.',
              file=sys.stderr)
        raise
    return report(outcomes, args.out)


def read_options(args: argparse.Namespace) -> tuple[ModelSettings, Configs]:
    """Return the options of the parameter file and the command line."""
    from instseg_ros.installed import default_model
    from instseg_ros.node.options import camera_parameters, make_configs, parameter_options
    from instseg_ros.node.parameter_files import camera_names, read_parameters
    from instseg_ros.recorded.job import ModelSettings

    values: dict[str, Any] = {name: item.default for name, item in parameter_options()}
    if args.params:
        own = [name for camera in camera_names(args.params, NODE)
               for name in camera_parameters(camera).values()]
        values.update(read_parameters(args.params, NODE, [*values, *own]))
    values.update({name: value for name, value in vars(args).items()
                   if '.' in name})  # an option of a section, given
    configs = make_configs(values)
    model = args.model or Path(configs.node.model).expanduser()
    return ModelSettings(model if model != Path() else default_model(), configs.network,
                         configs.grouping, configs.refinement, configs.selection), configs


def make_jobs(args: argparse.Namespace, model: ModelSettings, configs: Configs) -> list[Job]:
    """Return a job for each bag that the inputs name."""
    from instseg_ros.recorded.finding import find_bags
    from instseg_ros.recorded.job import Job

    for folder in map(Path, args.inputs):
        if folder.is_dir() and folder.resolve() in (args.out / 'bag').resolve().parents:
            raise ValueError(f'{args.out}: expected an output apart from the input {folder}')
    bags = find_bags(args.inputs)
    if args.out.suffix == '.mcap':
        if len(bags) > 1:
            raise ValueError(f'{args.out}: expected a folder for the results of {len(bags)} bags, '
                             'got the name of a bag')
        outs = [args.out]
    else:
        outs = [args.out / f'{name}.mcap' for _, name in bags]
    rotations = {'': configs.node.rotate,
                 **{name: config.rotate for name, config in configs.cameras.items()}}
    return [Job(source, out, model, topics=tuple(args.topics),
                copy=None if args.copy is None else tuple(args.copy), labels=args.labels,
                start=args.start, duration=args.duration, every=args.every,
                tracking=configs.tracking, rotations=rotations, force=args.force)
            for (source, _), out in zip(bags, outs)]


def segment_all(jobs: Sequence[Job], args: argparse.Namespace) -> list[Outcome]:
    """Segment the bags here one after the other, or side by side on workers."""
    from instseg_ros.recorded.cluster import segment_on_workers
    from instseg_ros.recorded.one_by_one import segment_here

    if args.scheduler or args.workers > 1:
        return segment_on_workers(jobs, args.scheduler, args.workers)
    return segment_here(jobs)


def report(outcomes: Sequence[Outcome], out: Path) -> int:
    """Say what came of the bags, write `report.json` into a folder, and return the exit code."""
    from instseg_ros.files import replacing

    problems = [problem for outcome in outcomes for problem in outcome.problems]
    if out.suffix != '.mcap':
        with replacing(out / 'report.json') as temporary:
            temporary.write_text(json.dumps(
                {'bags': [outcome.record() for outcome in outcomes]}, indent=2) + '\n', 'utf-8')
    for remark in (remark for outcome in outcomes for remark in outcome.remarks):
        print(f'instseg segment-bag: warning: {remark}', file=sys.stderr)
    for problem in problems:
        print(f'instseg segment-bag: error: {problem}', file=sys.stderr)
    done = [outcome for outcome in outcomes if outcome.frames]
    for outcome in done:
        print(f'{outcome.out}: {outcome.frames} images, {outcome.dropped} dropped, '
              f'{outcome.copied} messages copied; {outcome.rate:.1f} images/s')
    if len(outcomes) > 1:
        print(f'{len(done)} of {len(outcomes)} bags segmented; see {out / "report.json"}')
    return 1 if problems else 0
