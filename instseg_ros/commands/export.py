"""`instseg export`: from a checkpoint to the ONNX file that a robot runs."""
from __future__ import annotations

import argparse
from pathlib import Path

EPILOG = """\
The file holds all that belongs to the network: normalisation, classes, palette, calibrated center
confidences. They are calibrated on the images that the training held out. What ONNX Runtime
computes is compared with PyTorch before the file takes its name.

example:
  instseg export runs/street/last.ckpt --out models/street.onnx
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `instseg export`."""
    parser.epilog = EPILOG
    parser.add_argument('checkpoint', type=Path, help='checkpoint of "instseg train"')
    parser.add_argument('--out', required=True, type=Path, help='ONNX file to write')
    parser.add_argument('--input-size', type=int, default=None, metavar='PX',
                        help="long side of the images at inference; default: the training's")
    parser.add_argument('--no-calibration', action='store_true',
                        help='keep the raw center confidences (needs no training images)')


def run(args: argparse.Namespace) -> int:
    """Calibrate and export; return the exit code."""
    from tqdm import tqdm

    from instseg_ros.learning.calibration import Calibration, fit_calibration
    from instseg_ros.learning.export import ExportedNetwork, export_onnx, model_info
    from instseg_ros.learning.training import calibration_images, load_checkpoint

    network, config, facts = load_checkpoint(args.checkpoint)
    size = args.input_size or config.model.input_size
    info = model_info(network, config.data.classes, size, {})
    calibration = Calibration()
    if not args.no_calibration:
        images, targets = calibration_images(config, info.input_size, info.output_stride)
        raw = ExportedNetwork(network, calibration).eval()
        outputs = [raw.predict(image) for image in tqdm(images, desc='calibrating', unit='img')]
        report = fit_calibration(outputs, targets, info)
        calibration = report.calibration
        print(f'calibration on {report.images} held-out images: {report.centers} of '
              f'{report.candidates} candidates are centers; best raw threshold '
              f'{report.threshold:.2f} (PQ of things {report.quality[report.threshold]:.3f})')
        facts['calibration'] = {'images': report.images, 'raw_threshold': report.threshold,
                                'scale': calibration.scale, 'shift': calibration.shift}
    info = model_info(network, config.data.classes, size, facts)
    differences = export_onnx(network, calibration, info, args.out)
    print('largest difference to PyTorch: '
          + ', '.join(f'{name} {value:.2g}' for name, value in differences.items()))
    print(f'model: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)')
    return 0
