#!/usr/bin/env python3
"""Time a checkpoint in PyTorch on this machine's accelerator, stage by stage.

Reports medians in milliseconds: copying images there, the network, copying its output back, all of
these together, and on the CPU the post-processing of one image.

    scripts/time_network.py runs/street/last.ckpt --size 480x640 --batch 1 --batch 4
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any, Callable

import numpy as np
import torch

from instseg_ros.benchmark.scene import street_scene
from instseg_ros.commands.benchmark import parse_size
from instseg_ros.core.postprocessing import Postprocessor
from instseg_ros.core.scaling import scale_image
from instseg_ros.core.types import ModelInfo
from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.checkpoints import load_checkpoint
from instseg_ros.learning.export.onnx_export import model_info
from instseg_ros.learning.export.wrapper import ExportedNetwork

DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}
WARM_UP = 3
"""Calls before the first that is timed."""


def main(argv: list[str] | None = None) -> None:
    """Time what the arguments name, print and write it."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('--size', type=parse_size, action='append', dest='sizes', metavar='HxW',
                        help='of the camera image; repeatable (default 480x640 and 1024x2048)')
    parser.add_argument('--batch', type=int, action='append', dest='batches', metavar='N',
                        help='images at once; repeatable (default 1 and 4)')
    parser.add_argument('--precision', choices=DTYPES, action='append', dest='precisions',
                        help='repeatable (default fp32 and fp16)')
    parser.add_argument('--rounds', type=int, default=50, metavar='N')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args(argv)
    network, config, _ = load_checkpoint(args.checkpoint)
    info = model_info(network, config.data.classes, config.data.thing_ids,
                      config.model.input_size, {},
                      duplicate_distance=config.loss.duplicate_distance)
    report: dict[str, Any] = {
        'device': torch.cuda.get_device_name() if args.device == 'cuda' else 'cpu',
        'torch': torch.__version__, 'times': []}
    for size in args.sizes or [(480, 640), (1024, 2048)]:
        postprocessing = time_postprocessing(info, size, args.rounds)
        for precision in args.precisions or ['fp32', 'fp16']:
            module = ExportedNetwork(network, Calibration()).eval().to(
                args.device, memory_format=torch.channels_last)
            for batch in args.batches or [1, 4]:
                times = {**time_stages(module, info, size, batch, precision, args),
                         'postprocessing_ms': postprocessing}
                print(json.dumps(times), flush=True)
                report['times'].append(times)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + '\n')


@torch.inference_mode()
def time_stages(module: ExportedNetwork, info: ModelInfo, size: tuple[int, int], batch: int,
                precision: str, args: argparse.Namespace) -> dict[str, Any]:
    """Return the medians of the copies and of the network for images of one size."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    pixels = scale_image(image, info.input_size, info.size_multiple, info.output_stride).pixels
    source = torch.from_numpy(np.repeat(pixels[None], batch, 0))
    if args.device == 'cuda':
        source = source.pin_memory()
    there = source.to(args.device)

    def network(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.autocast(args.device, DTYPES[precision], enabled=precision != 'fp32'):
            return module(images)

    output = network(there)
    stages: dict[str, Callable[[], Any]] = {
        'copy_in': lambda: source.to(args.device),
        'network': lambda: network(there),
        'copy_out': lambda: [array.cpu() for array in output],
        'all': lambda: [array.cpu() for array in network(source.to(args.device))]}
    times = {f'{name}_ms': time_call(call, args.rounds, args.device)
             for name, call in stages.items()}
    return {'size': list(size), 'network_size': list(pixels.shape[:2]), 'batch': batch,
            'precision': precision, **times}


def time_postprocessing(info: ModelInfo, size: tuple[int, int], rounds: int) -> float:
    """Return the median time of all that follows the network, for a made-up street."""
    blank = np.zeros((*size, 3), np.uint8)
    pixels = scale_image(blank, info.input_size, info.size_multiple, info.output_stride).pixels
    grid = tuple(side // info.output_stride for side in pixels.shape[:2])
    scene = street_scene(size, 20, info, grid)
    inference, postprocessor = scene.inference, Postprocessor(info)
    return time_call(lambda: postprocessor.run(inference.output, inference.image,
                                               inference.scale), rounds, 'cpu')


def time_call(call: Callable[[], Any], rounds: int, device: str) -> float:
    """Return the median time of a call in milliseconds, with all work of the device done."""
    laps = []
    for _ in range(WARM_UP + rounds):
        if device == 'cuda':
            torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        if device == 'cuda':
            torch.cuda.synchronize()
        laps.append(time.perf_counter() - start)
    return round(1e3 * median(laps[WARM_UP:]), 3)


if __name__ == '__main__':
    main()
