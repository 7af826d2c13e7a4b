"""Compare the throughput of a network on images one by one and together.

The images go through the network as in the node: on a GPU, the embeddings stay there. The sizes of
the batch take turns on the same images, so that other work on the machine counts for all of them.
The model file has to take several images at once, as those of `instseg export` do.
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from instseg_ros.core.config import PROVIDERS, NetworkConfig
from instseg_ros.core.network import Network

MODEL = Path(__file__).resolve().parents[1] / 'models' / 'street.onnx'


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', type=Path, default=MODEL)
    parser.add_argument('--provider', choices=PROVIDERS, default='auto')
    parser.add_argument('--size', default='480x640', metavar='HxW', help="of the network's input")
    parser.add_argument('--images', type=int, default=4, help='in a round, as of so many cameras')
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 2, 4])
    parser.add_argument('--threads', type=int, default=0)
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--json', type=Path, help='write the figures to this file too')
    args = parser.parse_args()
    height, width = (int(side) for side in args.size.split('x'))
    network = Network(args.model, NetworkConfig(
        provider=args.provider, threads=args.threads, max_batch=max(args.batches)))
    if not network.is_batchable:
        parser.error(f'{args.model}: expected a model that takes several images at once, '
                     'got one with a fixed number')
    images = np.random.default_rng(0).integers(0, 256, (args.images, height, width, 3), np.uint8)
    seconds: dict[int, list[tuple[float, float]]] = {size: [] for size in args.batches}
    for number in range(args.rounds + 1):
        for size, found in seconds.items():
            start = time.perf_counter(), time.process_time()
            for first in range(0, args.images, size):
                network.run_batch(images[first:first + size])
            if number:  # the first round warms up
                found.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    laps = {size: 1e3 * np.array(found).T / args.images for size, found in seconds.items()}
    figures = [{'batch': size, 'ms': float(np.median(wall)), 'fastest_ms': float(wall.min()),
                'cpu_ms': float(np.median(cpu)),
                'throughput': float(np.median(laps[args.batches[0]][0] / wall)),
                'cpu_throughput': float(np.median(laps[args.batches[0]][1] / cpu))}
               for size, (wall, cpu) in laps.items()]
    print(f'{network.provider}, {args.size}, {args.rounds} rounds of {args.images}; '
          f'times of an image; throughput over a batch of {args.batches[0]}, medians\n\n'
          '| batch | ms | fastest | processor ms | throughput | by processor time |\n'
          f'|{" --- |" * 6}')
    for row in figures:
        print(f'| {row["batch"]} | {row["ms"]:.1f} | {row["fastest_ms"]:.1f} | '
              f'{row["cpu_ms"]:.1f} | {row["throughput"]:.2f} | {row["cpu_throughput"]:.2f} |')
    if args.json:
        args.json.write_text(json.dumps({
            'provider': network.provider, 'size': args.size, 'images': args.images,
            'batches': figures}, indent=2) + '\n')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
