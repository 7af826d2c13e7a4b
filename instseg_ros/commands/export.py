"""`instseg export`: from a checkpoint to the ONNX file that a robot runs."""
from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

EPILOG = """\
The file holds all that belongs to the network: normalisation, classes, palette, calibration of
center confidences and of scores, made on the images that the training held out. What ONNX Runtime
computes is compared with PyTorch before the file takes its name.

precision:
  fp32  what was trained; for every processor
  fp16  half the size; for GPUs (on a CPU it is slower than fp32)
  int8  a quarter of the size; for CPUs with 8-bit dot products (x86 with VNNI, ARM with DOTPROD).
        The ranges of all activations are measured on the images that the training held out. It is
        an approximation: the command reports how far it agrees with the network, "instseg
        evaluate" what it costs in quality, "benchmarks/network_speed.py" what it gains in speed.

examples:
  instseg export runs/street/last.ckpt --out models/street.onnx
  instseg export runs/street/last.ckpt --precision int8 --out street_int8.onnx
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `instseg export`."""
    parser.epilog = EPILOG
    parser.add_argument('checkpoint', type=Path, help='checkpoint of "instseg train"')
    parser.add_argument('--out', required=True, type=Path, help='ONNX file to write')
    parser.add_argument('--precision', choices=('fp32', 'fp16', 'int8'), default='fp32',
                        help='arithmetic and weights, see below (default fp32)')
    parser.add_argument('--input-size', type=int, default=None, metavar='PX',
                        help="long side of the images at inference; default: the training's")
    parser.add_argument('--no-calibration', action='store_true',
                        help='keep the raw center confidences, as scores too (needs no training '
                        'images)')


def run(args: argparse.Namespace) -> int:
    """Calibrate and export; return the exit code."""
    from tqdm import tqdm

    from instseg_ros.learning.calibration import Calibration, fit_calibration
    from instseg_ros.learning.checkpoints import load_checkpoint
    from instseg_ros.learning.export.onnx_export import export_onnx, model_info
    from instseg_ros.learning.export.wrapper import ExportedNetwork
    from instseg_ros.learning.data_module import calibration_images

    network, config, facts = load_checkpoint(args.checkpoint)
    size = args.input_size or config.model.input_size
    things = config.data.thing_ids
    info = model_info(network, config.data.classes, things, size, {})
    calibration = score = Calibration()
    images: list = []
    if not args.no_calibration or args.precision == 'int8':
        images, targets = calibration_images(config, info.input_size, info.size_multiple,
                                             info.output_stride)
    if not args.no_calibration:
        raw = ExportedNetwork(network, calibration).eval()
        outputs = [raw.predict(image) for image in tqdm(images, desc='calibrating', unit='img')]
        report = fit_calibration(outputs, targets, info)
        calibration = report.calibration
        print(f'calibration on {report.images} held-out images: {report.centers} of '
              f'{report.candidates} candidates are centers; raw threshold '
              f'{report.threshold:.2f} (PQ of things {report.quality[report.threshold]:.3f}, at '
              f'best {max(report.quality.values()):.3f}); there, {report.right} of '
              f'{report.instances} instances are right')
        facts['calibration'] = {'images': report.images, 'raw_threshold': report.threshold,
                                'scale': calibration.scale, 'shift': calibration.shift}
        score = report.score
    facts['precision'] = args.precision
    info = dataclasses.replace(model_info(network, config.data.classes, things, size, facts),
                               score_scale=score.scale, score_shift=score.shift)
    report = export_onnx(network, calibration, info, args.out, args.precision, images)
    if args.precision == 'int8':
        centers = report['same centers']
        print(f'agreement with PyTorch on the {len(images)} held-out images: same class '
              f'{report["same class"]:.1%} of pixels, same centers '
              + ('(there are none)' if math.isnan(centers) else f'{centers:.1%}')
              + f', embeddings {report["embedding"]:.2f} apart')
    else:
        print('largest difference to PyTorch: '
              + ', '.join(f'{name} {value:.2g}' for name, value in report.items()))
    print(f'model: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)')
    return 0
