"""`instseg demo`: the real node on a video, live over DDS, with pictures and a report."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from instseg_ros.commands.interrupts import sigterm_interrupts
from instseg_ros.commands.options import add_config_arguments, pipeline_options

DEFAULT_VIDEO = Path('/usr/share/doc/opencv-doc/examples/data/vtest.avi')
"""Pedestrians seen by a fixed camera, in the Debian and Ubuntu package opencv-doc."""

EPILOG = """\
Writes the video as a rosbag2 file, starts the node "segmenter" in a process of its own, replays
the bag to it over DDS, and records what it publishes. Needs ROS 2 (rclpy), not a running robot:
it uses its own ROS_DOMAIN_ID and stays on this machine.

results in the folder given by --out:
  overlay.mp4      masks, class, id and score over the video
  overlay.png      six of its frames on one sheet
  result.mcap      what the node published, an overlay and coloured labels, for "ros2 bag play"
                   and Foxglove (layout: config/foxglove.json)
  camera.mcap      the video as it was replayed, JPEG images (not with --bag)
  instances.jsonl  one line a frame: class, score, box, center, area of each object
  report.json      frames in, out and dropped; rate; latency; time in each stage
  node.log         the node's output

examples:
  instseg demo --video street.mp4
  instseg demo --video street.mp4 --model models/street.onnx --rate 1 --out out/real_time
  instseg demo --bag recording/ --topic /front/image_raw

Latency is the time from sending an image to having its last result. While --in-flight is above
1, it contains the wait for the images before.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--video', type=Path, metavar='FILE', default=DEFAULT_VIDEO,
                        help=f'the video to replay (default {DEFAULT_VIDEO})')
    source.add_argument('--bag', type=Path, metavar='PATH',
                        help='replay the images of a recording instead')
    parser.add_argument('--topic', default='', help='topic of the images in the bag, if several')
    parser.add_argument('--out', type=Path, metavar='DIR', default=Path('out/demo'),
                        help='folder for the results; made if missing (default %(default)s)')
    parser.add_argument('--model', metavar='FILE', type=Path,
                        help='the ONNX model (default: the one installed with the node)')
    parser.add_argument('--rate', type=float, default=0.0, metavar='FACTOR',
                        help='replay at this multiple of the recorded speed; the node then '
                        'drops what it cannot take (default: as fast as it takes the frames, '
                        'none is dropped)')
    parser.add_argument('--in-flight', type=int, default=3, metavar='N',
                        help='frames under way at once, without --rate: one in each of the two '
                        'stages of the node, and one that waits for them (default %(default)s)')
    parser.add_argument('--timeout', type=float, default=30.0, metavar='SECONDS',
                        help='the node counts as stalled after this time without a result '
                        '(default %(default)s)')
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the demo and return the exit code."""
    for name, low in (('rate', 0.0), ('in_flight', 1), ('timeout', 0.1)):
        if not getattr(args, name) >= low:
            raise ValueError(f'--{name.replace("_", "-")}: expected at least {low}, got '
                             f'{getattr(args, name)}')
    from instseg_ros.demo.domains import reserved_domain
    from instseg_ros.demo.run import run_demo

    with sigterm_interrupts(), reserved_domain() as domain:
        report, problems = run_demo(
            args.bag or args.video, args.out, is_bag=args.bag is not None, topic=args.topic,
            replay={'parameters': node_parameters(args), 'domain': domain,
                    'rate': args.rate, 'in_flight': args.in_flight, 'timeout': args.timeout})
    latency = report['latency_ms']
    print(f'{report["frames_out"]} of {report["frames_in"]} frames came back, '
          f'{report["frames_dropped"]} were dropped; {report["fps"]} frames/s, latency '
          f'{latency["p50"]} ms (median), {latency["p95"]} ms (95 %); '
          f'{report["instances_total"]} instances; provider {report["provider"]}')
    print(f'Look at {args.out / "overlay.mp4"}, {args.out / "overlay.png"} and '
          f'{args.out / "report.json"}')
    for problem in problems:
        print(f'instseg demo: error: {problem}', file=sys.stderr)
    return 1 if problems else 0


def node_parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Return the node's parameters: the options given on the command line and reliable images.

    Best effort, the node's default for cameras, loses large images with Fast DDS's defaults. And
    every frame counts, also one that comes before the node knows who listens to its results.
    """
    values = vars(args)
    parameters = {f'{part}.{option.name}': values[f'{part}.{option.name}']
                  for part, option in pipeline_options()}
    # In real time the newest frame wins; otherwise every frame that is sent has to wait its turn.
    depth = 1 if args.rate else args.in_flight
    parameters.update(image_reliability='reliable', image_depth=depth, lazy=False)
    if args.model:
        if not args.model.is_file():
            raise FileNotFoundError(f'{args.model}: no such file')
        parameters['model'] = str(args.model.absolute())
    return parameters
