"""Compare the peak memory of `instseg segment-bag` for a short and for a ten times as long bag.

The images are made-up streets. Each run is a process of its own, whose largest resident memory the
operating system tells.
"""
from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from recorded_speed import STREETS, write_bag

from instseg_ros.benchmark.scene import street_scene

FACTOR = 10


def main() -> None:
    """Print the peak memory of both runs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', default='480x640', metavar='HxW',
                        help='of the images (default %(default)s)')
    parser.add_argument('--frames', type=int, default=100,
                        help='of the short bag (default %(default)s)')
    args, options = parser.parse_known_args()
    size = tuple(int(side) for side in args.size.split('x'))
    streets = [street_scene(size, 12, seed=seed).inference.image for seed in range(STREETS)]
    print('| images | size of the bag, MB | peak memory, MiB |\n| --- | --- | --- |')
    for count in (args.frames, FACTOR * args.frames):
        with tempfile.TemporaryDirectory() as name:
            bag = Path(name) / 'camera.mcap'
            write_bag(bag, [streets[number % STREETS] for number in range(count)])
            peak = peak_memory(['segment-bag', str(bag), '--out', f'{name}/result.mcap', *options])
            print(f'| {count} | {bag.stat().st_size / 1e6:.0f} | {peak:.0f} |', flush=True)


def peak_memory(arguments: list[str]) -> float:
    """Return the largest resident memory of a run of `instseg`, in MiB."""
    process = subprocess.Popen([sys.executable, '-m', 'instseg_ros.cli', *arguments],
                               stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f'instseg {" ".join(arguments)}: failed')
    return usage.ru_maxrss / 1024  # KiB on Linux


if __name__ == '__main__':
    main()
