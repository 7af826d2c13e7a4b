"""COCO's annotation files, read and checked: instances and panoptic ones.

Format: https://cocodataset.org/#format-data.
"""
from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, NamedTuple

from instseg_ros.datasets.json_files import below, flag, identifier, integer, read_json
from instseg_ros.datasets.types import DatasetError
from instseg_ros.limits import MAX_PIXELS

MAX_OBJECTS = 2 ** 16 - 1
"""Annotations of an image: instance ids have 16 bits."""


class Field(NamedTuple):
    """What a field of a record must hold; `read` returns the value, or None if it is wrong."""

    read: Callable[[Any], Any]
    expected: str


ID = Field(identifier, 'a whole number or a text')
SIZE = Field(integer, 'a whole number')
TEXT = Field(lambda value: value if type(value) is str else None, 'a text')
FILE = Field(below, 'the name of a file below the folder of images, without ".." and not absolute')
LIST = Field(lambda value: value if type(value) is list else None, 'a list')
FLAG = Field(flag, '0, 1, true, false or null')

FIELDS = {
    'images': {'id': ID, 'file_name': FILE, 'width': SIZE, 'height': SIZE},
    'categories': {'id': ID, 'name': TEXT},
}
INSTANCE_FIELDS = {'id': ID, 'image_id': ID, 'category_id': ID, 'iscrowd': FLAG}
PANOPTIC_FIELDS = {'image_id': ID, 'file_name': FILE, 'segments_info': LIST}
SEGMENT_FIELDS = {'id': SIZE, 'category_id': ID, 'iscrowd': FLAG}
"""What every record of a list must have; a file with less can't be understood."""

Id = int | str


class CocoFile:
    """An annotation file whose records are known to have what they need and to fit together.

    Whole numbers may be written as 5.0, and ids as "5". `iscrowd` is a bool, and is always there.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    path : Path
    panoptic : bool
        A panoptic file: one annotation an image, with a list of segments, whose pixels are in a
        PNG. Otherwise an instances file: one annotation an object, with its mask.
    images, categories, annotations : list of dict
        The file's records in its order.

    Raises
    ------
    DatasetError
        Naming the file and the record that can't be understood.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        document = read_json(self.path)
        if not isinstance(document, dict):
            raise DatasetError(f'{self.path}: expected a JSON object, got a '
                               f'{type(document).__name__}')
        self.images = self._list(document, 'images', FIELDS['images'])
        self.categories = self._list(document, 'categories', FIELDS['categories'])
        found = document.get('annotations')
        self.panoptic = (isinstance(found, list) and bool(found) and isinstance(found[0], dict)
                         and 'segments_info' in found[0])
        self.annotations = self._list(document, 'annotations',
                                      PANOPTIC_FIELDS if self.panoptic else INSTANCE_FIELDS)
        self._check_sizes()
        self._check_references()
        self._check_counts()

    @property
    def category_names(self) -> list[str]:
        """Names of the categories in the order of the file, each once."""
        return list(dict.fromkeys(category['name'] for category in self.categories))

    def annotation_counts(self) -> dict[str, int]:
        """Return how many annotations each category has, in the order of `category_names`."""
        counts = Counter(category_id for _, category_id in self._labels())
        names = dict.fromkeys(self.category_names, 0)
        for category in self.categories:
            names[category['name']] += counts[category['id']]
        return names

    def _labels(self) -> Iterator[tuple[str, Id]]:
        """Yield what every object or segment is called in messages, and its category."""
        for annotation in self.annotations:
            if not self.panoptic:
                yield f'annotation {annotation["id"]}', annotation['category_id']
                continue
            for segment in annotation['segments_info']:
                where = f'annotation of image {annotation["image_id"]}'
                self._check_record(where, segment, SEGMENT_FIELDS)
                yield f'{where}, segment {segment["id"]}', segment['category_id']

    def _list(self, document: Mapping[str, Any], name: str,
              fields: Mapping[str, Field]) -> list[dict[str, Any]]:
        """Return one of the file's lists, its records checked one by one."""
        records = document.get(name)
        if not isinstance(records, list):
            raise DatasetError(f'{self.path}: not a COCO annotation file, the list "{name}" is '
                               'missing')
        seen = set()
        for position, record in enumerate(records):
            where = f'"{name}", record {position}'
            self._check_record(where, record, fields)
            if name != 'annotations':  # nothing refers to annotations
                if record['id'] in seen:
                    raise DatasetError(f'{self.path}: {where}: id {record["id"]} appears twice')
                seen.add(record['id'])
        return records

    def _check_record(self, where: str, record: Any, fields: Mapping[str, Field]) -> None:
        """Check the fields of a record, and write them in the one form that is used here."""
        if not isinstance(record, dict):
            raise DatasetError(f'{self.path}: {where}: expected a JSON object, got a '
                               f'{type(record).__name__}')
        for name, field in fields.items():
            value = field.read(record.get(name))
            if value is None:
                raise DatasetError(f'{self.path}: {where} (id {record.get("id")!r:.40}): expected '
                                   f'a field "{name}" with {field.expected}, got '
                                   f'{record.get(name)!r:.80}')
            record[name] = value

    def _check_sizes(self) -> None:
        for position, record in enumerate(self.images):
            width, height = record['width'], record['height']
            if width < 1 or height < 1 or width * height > MAX_PIXELS:
                raise DatasetError(f'{self.path}: "images", record {position} '
                                   f'({record["file_name"]}): expected at least 1x1 and at most '
                                   f'{MAX_PIXELS} pixels, got {width}x{height}')

    def _check_references(self) -> None:
        known_images = {record['id'] for record in self.images}
        known_categories = {category['id'] for category in self.categories}
        for annotation in self.annotations:
            if annotation['image_id'] not in known_images:
                name = '' if self.panoptic else f' {annotation["id"]}'
                raise DatasetError(f'{self.path}: annotation{name}: image '
                                   f'{annotation["image_id"]} is not in the list of images')
        for where, category_id in self._labels():
            if category_id not in known_categories:
                raise DatasetError(f'{self.path}: {where}: category {category_id} is not in the '
                                   'list of categories')

    def _check_counts(self) -> None:
        counts = Counter(annotation['image_id'] for annotation in self.annotations)
        if self.panoptic:
            counts = Counter({annotation['image_id']: len(annotation['segments_info'])
                              for annotation in self.annotations})
        for image_id, count in counts.most_common(1):
            if count > MAX_OBJECTS:
                raise DatasetError(f'{self.path}: image {image_id}: expected at most '
                                   f'{MAX_OBJECTS} annotations, got {count}')
