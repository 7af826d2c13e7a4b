"""Write the int8 version of a model file, with the ranges of some images.

python scripts/quantize_model.py models/street.onnx --images ~/images --out street_int8.onnx

"instseg export --precision int8" does the same from a checkpoint.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from instseg_ros.core.model_info import ModelInfo
from instseg_ros.core.network.model_file import read_model_file
from instseg_ros.core.scaling import scale_image
from instseg_ros.learning.export.onnx_export import quantize
from instseg_ros.media.images import is_image, read_image


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', type=Path, help='ONNX file in fp32')
    parser.add_argument('--images', type=Path, required=True,
                        help='folder of images to measure the ranges of the activations on')
    parser.add_argument('--count', type=int, default=24,
                        help='so many of them, evenly spaced by name (default: %(default)s)')
    parser.add_argument('--detector', action='store_true',
                        help='quantize the detector, too, not only the semantic encoder beside it')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    info = ModelInfo.from_metadata(read_model_file(args.model).metadata)
    paths = sorted(filter(is_image, args.images.glob('*')))
    if not paths:
        parser.error(f'--images: expected a folder with images, got none in {args.images}')
    chosen = [paths[k] for k in np.linspace(0, len(paths) - 1, args.count).astype(int)]
    images = [scale_image(read_image(path), info.input_size, info.size_multiple,
                          info.output_stride).pixels for path in chosen]
    quantize(args.model, args.out, images, args.detector)
    print(f'model: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)')


if __name__ == '__main__':
    main()
