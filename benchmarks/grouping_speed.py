"""Compare the time of the grouping with a lower bound from its arithmetic and its memory.

Assigning N pixels to K centers by embeddings of length E takes at least a product of matrices,
(N, E) by (E, K), and has to read the embeddings of those pixels and all class ids, and to write
all instance ids. Both are measured in the same run, with one thread, in turns with the grouping:
the product with NumPy's BLAS, over the pixels and the centers of each class; the memory as a copy
of as many bytes. The larger one is the bound. Embeddings are noise, the hardest case.

The worst cases for finding centers follow: the maximum number of candidates in a heat map with the
maxima of 5x5 windows, and in one that is flat.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Callable

TARGETS = {'12 % things, 1 class': 3.0, 'all one class': 3.0}
"""Largest ratio of an assignment's time to the bound. With several classes the pixels are compared
with fewer centers: that is faster, but nearly all of its time goes into collecting the pixels,
which the bound leaves out.
"""

ONE_THREAD = {f'{name}_NUM_THREADS': '1' for name in ('OPENBLAS', 'OMP', 'MKL', 'VECLIB')}
LENGTH = 32


def main() -> int:
    """Print a table; the exit code is 1 where a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', default='256x512', metavar='HxW', help='of the output grid')
    parser.add_argument('--centers', type=int, default=50)
    parser.add_argument('--rounds', type=int, default=51)
    parser.add_argument('--json', type=Path, help='write the figures to this file too')
    args = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        # BLAS reads its number of threads when it is loaded.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    import numpy as np

    from instseg_ros.benchmark.measurement import measure
    shape = tuple(int(side) for side in args.size.split('x'))
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(*shape, LENGTH)).astype(np.float32)
    scenes = {'12 % things, 1 class': things(shape, 0.12, 1),
              '12 % things, 8 classes': things(shape, 0.12, 8),
              'all one class': np.ones(shape, np.uint8)}
    print(f'{args.size}, {args.centers} centers, one thread, median ms of processor time\n\n'
          '| | grouping | product | memory | times the bound |\n|' + ' --- |' * 5)
    report, missed = {}, []
    for name, semantic_ids in scenes.items():
        calls = assignment(semantic_ids, embedding, args.centers)
        row = {what: times.cpu_ms for what, times in measure(calls, args.rounds).items()}
        row['ratio'] = row['grouping'] / max(row['product'], row['memory'])
        report[name] = row
        print(f'| {name} | {row["grouping"]:.2f} | {row["product"]:.2f} | {row["memory"]:.2f} | '
              f'{row["ratio"]:.1f} |', flush=True)
        if row['ratio'] > TARGETS.get(name, float('inf')):
            missed.append(f'{name}: {row["ratio"]:.1f} times the bound, wanted {TARGETS[name]:g}')
    for name, step in {'maxima of 5x5 windows': 5, 'flat heat map': 1}.items():
        call, count = choice(embedding, step)
        report[name] = measure({'': call}, 3)[''].cpu_ms
        print(f'\ncenters among {count} candidates ({name}): {report[name]:.1f} ms')
    print('\n'.join(missed) or '\nall targets met')
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + '\n')
    return 1 if missed else 0


def things(shape, share: float, classes: int):
    """Return class ids of ellipses of classes 1, 2, ... that cover a share of the grid."""
    import numpy as np
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:shape[0], :shape[1]]
    semantic_ids, count = np.zeros(shape, np.uint8), 0
    while (semantic_ids > 0).mean() < share:
        (cy, cx), radius = rng.random(2) * shape, rng.uniform(0.02, 0.08) * shape[0]
        semantic_ids[(y - cy)**2 / 2 + (x - cx)**2 < radius**2] = 1 + count % classes
        count += 1
    return semantic_ids


def assignment(semantic_ids, embedding, count: int) -> dict[str, Callable[[], object]]:
    """Return the assignment to `count` centers and the two parts of its bound."""
    import numpy as np

    from instseg_ros.core.grouping import assign_pixels
    from instseg_ros.core.types import Centers, NetworkOutput
    flat = np.zeros(semantic_ids.shape, np.float32)
    output = NetworkOutput(semantic_ids, flat, embedding)
    present = np.unique(semantic_ids[semantic_ids > 0])
    classes = present[np.arange(count) % len(present)]
    centers = Centers(np.zeros((count, 2), np.float32), np.ones(count, np.float32), classes,
                      np.random.default_rng(2).normal(size=(count, LENGTH)).astype(np.float32))
    factors = [(embedding[semantic_ids == c], centers.embeddings[classes == c].T.copy())
               for c in present]
    size = sum(pixels.nbytes for pixels, _ in factors) + semantic_ids.size * 3
    source, target = np.ones((2, size // 2), np.uint8)  # a copy moves each byte twice
    return {'grouping': lambda: assign_pixels(output, centers, threads=1),
            'product': lambda: [pixels @ others for pixels, others in factors],
            'memory': lambda: np.copyto(target, source)}


def choice(embedding, step: int) -> tuple[Callable[[], object], int]:
    """Return the choice of centers from a heat map with one candidate each `step` pixels."""
    import numpy as np

    from instseg_ros.core.grouping import find_centers
    from instseg_ros.core.types import ModelInfo, NetworkOutput
    heatmap = np.zeros(embedding.shape[:2], np.float32)
    heatmap[::step, ::step] = 1
    output = NetworkOutput(np.ones(heatmap.shape, np.uint8), heatmap, embedding)
    info = ModelInfo(('stuff', 'thing'), (1,), ((0, 0, 0), (1, 1, 1)), 4, 32, LENGTH, 1024)
    return lambda: find_centers(output, info), int(np.count_nonzero(heatmap))


if __name__ == '__main__':
    raise SystemExit(main())
