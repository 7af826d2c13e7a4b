"""Labelled images in COCO's instance format, as label maps of a model's classes.

Format: https://cocodataset.org/#format-data. Categories are matched with classes by name. What the
model has no class for, and crowds, is *ignored*: neither background nor a class, in training and
in evaluation.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import cv2
import numpy as np

from instseg_ros.core.types import NO_INSTANCE, UNLABELLED
from instseg_ros.evaluation.masks import decode_segmentation, encode_mask

RECORD_FIELDS = {
    'images': {'id': int, 'file_name': str, 'width': int, 'height': int},
    'categories': {'id': int, 'name': str},
    'annotations': {'id': int, 'image_id': int, 'category_id': int},
}
"""What every record of a list must have; a file with less can't be understood."""


class DatasetError(ValueError):
    """A data set that can't be used; the message names the file and the annotation."""


@dataclass(frozen=True)
class LabelledObject:
    """One object of the ground truth, or a crowd of them.

    Attributes
    ----------
    class_id : int
    mask : dict
        COCO's compressed run lengths of its whole extent, also where another object is in front.
    crowd : bool
        A group that was not labelled one by one.
    """

    class_id: int
    mask: Mapping[str, Any]
    crowd: bool = False


@dataclass(frozen=True)
class GroundTruth:
    """Labels of one image.

    Attributes
    ----------
    semantic_ids : (H0, W0) uint8
        255: ignore.
    instance_ids : (H0, W0) uint16
        0: no instance; otherwise 1 + the index in `annotations`. Where objects overlap, the
        smaller one is in front.
    annotations : tuple of dict
        COCO annotations of the instances whose category is a class, without crowds.
    objects : tuple of LabelledObject
        One for each of `annotations`, in their order, then the crowds of a class.
    """

    semantic_ids: np.ndarray
    instance_ids: np.ndarray
    annotations: tuple[Mapping[str, Any], ...]
    objects: tuple[LabelledObject, ...] = ()


class CocoDataset:
    """Images and annotations of one COCO file.

    Parameters
    ----------
    images : path
        Folder of the images.
    annotations : path
        COCO instances file (JSON).
    class_names : sequence of str
        Classes in the order of their ids; id 0 is the background, to which every pixel without
        an annotation belongs.

    Attributes
    ----------
    images : list of dict
        COCO's image records, in the order of the file.
    class_names : tuple of str
    category_to_class : dict of int to int
        COCO category id to semantic id, of the categories that are classes.

    Raises
    ------
    DatasetError
        The file can't be read, has no COCO structure, or shares no category with the classes.
    """

    def __init__(self, images: str | Path, annotations: str | Path,
                 class_names: Sequence[str]) -> None:
        self.folder = Path(images)
        self.path = Path(annotations)
        self.class_names = tuple(class_names)
        if not self.folder.is_dir():
            raise DatasetError(f'{self.folder}: no such folder of images')
        document = _read_document(self.path)
        self.images = _records(self.path, document, 'images')
        self.categories = _records(self.path, document, 'categories')
        ids = {name: index for index, name in enumerate(self.class_names) if index > 0}
        self.category_to_class = {category['id']: ids[category['name']]
                                  for category in self.categories if category['name'] in ids}
        if not self.category_to_class:
            names = ', '.join(category['name'] for category in self.categories)
            raise DatasetError(f'{self.path}: none of its categories ({names}) is one of the '
                               f'classes ({", ".join(self.class_names[1:])})')
        known_categories = {category['id'] for category in self.categories}
        self._annotations: dict[int, list[dict[str, Any]]] = {
            record['id']: [] for record in self.images}
        for annotation in _records(self.path, document, 'annotations'):
            where = f'{self.path}: annotation {annotation["id"]}'
            if annotation['image_id'] not in self._annotations:
                raise DatasetError(f'{where}: image {annotation["image_id"]} is not in the list '
                                   'of images')
            if annotation['category_id'] not in known_categories:
                raise DatasetError(f'{where}: category {annotation["category_id"]} is not in the '
                                   'list of categories')
            self._annotations[annotation['image_id']].append(annotation)

    def __len__(self) -> int:
        return len(self.images)

    def image_name(self, index: int) -> str:
        """Return the file name of image `index`, relative to the folder of images."""
        return self.images[index]['file_name']

    def image_size(self, index: int) -> tuple[int, int]:
        """Return height and width of image `index`."""
        return self.images[index]['height'], self.images[index]['width']

    def check_images(self) -> None:
        """Check that every image file is there, before long work is begun.

        Raises
        ------
        DatasetError
            Naming the first one that is missing.
        """
        for record in self.images:
            if not (self.folder / record['file_name']).is_file():
                raise self._missing(record)

    def load_image(self, index: int) -> np.ndarray:
        """Return image `index` as (H0, W0, 3) uint8, RGB.

        Raises
        ------
        DatasetError
            The file is missing, unreadable or of another size than its record says.
        """
        record = self.images[index]
        path = self.folder / record['file_name']
        if not path.is_file():
            raise self._missing(record)
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise DatasetError(f'{path}: image {record["id"]} of {self.path.name} can not be '
                               'decoded')
        if image.shape[:2] != (record['height'], record['width']):
            raise DatasetError(f'{path}: {image.shape[1]}x{image.shape[0]} pixels, but '
                               f'{self.path.name} says {record["width"]}x{record["height"]}')
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def load_ground_truth(self, index: int) -> GroundTruth:
        """Return the labels of image `index`.

        Raises
        ------
        DatasetError
            An annotation's segmentation can't be drawn.
        """
        record = self.images[index]
        height, width = record['height'], record['width']
        semantic_ids = np.zeros((height, width), np.uint8)
        instance_ids = np.full((height, width), NO_INSTANCE, np.uint16)
        instances, crowds = [], []
        for annotation in self._annotations[record['id']]:
            try:
                mask = decode_segmentation(annotation.get('segmentation'), height, width)
            except ValueError as error:
                raise DatasetError(f'{self.path}: annotation {annotation["id"]} of '
                                   f'{record["file_name"]}: {error}') from error
            class_id = self.category_to_class.get(annotation['category_id'])
            if class_id is not None and not annotation.get('iscrowd'):
                instances.append((annotation, class_id, mask))
                continue
            semantic_ids[mask] = UNLABELLED
            if class_id is not None:
                crowds.append(LabelledObject(class_id, encode_mask(mask), crowd=True))
        front_last = sorted(range(len(instances)), key=lambda k: -np.count_nonzero(
            instances[k][2]))
        for k in front_last:
            _, class_id, mask = instances[k]
            semantic_ids[mask] = class_id
            instance_ids[mask] = k + 1
        return GroundTruth(semantic_ids, instance_ids,
                           tuple(annotation for annotation, _, _ in instances),
                           (*(LabelledObject(class_id, encode_mask(mask))
                              for _, class_id, mask in instances), *crowds))

    def _missing(self, record: Mapping[str, Any]) -> DatasetError:
        return DatasetError(f'{self.folder / record["file_name"]}: image {record["id"]} of '
                            f'{self.path.name} does not exist')


def read_category_names(path: str | Path) -> list[str]:
    """Return the names of the categories of a COCO file, in its order.

    Raises
    ------
    DatasetError
        The file can't be read or has no COCO structure.
    """
    return [category['name']
            for category in _records(Path(path), _read_document(Path(path)), 'categories')]


def read_json(path: Path) -> Any:
    """Return what a JSON file says.

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


def _read_document(path: Path) -> dict[str, Any]:
    document = read_json(path)
    if not isinstance(document, dict):
        raise DatasetError(f'{path}: expected a JSON object, got a {type(document).__name__}')
    return document


def _records(path: Path, document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return one of the file's lists, its records checked one by one."""
    records = document.get(name)
    if not isinstance(records, list):
        raise DatasetError(f'{path}: not a COCO instances file, the list "{name}" is missing')
    seen = set()
    for position, record in enumerate(records):
        where = f'{path}: "{name}", record {position}'
        if not isinstance(record, dict):
            raise DatasetError(f'{where}: expected a JSON object, got a {type(record).__name__}')
        for field, kind in RECORD_FIELDS[name].items():
            if type(record.get(field)) is not kind:
                raise DatasetError(f'{where} (id {record.get("id")}): expected a field "{field}" '
                                   f'of type {kind.__name__}, got {record.get(field)!r}')
        if name != 'annotations' and record['id'] in seen:  # nothing refers to annotations
            raise DatasetError(f'{where}: id {record["id"]} appears twice')
        seen.add(record['id'])
        if name == 'images' and (record['width'] < 1 or record['height'] < 1):
            raise DatasetError(f'{where} ({record["file_name"]}): expected at least 1x1 pixels, '
                               f'got {record["width"]}x{record["height"]}')
    return records
