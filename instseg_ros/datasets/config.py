"""Which labelled images a command or a training takes, and what their labels mean."""
from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Iterable, Mapping

from instseg_ros.core.config import check_options, option
from instseg_ros.core.types import BACKGROUND, UNLABELLED
from instseg_ros.yaml_files import read_yaml

FORMATS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    'coco': (('images', 'annotations'), ()),
    'coco_panoptic': (('images', 'annotations'), ('segments',)),
    'label_images': (('images', 'annotations', 'segments'), ()),
    'cityscapes': (('root',), ()),
}
"""Layouts of data sets: the paths that each needs, and those that it may have."""

ONLY_IN = {
    'labelled': ('coco', 'coco_panoptic', 'label_images'),
    'labelled_field': ('coco', 'coco_panoptic'),
    'select': ('coco', 'coco_panoptic', 'label_images'),
}
"""Options that not all formats have."""

PATHS = ('images', 'annotations', 'segments', 'root')

Pairs = tuple[tuple[str, Any], ...]
"""A mapping in an order, as a frozen dataclass can hold it."""


@dataclass(frozen=True)
class DataSetConfig:
    """One data set on disk: where it is, and what its labels mean."""

    name: str = option('', 'Name of the data set in messages and names of images; empty: that of '
                       'the annotation file or of the root folder')
    format: str = option('coco', 'Layout of the data: COCO instances, COCO panoptic, label images '
                         'or Cityscapes', choices=tuple(FORMATS))
    images: str = option('', 'COCO, label images: folder of the images')
    annotations: str = option('', 'COCO: instances or panoptic file; label images: index file')
    segments: str = option('', 'COCO panoptic: folder of the PNGs; empty: called like the '
                           'annotations, without .json. Label images: folder of the label images')
    root: str = option('', 'Cityscapes: folder with leftImg8bit and gtFine')
    split: str = option('train', 'Cityscapes: which part')
    class_map: Pairs = option((), 'Class of each category whose name differs: {category: class}; '
                              'others are matched by name')
    labelled: tuple[str, ...] = option((), 'Classes that are labelled in every image: where none '
                                       'of them is annotated, none is shown. Empty: all that the '
                                       'data has a category for. Annotations of other classes '
                                       'count where they are; elsewhere such a class may be shown')
    labelled_field: str = option('', 'COCO: field of the image records that lists the categories '
                                 'labelled in that image; empty: none')
    select: str = option('', 'COCO, label images: take only images whose record matches '
                         'FIELD=PATTERN, such as source=COCO*, or does not match FIELD!=PATTERN; '
                         'empty: all')
    share: float = option(1.0, 'Share of the training crops, relative to those of the other data '
                          'sets', minimum=0.0)

    def __post_init__(self) -> None:
        self._check('data')

    @classmethod
    def from_yaml(cls, path: str | Path) -> DataSetConfig:
        """Read a YAML file with the keys of one data set of a training configuration.

        Paths in it may contain environment variables; relative ones are relative to its folder.

        Raises
        ------
        ValueError
            The file can't be read, or a value is wrong; naming the file and the key.
        """
        path = Path(path)
        values = read_yaml(path)
        if not isinstance(values, Mapping):
            raise ValueError(f'{path}: expected the keys of a data set, such as "images"')
        try:
            refuse_unknown('', values, [item.name for item in fields(DataSetConfig)])
            folder = path.resolve().parent
            resolved: dict[str, Any] = {
                key: resolve_path(value, folder, key) if key in PATHS else value
                for key, value in values.items()}
            return cls(**resolved)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error

    def _check(self, prefix: str) -> None:
        check_options(self, prefix)
        needed, allowed = FORMATS[self.format]
        for name in PATHS:
            value = getattr(self, name)
            if name in needed and not value:
                raise ValueError(f'{prefix}.{name}: expected a path, got nothing (format '
                                 f'{self.format} needs: {", ".join(needed)})')
            if value and name not in needed + allowed:
                raise ValueError(f'{prefix}.{name}: format {self.format} has no such path, it '
                                 f'needs: {", ".join(needed)}')
        self._freeze_names(prefix, 'labelled')
        self._freeze_pairs(prefix, 'class_map')
        for category, name in self.class_map:
            if not isinstance(name, str):
                raise ValueError(f'{prefix}.class_map.{category}: expected the name of a class, '
                                 f'got {name!r:.80}')
        for name, formats in ONLY_IN.items():
            if getattr(self, name) and self.format not in formats:
                raise ValueError(f'{prefix}.{name}: format {self.format} has no such option, only '
                                 f'{", ".join(formats)}')
        if self.select and '=' not in self.select:
            raise ValueError(f'{prefix}.select: expected FIELD=PATTERN or FIELD!=PATTERN, '
                             f'got {self.select!r}')

    def _freeze_names(self, prefix: str, name: str) -> None:
        values = getattr(self, name)
        if not isinstance(values, (list, tuple)) or not all(
                isinstance(value, str) for value in values):
            raise ValueError(f'{prefix}.{name}: expected a list of names, got {values!r:.200}; '
                             'write numbers, yes and no in quotes')
        object.__setattr__(self, name, tuple(values))

    def _freeze_pairs(self, prefix: str, name: str) -> None:
        values = getattr(self, name)
        pairs = values.items() if isinstance(values, Mapping) else values
        if not isinstance(values, (Mapping, list, tuple)) or any(
                not isinstance(pair, (list, tuple)) or len(pair) != 2
                or not isinstance(pair[0], str) for pair in pairs):
            raise ValueError(f'{prefix}.{name}: expected a mapping with names as keys, got '
                             f'{values!r:.200}')
        object.__setattr__(self, name, tuple((key, value) for key, value in pairs))

    @property
    def source(self) -> str:
        """Name of the annotation file or data set, for people."""
        return self.name or Path(self.annotations or self.root).name

    def class_ids(self, class_names: Iterable[str]) -> dict[str, int]:
        """Return the class id of every category name that is matched with a class."""
        ids = {name: k for k, name in enumerate(class_names)}
        mapped = {category: ids[name] for category, name in self.class_map if name in ids}
        return {**ids, **mapped}


@dataclass(frozen=True)
class DataConfig(DataSetConfig):
    """Which data is trained on: one data set, or several in `sets`.

    Paths may contain environment variables, as in ${INSTSEG_DATA}; relative ones are relative to
    the configuration file.
    """

    classes: tuple[str, ...] = option((), 'Class names, matched with the categories of the data; '
                                      'empty: all that it has. For COCO instances and several '
                                      'data sets the first is the background')
    stuff: tuple[str, ...] = option((), 'Classes without instances, such as road, beside the '
                                    'background; the others are things. A single data set of '
                                    'another format than COCO instances determines them')
    sets: tuple[DataSetConfig, ...] = option((), 'Data sets to mix, each with the keys above; '
                                             'instead of one data set')
    validation: DataSetConfig | None = option(None, 'Data set for validation and calibration, '
                                              'with the keys above; without it, images of the '
                                              'training data are held out')
    class_shares: Pairs = option((), 'How often crops are drawn for a class, relative to the '
                                 'others: {class: share}, 1 where not given. A crop is drawn by '
                                 'data set, then by class (its share times the square root of '
                                 'the number of images that show it), then among these images. '
                                 'Empty, with one data set: every image once an epoch')
    crops: int = option(0, 'Crops in an epoch where they are drawn by class; 0: one for each '
                        'image', minimum=0)
    validation_images: int = option(32, 'Images with objects that are held out of training, for '
                                    'validation and for the calibration of confidences; at most '
                                    'a quarter of those with objects', minimum=0)
    empty_share: float = option(0.1, 'Share of training crops from images without any instance',
                                minimum=0.0, maximum=0.9)
    cache_gb: float = option(4.0, 'Memory for decoded images; those that do not fit are read '
                             'from disk each time', unit='GB', minimum=0.0)

    def __post_init__(self) -> None:
        self._freeze_pairs('data', 'class_shares')
        self._freeze_names('data', 'classes')
        self._freeze_names('data', 'stuff')
        if self.validation is not None:
            object.__setattr__(self, 'validation', _nested(self.validation, 'data.validation'))
        if not isinstance(self.sets, (list, tuple)):
            raise ValueError(f'data.sets: expected a list of data sets, got {self.sets!r}')
        object.__setattr__(self, 'sets', tuple(
            _nested(values, f'data.sets[{k}]') for k, values in enumerate(self.sets)))
        if self.sets:
            self._check_mixture()
        else:
            self._check('data')
        self._check_classes()

    def _check_mixture(self) -> None:
        check_options(self, 'data')
        self._freeze_names('data', 'labelled')
        self._freeze_pairs('data', 'class_map')
        for name, field in DataSetConfig.__dataclass_fields__.items():
            if getattr(self, name) != field.default:
                raise ValueError(f'data.{name}: expected in each of data.sets, or no data.sets')
        if not self.classes:
            raise ValueError('data.classes: expected the class names, as there are several data '
                             'sets')
        names = [part.source for part in self.sets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'data.sets: expected different names, got {name!r} twice; each '
                                 'data set may have a "name"')
        if not any(part.share for part in self.sets):
            raise ValueError('data.sets: expected a share above 0')

    def _check_classes(self) -> None:
        if not self.classes:
            return
        if self.format == 'coco':  # or a mixture
            if len(self.classes) < 2:
                raise ValueError('data.classes: expected the background and at least one thing, '
                                 f'got {self.classes!r}')
            object.__setattr__(self, 'stuff', tuple(dict.fromkeys((self.classes[0],
                                                                   *self.stuff))))
        if len(set(self.classes)) < len(self.classes) or len(self.classes) > UNLABELLED:
            raise ValueError(f'data.classes: expected at most {UNLABELLED} different names, got '
                             f'{len(self.classes)}: {", ".join(self.classes):.400}')
        parts = [*self.parts, *([self.validation] if self.validation else [])]
        for key, names in (
                ('stuff', self.stuff), ('class_shares', [name for name, _ in self.class_shares]),
                ('labelled', [name for part in parts for name in part.labelled]),
                ('class_map', [name for part in parts for _, name in part.class_map])):
            for name in names:
                if name not in self.classes:
                    raise ValueError(f'data.{key}: {name!r} is none of the classes: '
                                     f'{", ".join(self.classes)}')
        for name, share in self.class_shares:
            if isinstance(share, bool) or not isinstance(share, (int, float)) \
                    or not 0 <= share < math.inf:
                raise ValueError(f'data.class_shares.{name}: expected a number from 0, got '
                                 f'{share!r}')

    @property
    def parts(self) -> tuple[DataSetConfig, ...]:
        """The data sets that are mixed, or the only one."""
        return self.sets or (self,)

    @property
    def first_class_is_background(self) -> bool:
        """Whether class 0 is what is labelled as nothing else."""
        return (bool(self.sets) or self.format == 'coco'
                or self.classes[:1] == (BACKGROUND,))

    @property
    def by_class(self) -> bool:
        """Whether crops are drawn by class; otherwise an epoch has every image once."""
        return bool(self.sets or self.class_shares or self.crops)

    @property
    def thing_ids(self) -> tuple[int, ...]:
        """Ids of the classes that have instances."""
        return tuple(k for k, name in enumerate(self.classes) if name not in self.stuff)

    @property
    def source(self) -> str:
        """Names of the annotation files or data sets, for people."""
        return ', '.join(part.source for part in self.sets) or super().source


def _nested(values: Any, prefix: str) -> DataSetConfig:
    """Return a data set within another section."""
    if isinstance(values, DataSetConfig):
        return values
    if not isinstance(values, Mapping):
        raise ValueError(f'{prefix}: expected a section with keys, got {values!r}')
    refuse_unknown(f'{prefix}.', values, DataSetConfig.__dataclass_fields__)
    try:
        return DataSetConfig(**values)
    except ValueError as error:
        raise ValueError(str(error).replace('data.', f'{prefix}.', 1)) from error


def refuse_unknown(prefix: str, values: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keys of a section that are not known.

    Raises
    ------
    ValueError
        Naming the key and those that are known.
    """
    for key in values:
        if key not in known:
            raise ValueError(f'unknown key "{prefix}{key}"; known are: {", ".join(known)}')


def resolve_path(value: Any, folder: Path, key: str) -> str:
    """Return a path with its environment variables filled in, relative to a folder.

    Parameters
    ----------
    value : str
        May contain `${NAME}`; an empty one stays empty.
    folder : Path
    key : str
        Name of the option, for messages.

    Raises
    ------
    ValueError
        The value is not text, or a variable is not set.
    """
    def expand(match: re.Match[str]) -> str:
        name = match.group(1)
        if not os.environ.get(name):
            raise ValueError(f'{key}: the environment variable {name} is not set, needed for '
                             f'{value}; set it, or override {key} on the command line')
        return os.environ[name]

    if not isinstance(value, str):
        raise ValueError(f'{key}: expected a path, got {value!r}')
    return value and str(folder / re.sub(r'\$\{(\w+)\}', expand, value))
