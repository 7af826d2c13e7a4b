"""Segment thousands of frames and check the memory: the exit code is 1 if it grows.

Each frame runs the network on one image and, meanwhile, post-processing on the output of the frame
before, as a node under load does. The network's input is small, so that ten thousand frames take
minutes, and noise, in which hardly anything is found. So made-up network outputs with objects, of
several sizes, are post-processed as well, with all methods of refinement in turns.

The measure is the resident memory of the process. It may grow until the first check; from then on,
its maximum must not exceed the first value by more than --allowed.
"""
from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from instseg_ros import NetworkConfig, RefinementConfig, Segmenter
from instseg_ros.benchmark.scene import street_scene
from instseg_ros.core.config import REFINEMENT_METHODS

MODEL = Path(__file__).resolve().parents[1] / 'models' / 'street.onnx'
CHECKS = 10
SIZES = ((240, 320), (200, 360), (480, 640))
OBJECTS = 20


def main() -> int:
    """Print the memory at intervals."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=10_000)
    parser.add_argument('--model', type=Path, default=MODEL)
    parser.add_argument('--input-size', type=int, default=64)
    parser.add_argument('--allowed', type=float, default=2.0, metavar='MIB')
    args = parser.parse_args()
    segmenter = Segmenter.from_onnx(args.model, network=NetworkConfig(input_size=args.input_size))
    segmenter.warm_up()
    segmenters = [segmenter.with_options(refinement=RefinementConfig(method=method))
                  for method in REFINEMENT_METHODS]
    scenes = [street_scene(size, OBJECTS, segmenter.model_info).inference for size in SIZES]
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]
    interval = max(1, args.frames // CHECKS)
    seen, instances = [], 0
    with ThreadPoolExecutor(1) as pool:
        for frame in tqdm(range(1, args.frames + 1), 'frames'):
            ahead = pool.submit(segmenter.infer, images[frame % len(images)])
            segmenter = segmenters[frame % len(segmenters)]
            result = segmenter.postprocess(scenes[frame // len(segmenters) % len(scenes)])
            instances += len(result.instances)
            segmenter.postprocess(ahead.result())
            if frame % interval == 0:
                seen.append(resident())
                tqdm.write(f'{frame} frames, {instances} instances: {seen[-1]:.1f} MiB')
    growth = max(seen) - seen[0]
    print(f'{growth:+.2f} MiB from frame {interval} to the maximum, {args.allowed:g} allowed')
    return 1 if growth > args.allowed else 0


def resident() -> float:
    """Return the memory of this process in RAM, in MiB (Linux)."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


if __name__ == '__main__':
    raise SystemExit(main())
