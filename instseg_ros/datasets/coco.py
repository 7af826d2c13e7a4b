"""Labelled images in COCO's instance format, as label maps of a model's classes.

Categories are matched with classes by name. What the model has no class for, and crowds, is
*ignored*: neither background nor a class, in training and in evaluation.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import cv2
import numpy as np

from instseg_ros.core.types import NO_INSTANCE, UNLABELLED
from instseg_ros.datasets.coco_file import CocoFile
from instseg_ros.datasets.masks import decode_segmentation, encode_mask
from instseg_ros.datasets.types import DatasetError, GroundTruth, LabelledObject


class CocoImages:
    """The images of a COCO file: what its two formats share.

    Parameters
    ----------
    images : path
        Folder of the images.
    annotations : path or CocoFile
    class_names : sequence of str

    Attributes
    ----------
    folder, path : Path
    images, categories : list of dict
        COCO's records, in the order of the file.
    class_names : tuple of str

    Raises
    ------
    DatasetError
        The folder is missing or the file can't be understood.
    """

    def __init__(self, images: str | Path, annotations: str | Path | CocoFile,
                 class_names: Sequence[str]) -> None:
        self.folder = Path(images)
        if not self.folder.is_dir():
            raise DatasetError(f'{self.folder}: no such folder of images')
        file = annotations if isinstance(annotations, CocoFile) else CocoFile(annotations)
        self.file = file
        self.path = file.path
        self.images = file.images
        self.categories = file.categories
        self.class_names = tuple(class_names)

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
        size, expected = image.shape[:2], (record['height'], record['width'])
        if size != expected:
            turned = (' (was it labelled without its EXIF orientation?)'
                      if size == expected[::-1] else '')
            raise DatasetError(f'{path}: {size[1]}x{size[0]} pixels, but {self.path.name} says '
                               f'{expected[1]}x{expected[0]}{turned}')
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def _match(self, ids: Mapping[str, int]) -> dict[int, int]:
        """Return the class id of every COCO category whose name is in `ids`."""
        matched = {category['id']: ids[category['name']]
                   for category in self.categories if category['name'] in ids}
        if not matched:
            raise DatasetError(f'{self.path}: none of its categories '
                               f'({", ".join(self.file.category_names)}) is one of the classes '
                               f'({", ".join(ids)})')
        return matched

    def _missing(self, record: Mapping[str, Any]) -> DatasetError:
        return DatasetError(f'{self.folder / record["file_name"]}: image {record["id"]} of '
                            f'{self.path.name} does not exist')


class CocoDataset(CocoImages):
    """Images and annotations of one COCO instances file.

    Parameters
    ----------
    images : path
        Folder of the images.
    annotations : path or CocoFile
    class_names : sequence of str
        Classes in the order of their ids; the first one is the background: every pixel without
        an annotation.
    thing_ids : sequence of int, optional
        Classes that have instances; default: all but the background. Annotations of the others
        lie behind all objects.

    Attributes
    ----------
    folder, path : Path
    images, categories : list of dict
        COCO's records, in the order of the file.
    class_names : tuple of str
    thing_ids : tuple of int
    category_to_class : dict of int to int
        COCO category id to semantic id, of the categories that are classes.

    Raises
    ------
    DatasetError
        The file can't be read, has no COCO structure, or shares no category with the classes.
    """

    def __init__(self, images: str | Path, annotations: str | Path | CocoFile,
                 class_names: Sequence[str], thing_ids: Sequence[int] | None = None) -> None:
        super().__init__(images, annotations, class_names)
        if self.file.panoptic:
            raise DatasetError(f'{self.path}: a panoptic file, expected a COCO instances file')
        self.thing_ids = tuple(range(1, len(self.class_names)) if thing_ids is None
                               else thing_ids)
        self.category_to_class = self._match(
            {name: index for index, name in enumerate(self.class_names) if index > 0})
        self._annotations: dict[int, list[dict[str, Any]]] = {
            record['id']: [] for record in self.images}
        for annotation in self.file.annotations:
            self._annotations[annotation['image_id']].append(annotation)

    def shows_object(self, index: int) -> bool:
        """Tell whether image `index` has an annotation of a thing that is no crowd."""
        return any(self.category_to_class.get(annotation['category_id']) in self.thing_ids
                   and not annotation.get('iscrowd')
                   for annotation in self._annotations[self.images[index]['id']])

    def load_label_maps(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return semantic and instance ids of image `index`; see `load_ground_truth`."""
        truth = self.load_ground_truth(index)
        return truth.semantic_ids, truth.instance_ids

    def load_ground_truth(self, index: int) -> GroundTruth:
        """Return the labels of image `index`.

        Raises
        ------
        DatasetError
            An annotation's segmentation can't be drawn.
        """
        record = self.images[index]
        semantic_ids = np.zeros((record['height'], record['width']), np.uint8)
        instance_ids = np.full(semantic_ids.shape, NO_INSTANCE, np.uint16)
        stuff, instances, ignored, crowds = [], [], [], []
        for annotation in self._annotations[record['id']]:
            mask = self._draw(annotation, record)
            class_id = self.category_to_class.get(annotation['category_id'])
            if class_id is not None and class_id not in self.thing_ids:
                stuff.append((class_id, mask))
            elif class_id is not None and not annotation.get('iscrowd'):
                instances.append((annotation, class_id, mask))
            else:
                ignored.append(mask)
                if class_id is not None:
                    crowds.append(LabelledObject(class_id, encode_mask(mask), crowd=True))
        for class_id, mask in sorted(stuff, key=lambda item: -np.count_nonzero(item[1])):
            semantic_ids[mask] = class_id
        for mask in ignored:
            semantic_ids[mask] = UNLABELLED
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

    def _draw(self, annotation: Mapping[str, Any], record: Mapping[str, Any]) -> np.ndarray:
        try:
            return decode_segmentation(annotation.get('segmentation'), record['height'],
                                       record['width'])
        except ValueError as error:
            raise DatasetError(f'{self.path}: annotation {annotation["id"]} of '
                               f'{record["file_name"]}: {error}') from error
