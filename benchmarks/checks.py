"""Measure what the checks of model files and of a network's output cost.

Loading is timed in parts; an image's checks as a share of all that follows the network. Times are
processor times, which other work on the machine disturbs least; medians.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Callable

import numpy as np

from instseg_ros.core.network.model_file import checksum, read_model_file, refuse_external_data
from instseg_ros.core.output_values import check_values
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.installed import default_model


def cost(function: Callable[[], object], rounds: int) -> float:
    """Return the median processor time in milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return 1000 * median(times)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path, default=None)
    parser.add_argument('--size', default='480x640', metavar='HxW')
    parser.add_argument('--rounds', type=int, default=15)
    args = parser.parse_args()
    path = args.model or default_model()
    file = read_model_file(path)
    print(f'{path}: {len(file.data) / 1e6:.1f} MB')
    parts = {'read the file': path.read_bytes, 'checksum': lambda: checksum(file.data),
             'search for other files': lambda: refuse_external_data(file.data),
             'read and check the file': lambda: read_model_file(path),
             'load the model, all together': lambda: Segmenter.from_onnx(path)}
    for name, function in parts.items():
        print(f'{name:30} {cost(function, args.rounds):8.1f} ms')

    segmenter = Segmenter.from_onnx(path)
    height, width = map(int, args.size.split('x'))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    segmenter.warm_up()
    inference = segmenter.infer(image)
    output = inference.output
    print(f'output {"x".join(map(str, output.embedding.shape))} of an image {args.size}')
    all_of_it = cost(lambda: segmenter.postprocess(inference), 10 * args.rounds)
    check = cost(lambda: check_values(output, segmenter.model_info), 100 * args.rounds)
    print(f'{"after the network":30} {all_of_it:8.3f} ms')
    print(f'{"check of its output":30} {check:8.3f} ms, {check / all_of_it:.2%}')


if __name__ == '__main__':
    main()
