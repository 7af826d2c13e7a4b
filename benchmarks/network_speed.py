"""Compare the time that model files take, side by side, network only.

All models run in turns in one process, so that whatever else the machine does meets all of them;
the ratio of the medians to that of the first model is what counts. With --cpu-time the network
gets one thread and the processor time is taken instead of the time on the clock, which says the
same on a busy machine.

  python benchmarks/network_speed.py models/street.onnx street_int8.onnx
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.network import Network


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='+', type=Path, help='ONNX files of "instseg export"')
    parser.add_argument('--size', default='480x640', metavar='HxW')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=30)
    parser.add_argument('--cpu-time', action='store_true',
                        help='processor time of one thread, for a busy machine')
    parser.add_argument('--json', type=Path, help='write the figures to this file too')
    args = parser.parse_args()
    height, width = (int(side) for side in args.size.split('x'))
    config = NetworkConfig(provider='cpu', threads=1 if args.cpu_time else args.threads)
    networks = [Network(path, config) for path in args.models]
    clock = time.thread_time if args.cpu_time else time.perf_counter
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    seconds: list[list[float]] = [[] for _ in networks]
    for round_number in range(args.rounds + 2):
        for network, values in zip(networks, seconds):
            start = clock()
            network.run(image)
            if round_number >= 2:  # the first ones are slower
                values.append(clock() - start)
    medians = [1e3 * float(np.median(values)) for values in seconds]
    kind = 'processor time of one thread' if args.cpu_time else f'{args.threads} threads'
    print(f'{args.size}, {kind}, {args.rounds} rounds\n\n| | median ms | fastest ms | of the '
          'first |\n| --- | --- | --- | --- |')
    for path, median, values in zip(args.models, medians, seconds):
        print(f'| {path.name} | {median:.1f} | {1e3 * min(values):.1f} | '
              f'{median / medians[0]:.2f} |')
    if args.json:
        args.json.write_text(json.dumps({
            'size': args.size, 'kind': kind,
            'median_ms': {str(path): value for path, value in zip(args.models, medians)}}))


if __name__ == '__main__':
    main()
