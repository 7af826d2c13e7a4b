"""Compare the time of the refinements with one call of scikit-image's SLIC, in the same run.

The scene is made up: regions of 10 classes and objects of 8, with blur and noise, and label maps
that are its ground truth reduced to the output stride and off by some pixels at the boundaries.
scikit-image gets 5 iterations, no connectivity and as many superpixels. All are called in turns,
so that whatever else the machine does meets all of them; the ratio of the medians is what counts
(on a busy machine a long call never runs undisturbed, so the fastest calls flatter the short).
With --cpu-time, the processor time of the calling thread is taken instead of the time on the
clock: it says the same on a busy machine, but only of one thread.
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
from skimage.segmentation import slic as skimage_slic

from instseg_ros.core.config import RefinementConfig
from instseg_ros.core.refinement import refine
from instseg_ros.evaluation.boundary import boundary_score
from instseg_ros.evaluation.panoptic import panoptic_ids

TARGETS = {'slic': 40.0, 'bilateral': 120.0}


def main() -> int:
    """Print a table; the exit code is 1 where a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', default='1024x2048', metavar='HxW')
    parser.add_argument('--stride', type=int, default=4)
    parser.add_argument('--instances', type=int, default=50)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=5, help='calls of scikit-image')
    parser.add_argument('--cpu-time', action='store_true',
                        help='processor time of one thread, for a busy machine')
    parser.add_argument('--json', type=Path, help='write the figures to this file too')
    args = parser.parse_args()
    height, width = (int(side) for side in args.size.split('x'))
    threads = 1 if args.cpu_time else args.threads
    image, truth, low = street_scene(height, width, args.stride, args.instances)
    scale = 1 / args.stride, 1 / args.stride
    configs = {method: RefinementConfig(method=method, threads=threads)
               for method in ('nearest', 'bilateral', 'slic')}
    count = round(height * width / (RefinementConfig().superpixel_size * args.stride)**2)
    calls: dict[str, Callable[[], object]] = {
        method: lambda config=config: refine(image, *low, scale, config)
        for method, config in configs.items()}
    calls['skimage.segmentation.slic'] = lambda: skimage_slic(
        image, n_segments=count, max_num_iter=5, enforce_connectivity=False, start_label=0)
    seconds = measure(calls, args.rounds, time.thread_time if args.cpu_time
                      else time.perf_counter)
    configs['slic of scikit-image'] = RefinementConfig(backend='skimage')
    recall = {name: boundary_score(panoptic_ids(*truth),
                                   panoptic_ids(*refine(image, *low, scale, config))).recall
              for name, config in configs.items()}
    reference = seconds['skimage.segmentation.slic']
    report = {name: {'fastest_ms': 1e3 * min(values), 'median_ms': 1e3 * float(np.median(values)),
                     'ratio_fastest': min(reference) / min(values),
                     'ratio_median': float(np.median(reference) / np.median(values))}
              for name, values in seconds.items()}
    kind = 'processor time of one thread' if args.cpu_time else f'{threads} threads'
    print(f'{args.size}, stride {args.stride}, {args.instances} instances, {count} superpixels, '
          f'{kind}\n\n| | fastest ms | median ms | ratio of fastest | ratio of medians |\n'
          f'|{" --- |" * 5}')
    for name, row in report.items():
        print(f'| {name} | {row["fastest_ms"]:.2f} | {row["median_ms"]:.2f} | '
              f'{row["ratio_fastest"]:.0f} | {row["ratio_median"]:.0f} |')
    print('\nboundary recall at 2 pixels: '
          + ', '.join(f'{name} {value:.4f}' for name, value in recall.items()))
    missed = [f'{name} is only {report[name]["ratio_median"]:.0f}x as fast, wanted {want:.0f}x'
              for name, want in TARGETS.items() if report[name]['ratio_median'] < want]
    if recall['slic'] < recall['slic of scikit-image'] - 0.01:
        missed.append('boundary recall is more than 0.01 below that of scikit-image')
    print('\n'.join(missed) or 'all targets met')
    if args.json:
        args.json.write_text(json.dumps({'times': report, 'boundary_recall': recall}, indent=2)
                             + '\n')
    return 1 if missed else 0


def measure(calls: dict[str, Callable[[], object]], rounds: int,
            clock: Callable[[], float]) -> dict[str, list[float]]:
    """Time the calls in turns; the last, slow one once a round, the others ten times."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    *quick, slow = calls
    for call in calls.values():
        call()  # compiles, fills caches
    for _ in range(rounds):
        for name in quick * 10 + [slow]:
            start = clock()
            calls[name]()
            seconds[name].append(clock() - start)
    return seconds


def street_scene(height: int, width: int, stride: int, instances: int, seed: int = 0
                 ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray],
                            tuple[np.ndarray, np.ndarray]]:
    """Return an image, its labels, and its labels at the stride with displaced boundaries."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    semantic_ids = np.zeros((height, width), np.uint8)
    instance_ids = np.zeros((height, width), np.uint16)
    unit = height / 1024

    def blob(smallest: float, largest: float, top: float) -> np.ndarray:
        down, right = y - rng.uniform(top, 1) * height, x - rng.uniform(0, 1) * width
        radius = rng.uniform(smallest, largest) * unit
        ragged = 0.2 * np.sin(rng.integers(3, 9) * np.arctan2(down, right))
        return (right / radius)**2 + (down / radius / 1.6)**2 + ragged < 1

    for _ in range(18):
        semantic_ids[blob(100, 450, 0)] = rng.integers(0, 10)
    for index in range(instances):
        mask = blob(15, 70, 0.3)
        semantic_ids[mask], instance_ids[mask] = 10 + index % 8, index + 1
    names, inverse = np.unique(panoptic_ids(semantic_ids, instance_ids), return_inverse=True)
    colors = rng.integers(20, 236, (len(names), 3)).astype(np.float32)
    image = cv2.GaussianBlur(colors[inverse.reshape(height, width)], (0, 0), 1.0)
    image = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
    place = np.stack(np.mgrid[:height // stride, :width // stride]) + 0.5
    noise = np.stack([cv2.GaussianBlur(layer, (0, 0), 1.0)
                      for layer in rng.normal(size=place.shape)])
    place = (place + 0.5 * noise / noise.std()) * stride
    rows, columns = (np.clip(axis, 0, length - 1).astype(int)
                     for axis, length in zip(place, (height, width)))
    labels = semantic_ids, instance_ids
    return image, labels, tuple(np.ascontiguousarray(ids[rows, columns]) for ids in labels)


if __name__ == '__main__':
    raise SystemExit(main())
