#!/usr/bin/env python3
"""Pack a training into one archive: configuration, shrunk images and labels, initial weights.

For machines that have an accelerator but no network and little room: what is in the archive is
all that `scripts/accelerator_run.py` needs.

    INSTSEG_DATA=... INSTSEG_WEIGHTS=... scripts/pack_training.py \
        --config config/training/street_detector.yaml --limit fashion=200 --out street.tar
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.config import DataConfig, DataSetConfig
from instseg_ros.datasets.label_images import LabelImages
from instseg_ros.datasets.masks import decode_segmentation, encode_mask
from instseg_ros.datasets.opening import open_dataset
from instseg_ros.files import replacing
from instseg_ros.learning.checkpoints import write_weights
from instseg_ros.learning.config import PATHS, TrainingConfig

CONFIG = 'training.yaml'
"""Name of the configuration in the archive."""


def main(argv: list[str] | None = None) -> None:
    """Pack what the arguments name and print the size."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--config', required=True, type=Path)
    parser.add_argument('--out', required=True, type=Path, help='the archive (.tar)')
    parser.add_argument('--long-side', type=int, default=512, metavar='PX',
                        help='of the training images; smaller ones stay as they are (default 512)')
    parser.add_argument('--validation-long-side', type=int, default=640, metavar='PX',
                        help='of the validation images (default 640)')
    parser.add_argument('--quality', type=int, default=80, metavar='1..100',
                        help='of the JPEG files (default 80)')
    parser.add_argument('--limit', action='append', default=[], metavar='NAME=COUNT',
                        help='at most so many images of a data set, evenly spread; repeatable')
    parser.add_argument('--half', action='store_true',
                        help='store kernels of the initial weights in float16, for less room')
    args = parser.parse_args(argv)
    config = TrainingConfig.from_yaml(args.config)
    limits = {name: int(count) for name, count in (text.split('=') for text in args.limit)}
    unknown = set(limits) - {part.source for part in config.data.parts}
    if unknown:
        parser.error(f'--limit: no data set is called {", ".join(unknown)}')
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = pack_data(config.data, folder, limits, args.long_side,
                         args.validation_long_side, args.quality)
        model = dataclasses.replace(config.model, **pack_weights(config, folder, args.half))
        packed = dataclasses.replace(config, data=data, model=model).to_dict()
        # Through JSON, as YAML would write tuples with tags of Python.
        (folder / CONFIG).write_text(yaml.safe_dump(json.loads(json.dumps(packed))))
        with replacing(args.out) as path, tarfile.open(path, 'w') as archive:
            archive.add(folder, arcname='.')
    print(f'{args.out}: {args.out.stat().st_size / 2 ** 20:.1f} MiB')


def pack_data(config: DataConfig, folder: Path, limits: dict[str, int], long_side: int,
              validation_long_side: int, quality: int) -> DataConfig:
    """Write all data sets below `folder`; return the configuration with the relative paths."""
    things = config.thing_ids

    def pack(part: DataSetConfig, side: int) -> DataSetConfig:
        name = part.source.replace('.json', '')
        (folder / name / 'images').mkdir(parents=True)
        dataset = open_dataset(part, config.classes, things)
        count = min(len(dataset), limits.get(part.source, len(dataset)))
        indices = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int)).tolist()
        write = {CocoDataset: write_coco, LabelImages: write_label_images}.get(type(dataset))
        if write is None:
            raise SystemExit(f'{part.source}: only COCO instances and label images can be packed')
        paths = write(dataset, tqdm(indices, desc=name), folder / name, side, quality)
        return dataclasses.replace(part, select='', **{
            key: f'{name}/{path}' for key, path in paths.items()})

    parts = [pack(part, long_side) for part in config.parts]
    validation = config.validation and pack(config.validation, validation_long_side)
    if not config.sets:
        return dataclasses.replace(parts[0], validation=validation)
    return dataclasses.replace(config, sets=tuple(parts), validation=validation)


def pack_weights(config: TrainingConfig, folder: Path, half: bool) -> dict[str, Any]:
    """Copy all weights that the model section names; return the options that name the copies."""
    options: dict[str, Any] = {}
    for key in PATHS['model']:
        value = getattr(config.model, key)
        if isinstance(value, str):
            options[key] = value and pack_file(Path(value), folder, key, half)
        else:
            options[key] = tuple(pack_file(Path(path), folder, f'{key}{number}', half)
                                 for number, path in enumerate(value))
    return options


def pack_file(source: Path, folder: Path, prefix: str, half: bool) -> str:
    """Copy a file of weights; return the name of the copy."""
    name = f'{prefix}-{source.name}'
    if half and source.suffix == '.safetensors':
        save_file({key: tensor.half() if tensor.ndim > 1 else tensor
                   for key, tensor in load_file(source).items()}, folder / name)
    elif half and source.suffix == '.ckpt':
        write_weights(source, folder / name, half=True)
    else:
        shutil.copy(source, folder / name)
    return name


def write_coco(dataset: CocoDataset, indices: Any, folder: Path, long_side: int,
               quality: int) -> dict[str, str]:
    """Write shrunk images and their annotations, with masks as run lengths."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in indices:
        record = dataset.images[index]
        image = shrink(dataset.load_image(index), long_side)
        height, width = image.shape[:2]
        name = f'{Path(record["file_name"]).stem}.jpg'
        write_jpeg(folder / 'images' / name, image, quality)
        images.append({**record, 'file_name': name, 'height': height, 'width': width})
        for annotation in dataset.file.annotations:
            if annotation['image_id'] != record['id']:
                continue
            mask = decode_segmentation(annotation['segmentation'], *dataset.image_size(index))
            mask = cv2.resize(mask.astype(np.uint8), (width, height),
                              interpolation=cv2.INTER_NEAREST_EXACT)
            if mask.any():
                runs = encode_mask(mask)
                annotations.append({
                    **annotation, 'area': int(mask.sum()), 'bbox': list(cv2.boundingRect(mask)),
                    'segmentation': {'size': [height, width],
                                     'counts': runs['counts'].decode('ascii')}})
    document = {'images': images, 'categories': dataset.categories, 'annotations': annotations}
    (folder / 'annotations.json').write_text(json.dumps(document))
    return {'images': 'images', 'annotations': 'annotations.json'}


def write_label_images(dataset: LabelImages, indices: Any, folder: Path, long_side: int,
                       quality: int) -> dict[str, str]:
    """Write shrunk photographs, their label images, and the index of these."""
    (folder / 'labels').mkdir()
    files = []
    for index in indices:
        image = shrink(dataset.load_image(index), long_side)
        name = Path(dataset.image_name(index)).stem
        write_jpeg(folder / 'images' / f'{name}.jpg', image, quality)
        labels = cv2.imread(str(dataset.labels / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(folder / 'labels' / f'{name}.png'), cv2.resize(
            labels, image.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT))
        files.append({'file': name})
    document = {**json.loads(dataset.path.read_text()), 'images': files}
    (folder / 'index.json').write_text(json.dumps(document))
    return {'images': 'images', 'segments': 'labels', 'annotations': 'index.json'}


def shrink(image: np.ndarray, long_side: int) -> np.ndarray:
    """Return an image whose long side is at most so long."""
    scale = long_side / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def write_jpeg(path: Path, image: np.ndarray, quality: int) -> None:
    """Write an RGB image."""
    cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])


if __name__ == '__main__':
    main()
