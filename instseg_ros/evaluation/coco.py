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
from pycocotools import mask as coco_mask

from instseg_ros.core.types import NO_INSTANCE, UNLABELLED


class DatasetError(ValueError):
    """A data set that can't be used; the message names the file and the annotation."""


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
    """

    semantic_ids: np.ndarray
    instance_ids: np.ndarray
    annotations: tuple[Mapping[str, Any], ...]


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
        if not self.folder.is_dir():
            raise DatasetError(f'{self.folder}: no such folder of images')
        document = _read_json(self.path)
        for key in ('images', 'annotations', 'categories'):
            if not isinstance(document.get(key), list):
                raise DatasetError(f'{self.path}: not a COCO instances file, the list "{key}" '
                                   'is missing')
        self.images: list[dict[str, Any]] = document['images']
        self.categories: list[dict[str, Any]] = document['categories']
        ids = {name: index for index, name in enumerate(class_names)}
        self.category_to_class = {category['id']: ids[category['name']]
                                  for category in self.categories if category['name'] in ids}
        if not self.category_to_class:
            names = ', '.join(category['name'] for category in self.categories)
            raise DatasetError(f'{self.path}: none of its categories ({names}) is one of the '
                               f'classes ({", ".join(class_names)})')
        known_categories = {category['id'] for category in self.categories}
        self._annotations: dict[int, list[dict[str, Any]]] = {
            record['id']: [] for record in self.images}
        for annotation in document['annotations']:
            where = f'{self.path}: annotation {annotation.get("id")}'
            if annotation.get('image_id') not in self._annotations:
                raise DatasetError(f'{where}: image {annotation.get("image_id")} is not in the '
                                   'list of images')
            if annotation.get('category_id') not in known_categories:
                raise DatasetError(f'{where}: category {annotation.get("category_id")} is not in '
                                   'the list of categories')
            self._annotations[annotation['image_id']].append(annotation)

    def __len__(self) -> int:
        return len(self.images)

    def load_image(self, index: int) -> np.ndarray:
        """Return image `index` as (H0, W0, 3) uint8, RGB.

        Raises
        ------
        DatasetError
            The file is missing, unreadable or of another size than its record says.
        """
        record = self.images[index]
        path = self.folder / record['file_name']
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            state = 'can not be decoded' if path.exists() else 'does not exist'
            raise DatasetError(f'{path}: image {record["id"]} of {self.path.name} {state}')
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
        objects, ignored = [], []
        for annotation in self._annotations[record['id']]:
            mask = self._mask(annotation, height, width)
            if annotation.get('iscrowd') or annotation['category_id'] not in self.category_to_class:
                ignored.append(mask)
            else:
                objects.append((annotation, mask))
        for mask in ignored:
            semantic_ids[mask] = UNLABELLED
        order = sorted(range(len(objects)), key=lambda k: -np.count_nonzero(objects[k][1]))
        for k in order:
            annotation, mask = objects[k]
            semantic_ids[mask] = self.category_to_class[annotation['category_id']]
            instance_ids[mask] = k + 1
        return GroundTruth(semantic_ids, instance_ids,
                           tuple(annotation for annotation, _ in objects))

    def _mask(self, annotation: Mapping[str, Any], height: int, width: int) -> np.ndarray:
        where = f'{self.path}: annotation {annotation.get("id")}'
        segmentation = annotation.get('segmentation')
        try:
            if isinstance(segmentation, list):
                parts = coco_mask.frPyObjects(segmentation, height, width)
                encoded = coco_mask.merge(parts)
            elif isinstance(segmentation['counts'], list):
                encoded = coco_mask.frPyObjects(segmentation, height, width)
            else:
                encoded = segmentation
            mask = coco_mask.decode(encoded).astype(bool)
        except (TypeError, KeyError, ValueError, IndexError) as error:
            raise DatasetError(f'{where}: its segmentation is neither a list of polygons nor a '
                               f'run-length mask ({error})') from error
        if mask.shape != (height, width):
            raise DatasetError(f'{where}: its mask has {mask.shape[1]}x{mask.shape[0]} pixels, '
                               f'the image {width}x{height}')
        return mask


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise DatasetError(f'{path}: {error.strerror or error}') from error
    except ValueError as error:
        raise DatasetError(f'{path}: not valid JSON ({error})') from error
    if not isinstance(document, dict):
        raise DatasetError(f'{path}: expected a JSON object, got a {type(document).__name__}')
    return document
