"""Opens the data set that a configuration names, and settles what its classes are."""
from __future__ import annotations

import dataclasses
from typing import Iterable

from tqdm import tqdm

from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.coco_file import CocoFile
from instseg_ros.datasets.coco_panoptic import CocoPanopticDataset
from instseg_ros.datasets.types import BACKGROUND, DatasetError, LabelledImages
from instseg_ros.learning.config import DataConfig


def open_dataset(config: DataConfig) -> tuple[LabelledImages, DataConfig]:
    """Open the data of a configuration.

    Returns
    -------
    (LabelledImages, DataConfig)
        The data set, and the configuration with the classes that the data set says itself.

    Raises
    ------
    DatasetError
        A file is missing or can't be understood, or no annotation has one of the classes.
    """
    if config.format == 'cityscapes':
        dataset = _open_cityscapes(config)
    else:
        dataset = _open_coco(config)
    dataset.check_images()
    stuff = tuple(name for k, name in enumerate(dataset.class_names)
                  if k not in dataset.thing_ids)
    unknown = [name for name in config.stuff if name not in stuff]
    if unknown:
        raise DatasetError(f'data.stuff: expected some of {", ".join(stuff)}; got '
                           f'{", ".join(unknown)}')
    return dataset, dataclasses.replace(config, classes=dataset.class_names, stuff=stuff)


def _open_cityscapes(config: DataConfig) -> LabelledImages:
    # Here, because its package is needed for nothing else.
    from instseg_ros.datasets.cityscapes import CITYSCAPES_CLASSES, CityscapesDataset

    _refuse_unknown(_labelled(config), CITYSCAPES_CLASSES, 'Cityscapes has the labels: '
                    + ', '.join(CITYSCAPES_CLASSES))
    return CityscapesDataset(config.root, config.split, config.classes)


def _open_coco(config: DataConfig) -> LabelledImages:
    file = CocoFile(config.annotations)
    if file.panoptic is not (config.format == 'coco_panoptic'):
        right = 'coco_panoptic' if file.panoptic else 'coco'
        raise DatasetError(f'{file.path}: expected the format {config.format}, this file is of '
                           f'format {right} (data.format: {right})')
    counts = file.annotation_counts()
    annotated = [name for name, count in counts.items() if count]
    known = 'its annotations are of: ' + (', '.join(f'{name} ({counts[name]})'
                                                    for name in annotated) or 'nothing')
    _refuse_unknown(_labelled(config), annotated, f'{file.path}: {known}')
    if file.panoptic:
        return CocoPanopticDataset(config.images, file, config.classes or annotated,
                                   config.segments)
    if config.classes and config.classes[0] in counts and config.classes[0] != BACKGROUND:
        raise DatasetError(f'data.classes: the first one is the background, but '
                           f'{config.classes[0]!r} is a category of {file.path}')
    if not annotated:
        raise DatasetError(f'{file.path}: has no annotations, there is nothing to learn')
    names = config.classes or tuple(dict.fromkeys((BACKGROUND, *annotated)))
    things = [k for k, name in enumerate(names) if k > 0 and name not in config.stuff]
    return CocoDataset(config.images, file, names, things)


def _labelled(config: DataConfig) -> tuple[str, ...]:
    """Return the classes that the data must have: all but the background."""
    skipped = config.format == 'coco' or config.classes[:1] == (BACKGROUND,)
    return config.classes[int(skipped):]


def _refuse_unknown(classes: Iterable[str], known: Iterable[str], hint: str) -> None:
    missing = [name for name in classes if name not in known]
    if missing:
        raise DatasetError('data.classes: no annotation has the class '
                           f'{", ".join(map(repr, missing))}; {hint}')


def objects_shown(dataset: LabelledImages) -> list[bool]:
    """Tell for each image whether it shows an instance of a class."""
    return [dataset.shows_object(index)
            for index in tqdm(range(len(dataset)), desc='looking for objects', unit='img')]
