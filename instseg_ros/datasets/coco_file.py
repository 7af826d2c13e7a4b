"""COCO's annotation files, read and checked: instances and panoptic ones.

Format: https://cocodataset.org/#format-data.
"""
from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Iterator, Mapping

from instseg_ros.datasets.types import DatasetError

FIELDS = {
    'images': {'id': int, 'file_name': str, 'width': int, 'height': int},
    'categories': {'id': int, 'name': str},
}
INSTANCE_FIELDS = {'id': int, 'image_id': int, 'category_id': int}
PANOPTIC_FIELDS = {'image_id': int, 'file_name': str, 'segments_info': list}
SEGMENT_FIELDS = {'id': int, 'category_id': int}
"""What every record of a list must have; a file with less can't be understood."""


class CocoFile:
    """An annotation file whose records are known to have what they need and to fit together.

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

    def _labels(self) -> Iterator[tuple[str, int]]:
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
              fields: Mapping[str, type]) -> list[dict[str, Any]]:
        """Return one of the file's lists, its records checked one by one."""
        records = document.get(name)
        if not isinstance(records, list):
            raise DatasetError(f'{self.path}: not a COCO annotation file, the list "{name}" is '
                               'missing')
        seen = set()
        for position, record in enumerate(records):
            where = f'"{name}", record {position}'
            self._check_record(where, record, fields)
            if name != 'annotations' and record['id'] in seen:  # nothing refers to annotations
                raise DatasetError(f'{self.path}: {where}: id {record["id"]} appears twice')
            seen.add(record.get('id'))
        return records

    def _check_record(self, where: str, record: Any, fields: Mapping[str, type]) -> None:
        if not isinstance(record, dict):
            raise DatasetError(f'{self.path}: {where}: expected a JSON object, got a '
                               f'{type(record).__name__}')
        for field, kind in fields.items():
            if type(record.get(field)) is not kind:
                raise DatasetError(f'{self.path}: {where} (id {record.get("id")}): expected a '
                                   f'field "{field}" of type {kind.__name__}, got '
                                   f'{record.get(field)!r}')

    def _check_sizes(self) -> None:
        for position, record in enumerate(self.images):
            if record['width'] < 1 or record['height'] < 1:
                raise DatasetError(f'{self.path}: "images", record {position} '
                                   f'({record["file_name"]}): expected at least 1x1 pixels, got '
                                   f'{record["width"]}x{record["height"]}')

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


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    DatasetError
        It can't be read or isn't JSON.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise DatasetError(f'{path}: {error.strerror or error}') from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f'{path}: not valid JSON ({error})') from error
