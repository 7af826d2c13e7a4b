"""`instseg benchmark`: the times of the stages on this machine, and how they grow."""
from __future__ import annotations

import argparse
import dataclasses
import functools
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instseg_ros.benchmark.measurement import BenchmarkConfig
from instseg_ros.commands.interrupts import sigterm_interrupts
from instseg_ros.commands.options import add_option_argument, pipeline_options
from instseg_ros.core.config import NetworkConfig, Option, options_of

if TYPE_CHECKING:
    from instseg_ros.benchmark.model import OtherNetwork

FORMAT_VERSION = 1
"""Of the JSON file."""

SIZES = ((1024, 2048), (480, 640))
SIDES = (32, 16384)
PARTS = ('stages', 'growth', 'model', 'node')
DEFAULT_PARTS = PARTS[:3]
PICTURES = ('.png', '.svg', '.pdf')

EPILOG = """\
parts:
  stages  grouping, refinement and instance table of a made-up street with known objects. Beside
          milliseconds there is a ratio: the time of one call of skimage.segmentation.slic
          (5 iterations, no connectivity, as many superpixels), measured in turns with ours, over
          our time. Ratios carry over to other machines, milliseconds don't. Needs scikit-image.
  growth  the same for images from a sixteenth of the largest size on, and for up to 1000 objects
  model   the network alone; end to end, from the image to the objects in it; peak memory.
          The network's output is replaced by a simulated one, so that the stages after it have
          objects to work on.
  node    the ROS 2 node with this model in a process of its own, beside the library on the same
          images in turns; then its latency while images come at 80 % of its highest rate. Needs
          ROS 2 and the extra "bags", and is measured only when it is named.

examples:
  instseg benchmark
  instseg benchmark --threads 2 --json figures.json --plot growth.png
  instseg benchmark --parts model --size 480x640 --size 720x1280 --provider cuda
  instseg benchmark --parts model --size 480x640 --input-size 640 --compare yolo.onnx
  instseg benchmark --parts node --size 480x640 --image street.jpg --plot latency.png

All figures are medians. "cpu" is processor time, of all threads together: on a busy machine, rely
on it alone. With the defaults it takes about a minute.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.add_argument('--size', type=parse_size, action='append', metavar='HxW', dest='sizes',
                        help='height and width of the camera image; repeatable (default '
                        f'{" and ".join(format_shape(size) for size in SIZES)})')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=DEFAULT_PARTS,
                        help=f'what to measure (default: {" ".join(DEFAULT_PARTS)})')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='write the figures to this file too')
    parser.add_argument('--plot', type=Path, metavar='FILE',
                        help='draw time against image size and number of objects, and the '
                        f"node's latencies ({' '.join(PICTURES)})")
    parser.add_argument('--image', type=Path, metavar='FILE',
                        help='picture for the node, scaled to each size (default: the made-up '
                        'street)')
    group = parser.add_argument_group('how it is measured')
    for option in options_of(BenchmarkConfig):
        add_option_argument(group, 'benchmark', option)
    model = parser.add_argument_group('the model')
    model.add_argument('--model', type=Path, metavar='FILE',
                       help='the ONNX model (default: the street model that is installed)')
    for option in network_options():
        add_option_argument(model, 'network', option)
    model.add_argument('--compare', type=Path, action='append', default=[], metavar='FILE',
                       help='another ONNX network with one image as input, to be timed alone, in '
                       'turns with ours; repeatable')
    model.add_argument('--compare-shape', type=parse_shape, metavar='NxCxHxW',
                       help='shape of its input, where the file leaves it open')


def run(args: argparse.Namespace) -> int:
    """Measure, print the tables, write the files and return the exit code."""
    check_arguments(args)
    if args.plot:
        from instseg_ros.benchmark.pictures import draw  # if matplotlib is missing, fail at once
    from instseg_ros.files import replacing

    with sigterm_interrupts(), ExitStack() as files:
        json_file, picture = (files.enter_context(replacing(path)) if path else None
                              for path in (args.json, args.plot))
        report = measure(args)
        if picture:
            draw(report, picture)
        if json_file:
            json_file.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    written = [str(path) for path in (args.json, args.plot) if path]
    if written:
        print(f'\nsee {" and ".join(written)}')
    return 0


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse wrong arguments before anything is measured."""
    if args.plot and args.plot.suffix.lower() not in PICTURES:
        raise ValueError(f'--plot: expected a file name that ends in one of '
                         f'{", ".join(PICTURES)}, got {args.plot}')
    parts = set(args.parts)
    for option, wanted in (('plot', {'growth', 'node'}), ('model', {'model', 'node'}),
                           ('compare', {'model'}), ('image', {'node'})):
        if getattr(args, option) and not parts & wanted:
            raise ValueError(f'--{option} is for {" and ".join(sorted(wanted))}, which --parts '
                             'leaves out')
    if args.compare_shape and not args.compare:
        raise ValueError('--compare-shape is the shape for a network given by --compare')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the parts, print the tables of each, and return the report.

    Returns
    -------
    dict
        Ready for JSON: `format_version`, `machine`, `settings`, `stages`, `model` and `node`
        (lists with an item for each size), `growth`; a part that was left out is empty or None.
    """
    from tqdm import tqdm

    from instseg_ros.benchmark import report as text
    from instseg_ros.benchmark.measurement import describe_machine
    from instseg_ros.benchmark.model import measure_model
    from instseg_ros.benchmark.scene import scene_info, street_scene
    from instseg_ros.benchmark.stages import measure_growth, measure_stages, stage_calls
    from instseg_ros.media import fit, read_image

    def bar(description: str) -> Any:
        return functools.partial(tqdm, desc=description, leave=False, dynamic_ncols=True)

    def show(lines: list[str]) -> None:
        print('\n' + '\n'.join(lines), flush=True)

    config, sizes = benchmark_config(args), args.sizes or list(SIZES)
    info = scene_info(config.classes, stride=config.output_stride)
    report: dict[str, Any] = {
        'format_version': FORMAT_VERSION, 'machine': describe_machine(),
        'settings': dataclasses.asdict(config), 'stages': [], 'growth': None, 'model': [],
        'node': []}
    print('\n'.join(text.machine_lines(report['machine'])), flush=True)
    for _ in bar('starting')(range(1)):
        model, others = load(args)
        if 'node' in args.parts:
            from instseg_ros.benchmark.node import measure_node  # needs ROS 2
            picture = read_image(args.image) if args.image else None
        for call in stage_calls(street_scene((256, 256), 5, info), config.threads).values():
            call()  # compiles or loads the kernels
    for size in sizes if 'stages' in args.parts else ():
        report['stages'].append(measure_stages(
            street_scene(size, config.instances, info), config.threads, config.rounds,
            bar(f'stages, {format_shape(size)}')))
        show(text.stage_lines(report['stages'][-1]))
    if 'growth' in args.parts:
        largest = max(sizes, key=lambda size: size[0] * size[1])
        report['growth'] = measure_growth(largest, config.instances, info, config.threads,
                                          3 * config.rounds, bar('growth'))
        show(text.growth_lines(report['growth']))
    for size in sizes if 'model' in args.parts else ():
        report['model'].append(measure_model(
            model, model_configs(args), size, config.instances, 3 * config.rounds,
            bar(f'model, {format_shape(size)}'), others=others))
        show(text.model_lines(report['model'][-1]))
    for size in sizes if 'node' in args.parts else ():
        image = (street_scene(size, config.instances, info).inference.image if picture is None
                 else fit(picture, size))
        report['node'].append(measure_node(model, model_configs(args)['network'], image,
                                           2 * config.rounds, bar(f'node, {format_shape(size)}')))
        show(text.node_lines(report['node'][-1]))
    return report


def load(args: argparse.Namespace) -> tuple[Path, list[OtherNetwork]]:
    """Return the model's path and the networks to compare; those that are needed load and run."""
    from instseg_ros.benchmark.model import OtherNetwork
    from instseg_ros.core.network import Network
    from instseg_ros.installed import default_model

    model, config = args.model or default_model(), model_configs(args)['network']
    if set(args.parts) & {'model', 'node'}:
        Network(model, config)
    others = [OtherNetwork(path, config, args.compare_shape) for path in args.compare]
    for other in others:
        other.run()
    return model, others


def benchmark_config(args: argparse.Namespace) -> BenchmarkConfig:
    """Return the options of the benchmark, with the number of threads that 0 stands for."""
    from instseg_ros.core.parallel import thread_count

    values = {option.name: vars(args)[f'benchmark.{option.name}']
              for option in options_of(BenchmarkConfig)}
    config = BenchmarkConfig(**values)
    return dataclasses.replace(config, threads=thread_count(config.threads))


def model_configs(args: argparse.Namespace) -> dict[str, Any]:
    """Return the config of the model: the given options of the network, and the threads."""
    threads, values = benchmark_config(args).threads, vars(args)
    network = {option.name: values[f'network.{option.name}']
               for option in network_options()}
    return {'network': NetworkConfig(threads=threads, **network)}


def network_options() -> list[Option]:
    """Return the options of the network but threads, which the benchmark has itself."""
    return [option for part, option in pipeline_options()
            if part == 'network' and option.name != 'threads']


def parse_size(text: str) -> tuple[int, int]:
    """Read HxW."""
    try:
        height, width = map(int, text.lower().split('x'))
    except ValueError:
        height = width = 0
    if not all(SIDES[0] <= side <= SIDES[1] for side in (height, width)):
        raise argparse.ArgumentTypeError(
            f'expected height x width, {SIDES[0]} to {SIDES[1]} pixels each, for example 480x640, '
            f'got {text!r}')
    return height, width


def parse_shape(text: str) -> tuple[int, ...]:
    """Read lengths of axes."""
    try:
        shape = tuple(map(int, text.lower().split('x')))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise argparse.ArgumentTypeError(f'expected lengths of axes, for example 1x3x640x640, '
                                         f'got {text!r}')
    return shape


def format_shape(shape: tuple[int, ...]) -> str:
    """Write it as `parse_size` and `parse_shape` read it."""
    return 'x'.join(map(str, shape))
