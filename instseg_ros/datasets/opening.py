"""Opens labelled images: one data set, or all that a training configuration names."""
from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Iterable, Mapping, Sequence

from instseg_ros.core.types import BACKGROUND, UNLABELLED
from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.coco_file import CocoFile
from instseg_ros.datasets.coco_images import CocoImages
from instseg_ros.datasets.coco_panoptic import CocoPanopticDataset
from instseg_ros.datasets.config import DataConfig, DataSetConfig
from instseg_ros.datasets.label_images import LabelImages
from instseg_ros.datasets.mixture import MixedImages
from instseg_ros.datasets.types import DatasetError, LabelledImages, OpenedDataSet


def open_dataset(config: DataSetConfig, class_names: Sequence[str] = (),
                 thing_ids: Sequence[int] | None = None,
                 file: CocoFile | None = None) -> OpenedDataSet:
    """Open one data set.

    Parameters
    ----------
    config : DataSetConfig
    class_names : sequence of str, optional
        Classes in the order of their ids; default: all that the data has a category for, in COCO
        instances after the background.
    thing_ids : sequence of int, optional
        Classes that have instances; default: for COCO instances all but the background. In COCO
        panoptic and Cityscapes the data determines them.
    file : CocoFile, optional
        The annotation file, if it has been read already.

    Raises
    ------
    DatasetError
        A file is missing or can't be understood, or no category is one of the classes.
    """
    class_ids = config.class_ids(class_names) if class_names else None
    if config.format == 'cityscapes':
        # Here, because its package is needed for nothing else.
        from instseg_ros.datasets.cityscapes import CityscapesDataset

        return CityscapesDataset(config.root, config.split, class_names, class_ids)
    if config.format == 'label_images':
        return LabelImages(config.images, config.segments, config.annotations, class_names,
                           thing_ids or (), class_ids, config.labelled, config.select)
    file = file or CocoFile(config.annotations)
    if file.panoptic is not (config.format == 'coco_panoptic'):
        right = 'coco_panoptic' if file.panoptic else 'coco'
        raise DatasetError(f'{file.path}: expected the format {config.format}, this file is of '
                           f'format {right} (data.format: {right})')
    labels = {'class_ids': class_ids, 'labelled': config.labelled,
              'labelled_field': config.labelled_field, 'select': config.select}
    if file.panoptic:
        return CocoPanopticDataset(config.images, file, class_names, config.segments, **labels)
    names = tuple(class_names or dict.fromkeys((BACKGROUND, *file.category_names)))
    check_class_count(file.path, names)
    return CocoDataset(config.images, file, names, thing_ids, **labels)


def open_training_data(config: DataConfig) -> tuple[LabelledImages, DataConfig]:
    """Open the training images of a configuration.

    Returns
    -------
    (LabelledImages, DataConfig)
        The data set, or all of `config.sets` as one; and the configuration with the classes, also
        where it leaves them to the data.

    Raises
    ------
    DatasetError
        A file is missing or can't be understood, or no annotation has one of the classes.
    """
    files = [CocoFile(part.annotations) if part.format in ('coco', 'coco_panoptic') else None
             for part in config.parts]
    names = config.classes
    if not names and files[0] is not None:
        names = annotated_names(files[0])
        if not files[0].panoptic and len(names) < 2:
            raise DatasetError(f'{files[0].path}: has no annotations, there is nothing to learn')
        check_class_count(files[0].path, names)
    first = int(config.first_class_is_background)
    things = [k for k, name in enumerate(names) if k >= first and name not in config.stuff]
    parts = [open_dataset(part, names, things, file)
             for part, file in zip(config.parts, files)]
    _refuse_unknown(config, parts)
    dataset = parts[0] if not config.sets else MixedImages(
        [part.source for part in config.sets], parts)
    dataset.check_images()
    stuff = tuple(name for k, name in enumerate(dataset.class_names)
                  if k not in dataset.thing_ids)
    unknown = [name for name in config.stuff if name not in stuff]
    if unknown:
        raise DatasetError(f'data.stuff: expected some of {", ".join(stuff)}; got '
                           f'{", ".join(unknown)}')
    return dataset, dataclasses.replace(config, classes=dataset.class_names, stuff=stuff)


def open_validation_data(config: DataConfig) -> LabelledImages:
    """Open the data set of `config.validation`, with the classes of the training.

    Raises
    ------
    DatasetError
        A file is missing or can't be understood, or no category is one of the classes.
    """
    assert config.validation is not None
    dataset = open_dataset(config.validation, config.classes, config.thing_ids)
    dataset.check_images()
    return dataset


def annotated_names(file: CocoFile) -> tuple[str, ...]:
    """Return the classes of a file where none are chosen: the categories with annotations.

    Others are no classes, such as the root category that some tools write. In COCO instances the
    background comes first.
    """
    annotated = [name for name, count in file.annotation_counts().items() if count]
    return tuple(annotated if file.panoptic else dict.fromkeys((BACKGROUND, *annotated)))


def check_class_count(path: Path, names: Sequence[str]) -> None:
    """Refuse more classes than a label map of 8 bits can hold.

    Raises
    ------
    DatasetError
        Saying how to choose some.
    """
    if len(names) > UNLABELLED:
        raise DatasetError(f'{path}: expected at most {UNLABELLED} classes, got the {len(names)} '
                           'categories of the file; choose some (--classes, data.classes)')


def _refuse_unknown(config: DataConfig, parts: Iterable[OpenedDataSet]) -> None:
    """Refuse classes that no data set has, and a background that is a category."""
    known: dict[str, None] = {}
    hints = []
    for part_config, part in zip(config.parts, parts):
        counts = part.annotated_categories()
        first = config.classes[:1]
        if isinstance(part, CocoDataset) and first != (BACKGROUND,) and any(
                name in counts for name in first):
            raise DatasetError(f'data.classes: the first one is the background, but '
                               f'{first[0]!r} is a category of {part.path}')
        mapped = dict(part_config.class_map)
        known.update(dict.fromkeys(mapped.get(name, name) for name in counts))
        hints.append(_hint(part_config, part, counts))
    labelled = config.classes[int(config.first_class_is_background):]
    missing = [name for name in labelled if name not in known]
    if missing:
        raise DatasetError('data.classes: no annotation has the class '
                           f'{", ".join(map(repr, missing))}; {"; ".join(hints)}')


def _hint(config: DataSetConfig, part: OpenedDataSet, counts: Mapping[str, int | None]) -> str:
    if config.format == 'cityscapes':
        return 'Cityscapes has the labels: ' + ', '.join(counts)
    names = ', '.join(name if count is None else f'{name} ({count})'
                      for name, count in counts.items())
    what = 'annotations are of' if isinstance(part, CocoImages) else 'classes are'
    return f'{config.annotations}: its {what}: {names or "nothing"}'
