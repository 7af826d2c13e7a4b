"""`instseg export`: from a checkpoint to the ONNX file that a robot runs."""
from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, Sequence

from instseg_ros.commands.labelled_images import (
    add_data_arguments,
    check_data_arguments,
    names_data,
    open_dataset,
)

if TYPE_CHECKING:
    import numpy as np

    from instseg_ros.core.types import ModelInfo
    from instseg_ros.learning.calibration import CalibrationReport
    from instseg_ros.learning.checkpoints import CheckpointMetadata
    from instseg_ros.learning.config import TrainingConfig
    from instseg_ros.learning.model import InstanceSegmentationNetwork
    from instseg_ros.learning.targets import Targets

EPILOG = """\
The file holds all that belongs to the network: normalisation, classes, palette, calibration of
center confidences and of scores. The results of ONNX Runtime are compared with those of PyTorch
before the file takes its name.

calibration uses the validation images of the training: images that it was not trained on. The
checkpoint records which ones they are; they are looked for where the training found them. If they
have moved, --config names a configuration with the new paths. --images and --annotations name
other labelled images to calibrate on; choose some that were not trained on.

precision:
  fp32  what was trained; for every processor
  fp16  half the size; for GPUs (on a CPU it is slower than fp32)
  int8  a quarter of the size; for CPUs with 8-bit dot products (x86 with VNNI, ARM with DOTPROD).
        The ranges of all activations are measured on the calibration images. It is an
        approximation: the command reports how far it agrees with the network; "instseg evaluate"
        measures its quality, "instseg benchmark --compare" its speed.

examples:
  instseg export runs/street/last.ckpt --out models/street.onnx
  instseg export runs/street/last.ckpt --out street.onnx --config config/training/street.yaml
  instseg export runs/street/last.ckpt --out street.onnx --images DIR --annotations FILE.json
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
                        help='keep the raw center confidences, as scores too (needs no images)')
    parser.add_argument('--raw-threshold', type=float, default=None, metavar='FLOAT',
                        help='raw confidence of a center that becomes the threshold of the '
                        'method, 0.06, 0.09, ... 0.93; default: the lowest one at which the PQ of '
                        'things is nearly the best, which rare classes can mislead')
    parser.add_argument('--config', type=Path, metavar='FILE',
                        help="configuration with the paths of the training's data, if it has "
                        'moved')
    add_data_arguments(parser.add_argument_group('images to calibrate on, instead of those that '
                                                 'the training held out'))


def run(args: argparse.Namespace) -> int:
    """Calibrate and export; return the exit code."""
    from instseg_ros.learning.calibration import CANDIDATE_THRESHOLDS, Calibration
    from instseg_ros.learning.checkpoints import load_checkpoint
    from instseg_ros.learning.export.onnx_export import export_onnx, model_info

    if args.raw_threshold is not None and args.no_calibration:
        raise ValueError('--raw-threshold: only with a calibration, got --no-calibration')
    if args.raw_threshold is not None and args.raw_threshold not in CANDIDATE_THRESHOLDS:
        raise ValueError('--raw-threshold: expected one of '
                         f'{", ".join(map(str, CANDIDATE_THRESHOLDS))}; got {args.raw_threshold}')
    network, config, metadata = load_checkpoint(args.checkpoint)
    summary = {**metadata.training_summary(config), 'precision': args.precision}
    input_size = config.model.input_size if args.input_size is None else args.input_size
    info = model_info(network, config.data.classes, config.data.thing_ids, input_size, summary,
                      duplicate_distance=config.loss.duplicate_distance)
    calibration = Calibration()
    images: list = []
    if not args.no_calibration or args.precision == 'int8':
        images, targets = calibration_data(args, config, metadata, info)
    if not args.no_calibration:
        report = calibrate(network, images, targets, info, args.raw_threshold)
        calibration, score = report.calibration, report.score
        summary['calibration'] = {'images': report.images, 'raw_threshold': report.threshold,
                                  'scale': calibration.scale, 'shift': calibration.shift}
        info = dataclasses.replace(info, training=summary, score_scale=score.scale,
                                   score_shift=score.shift)
    differences = export_onnx(network, calibration, info, args.out, args.precision, images)
    print(describe_differences(differences, args.precision, len(images)))
    print(f'model: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)')
    return 0


def calibration_data(args: argparse.Namespace, config: TrainingConfig,
                     metadata: CheckpointMetadata, info: ModelInfo
                     ) -> tuple[list[np.ndarray], list[Targets]]:
    """Return scaled images that were not trained on, and their targets.

    Raises
    ------
    ValueError
        They are not recorded, or not where they are looked for.
    """
    from instseg_ros.datasets.types import DatasetError
    from instseg_ros.learning.data_module import scaled_images, validation_images

    if names_data(args):
        if args.config is not None:
            raise ValueError("--config is for the training's own data, --images and --annotations "
                             'name others: expected one of the two')
        check_data_arguments(args)
        dataset = open_dataset(args, info.class_names, info.thing_ids)
        dataset.check_images()
        return scaled_images(dataset, range(len(dataset)), info)
    if metadata.data is None:
        raise ValueError(f'{args.checkpoint}: of format {metadata.format}, which does not record '
                         'the validation images; name labelled images that were not trained on '
                         '(--images, --annotations) or keep the raw confidences '
                         '(--no-calibration)')
    try:
        dataset, indices = validation_images(moved(config, args.config), metadata.data)
    except DatasetError as error:
        raise ValueError(f'{error}; name a configuration with the paths of that data (--config), '
                         'or other labelled images to calibrate on (--images, --annotations)'
                         ) from error
    return scaled_images(dataset, indices, info)


def moved(config: TrainingConfig, path: Path | None) -> TrainingConfig:
    """Return a configuration with the paths of the data in another configuration file."""
    from instseg_ros.learning.config import TrainingConfig

    if path is None:
        return config
    # What the training started from and kept to doesn't matter any more; it needn't be there.
    other = TrainingConfig.from_yaml(path, {
        'model.weights': '', 'model.blend_with': '', 'model.teacher': '',
        'loss.distillation_weight': 0.0, 'loss.consistency_weight': 0.0})
    return dataclasses.replace(config, data=dataclasses.replace(
        other.data, classes=config.data.classes, stuff=config.data.stuff))


def calibrate(network: InstanceSegmentationNetwork, images: Sequence[np.ndarray],
              targets: Sequence[Targets], info: ModelInfo,
              threshold: float | None) -> CalibrationReport:
    """Fit the calibration on images and print what it was made from."""
    from tqdm import tqdm

    from instseg_ros.learning.calibration import Calibration, fit_calibration
    from instseg_ros.learning.export.wrapper import ExportedNetwork

    raw = ExportedNetwork(network, Calibration()).eval()
    outputs = [raw.predict(image) for image in tqdm(images, desc='calibrating', unit='img')]
    report = fit_calibration(outputs, targets, info, threshold)
    print(f'calibration on {report.images} images: {report.centers} of {report.candidates} '
          f'candidates are centers; raw threshold {report.threshold:.2f} (PQ of things '
          f'{report.quality[report.threshold]:.3f}, at best {max(report.quality.values()):.3f}); '
          f'there, {report.right} of {report.instances} instances are right')
    return report


def describe_differences(differences: Mapping[str, float], precision: str, images: int) -> str:
    """Return how far ONNX Runtime and PyTorch agree, as a sentence."""
    if precision != 'int8':
        return 'largest difference to PyTorch: ' + ', '.join(
            f'{name} {value:.2g}' for name, value in differences.items())
    centers = differences['same centers']
    return (f'agreement with PyTorch on {images} images: same class '
            f'{differences["same class"]:.1%} of pixels, same centers '
            + ('(there are none)' if math.isnan(centers) else f'{centers:.1%}')
            + f', embeddings {differences["embedding"]:.2f} apart')
