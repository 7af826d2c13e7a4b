"""Compare the throughput of `instseg segment-bag` with that of the library on the same images.

Both process the same made-up streets, in turns, many times. The ratio of the times on the clock
is what a user sees; the ratio of the times of the processor tells what decoding, encoding and
writing cost, also on a busy machine. With more cores than the network uses, the work of
segment-bag overlaps, and the first ratio is better than the second one.
"""
from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Callable

import numpy as np
from tqdm import tqdm

from instseg_ros import Segmenter
from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import IMAGE, NANOSECONDS
from instseg_ros.benchmark.scene import street_scene
from instseg_ros.recorded.job import Job, ModelSettings
from instseg_ros.recorded.segmenting import segment_bag

MODEL = Path(__file__).resolve().parents[1] / 'models' / 'street.onnx'
STREETS = 8
TARGET = 0.9


def main() -> int:
    """Print both ratios; the exit code is 1 where the target is missed on the clock."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', type=Path, default=MODEL)
    parser.add_argument('--size', default='480x640', metavar='HxW',
                        help='of the images (default %(default)s)')
    parser.add_argument('--objects', type=int, default=12, help='(default %(default)s)')
    parser.add_argument('--frames', type=int, default=40, help='(default %(default)s)')
    parser.add_argument('--rounds', type=int, default=8, help='(default %(default)s)')
    args = parser.parse_args()
    size = tuple(int(side) for side in args.size.split('x'))
    streets = [street_scene(size, args.objects, seed=seed).inference.image
               for seed in range(STREETS)]
    images = [streets[number % STREETS] for number in range(args.frames)]
    segmenter = Segmenter.from_onnx(args.model)
    segmenter.warm_up()
    with tempfile.TemporaryDirectory() as name:
        bag, out = Path(name) / 'camera.mcap', Path(name) / 'result.mcap'
        write_bag(bag, images)
        job = Job(bag, out, ModelSettings(args.model), force=True)

        def of_bag() -> None:
            segment_bag(job, segmenter)
            out.unlink()

        ways: list[Callable[[], object]] = [
            lambda: [segmenter.segment(image) for image in images], of_bag]
        of_bag()
        times = [[seconds(way) for way in ways] for _ in tqdm(range(args.rounds), 'rounds')]
    print("| | library, ms | segment-bag, ms | throughput of segment-bag over the library's |\n"
          '| --- | --- | --- | --- |')
    ratios = []
    for clock, title in enumerate(('clock', 'processor')):
        library, recorded = ([1000 * values[way][clock] / args.frames for values in times]
                             for way in range(2))
        ratios.append(median(np.divide(library, recorded)))
        print(f'| {title} | {median(library):.1f} | {median(recorded):.1f} | {ratios[-1]:.2f} |')
    return int(ratios[0] < TARGET)


def write_bag(path: Path, images: list[np.ndarray]) -> None:
    """Write images, one a tenth of a second."""
    with BagWriter(path) as bag:
        bag.add_topic('/camera/image_raw', IMAGE)
        for number, image in enumerate(images, 1):
            time_ = number * NANOSECONDS // 10
            bag.write_message('/camera/image_raw', time_, make_image(image, time_, 'camera'))


def seconds(way: Callable[[], object]) -> tuple[float, float]:
    """Return the time that a call takes, on the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    way()
    return time.perf_counter() - clock, time.process_time() - processor


if __name__ == '__main__':
    raise SystemExit(main())
