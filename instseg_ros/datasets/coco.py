"""Labelled images in COCO's instance format, as label maps of a model's classes.

Categories are matched with classes by name. Crowds, and annotations whose category is no class,
are *ignored*: neither background nor a class, in training and in evaluation. Where a class is not
labelled, background leaves open whether it is shown (`LabelledImages.candidates`).
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

import numpy as np

from instseg_ros.core.types import NO_INSTANCE, UNLABELLED
from instseg_ros.datasets.coco_file import CocoFile
from instseg_ros.datasets.coco_images import CocoImages
from instseg_ros.datasets.masks import decode_segmentation, encode_mask
from instseg_ros.datasets.types import DatasetError, GroundTruth, LabelledObject


class _Mask(NamedTuple):
    """An annotation, drawn, and what it is painted as; `number` is its instance id."""

    annotation: Mapping[str, Any]
    class_id: int | None
    mask: np.ndarray
    is_instance: bool
    is_ignored: bool
    number: int = NO_INSTANCE


def _front_last(masks: Iterable[_Mask]) -> list[_Mask]:
    """Return the masks, largest first: the smaller one of two is taken to be in front."""
    return sorted(masks, key=lambda item: -np.count_nonzero(item.mask))


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
    **labels
        What the labels mean: `class_ids`, `labelled`, `labelled_field` and `select` of
        `CocoImages`.

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
                 class_names: Sequence[str], thing_ids: Sequence[int] | None = None,
                 **labels: Any) -> None:
        super().__init__(images, annotations, class_names, **labels)
        if self.file.panoptic:
            raise DatasetError(f'{self.path}: a panoptic file, expected a COCO instances file')
        self.thing_ids = tuple(range(1, len(self.class_names)) if thing_ids is None
                               else thing_ids)
        self.category_to_class = self._match(
            {name: class_id for name, class_id in self._class_ids.items() if class_id > 0})
        self._annotations: dict[int, list[dict[str, Any]]] = {
            record['id']: [] for record in self.images}
        for annotation in self.file.annotations:
            if annotation['image_id'] in self._annotations:
                self._annotations[annotation['image_id']].append(annotation)

    def shows_object(self, index: int) -> bool:
        """Tell whether image `index` has an annotation of a thing that is no crowd."""
        return any(self.category_to_class.get(annotation['category_id']) in self.thing_ids
                   and not annotation.get('iscrowd')
                   for annotation in self._annotations[self.images[index]['id']])

    def load_label_maps(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return semantic and instance ids of image `index`; see `load_ground_truth`."""
        return self._paint(index, self._masks(index))

    def load_ground_truth(self, index: int) -> GroundTruth:
        """Return the labels of image `index`.

        Raises
        ------
        DatasetError
            An annotation's segmentation can't be drawn.
        """
        masks = self._masks(index)
        semantic_ids, instance_ids = self._paint(index, masks)
        instances = [item for item in masks if item.is_instance]
        objects = [LabelledObject(item.class_id, encode_mask(item.mask))
                   for item in instances if item.class_id is not None]
        objects += [LabelledObject(item.class_id, encode_mask(item.mask), crowd=True)
                    for item in masks if item.is_ignored and item.class_id is not None]
        candidates = self.candidates(index)
        # Where an unlabelled thing may be, it is no mistake to find one.
        objects += [LabelledObject(class_id, encode_mask(semantic_ids == 0), crowd=True)
                    for class_id in candidates if class_id in self.thing_ids]
        return GroundTruth(semantic_ids, instance_ids,
                           tuple(item.annotation for item in instances), tuple(objects),
                           candidates)

    def _masks(self, index: int) -> list[_Mask]:
        """Return all annotations of image `index`, drawn."""
        record = self.images[index]
        masks = []
        for annotation in self._annotations[record['id']]:
            class_id = self.category_to_class.get(annotation['category_id'])
            is_thing = class_id in self.thing_ids
            is_crowd = bool(annotation.get('iscrowd'))
            masks.append(_Mask(annotation, class_id, self._draw(annotation, record),
                               is_instance=is_thing and not is_crowd,
                               is_ignored=class_id is None or (is_thing and is_crowd)))
        return masks

    def _paint(self, index: int, masks: Sequence[_Mask]) -> tuple[np.ndarray, np.ndarray]:
        """Return semantic and instance ids: stuff, what is ignored, then things by size."""
        record = self.images[index]
        semantic_ids = np.zeros((record['height'], record['width']), np.uint8)
        instance_ids = np.full(semantic_ids.shape, NO_INSTANCE, np.uint16)
        stuff = [item for item in masks if not item.is_instance and not item.is_ignored]
        for item in _front_last(stuff):
            semantic_ids[item.mask] = item.class_id
        for item in masks:
            if item.is_ignored:
                semantic_ids[item.mask] = UNLABELLED
        numbered = [item._replace(number=number) for number, item in enumerate(
            (item for item in masks if item.is_instance), start=1)]
        for item in _front_last(numbered):
            semantic_ids[item.mask] = item.class_id
            instance_ids[item.mask] = item.number
        return semantic_ids, instance_ids

    def _draw(self, annotation: Mapping[str, Any], record: Mapping[str, Any]) -> np.ndarray:
        try:
            return decode_segmentation(annotation.get('segmentation'), record['height'],
                                       record['width'])
        except ValueError as error:
            raise DatasetError(f'{self.path}: annotation {annotation["id"]} of '
                               f'{record["file_name"]}: {error}') from error
