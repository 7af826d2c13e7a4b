"""Labelled images in COCO's instance format, as label maps of a model's classes.

Categories are matched with classes by name. Crowds, and annotations whose category is no class,
are *ignored*: neither background nor a class, in training and in evaluation. Annotations of a
category that is the background, by its name or by `class_map`, are background like the pixels
without an annotation. Where a class is not labelled, background leaves open whether it is shown
(`LabelledImages.candidates`).

What can't be used and changes nothing is left out and counted (`CocoDataset.remarks`).
"""
from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

import numpy as np
from pycocotools import mask as coco_mask

from instseg_ros.core.types import NO_INSTANCE, UNLABELLED
from instseg_ros.datasets.coco_checks import Finding, check_mask
from instseg_ros.datasets.coco_file import CocoFile, Id
from instseg_ros.datasets.coco_images import CocoImages
from instseg_ros.datasets.masks import (
    decode_segmentation,
    encode_mask,
    without_empty_parts,
)
from instseg_ros.datasets.types import DatasetError, GroundTruth, LabelledObject

CHECKED = 64
"""Annotations that are compared with their boxes before long work is begun."""


class _Mask(NamedTuple):
    """An annotation as run lengths, and what it is painted as; `number` is its instance id."""

    annotation: Mapping[str, Any]
    class_id: int | None
    runs: Mapping[str, Any]
    is_instance: bool
    is_ignored: bool
    number: int = NO_INSTANCE


def _front_last(masks: Iterable[_Mask]) -> list[_Mask]:
    """Return the masks, largest first: the smaller one of two is taken to be in front."""
    return sorted(masks, key=lambda item: -int(coco_mask.area(item.runs)))


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
    category_to_class : dict of id to int
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
        background = {category['id'] for category in self.categories
                      if self._class_ids.get(category['name']) == 0}
        self._annotations: dict[Id, list[dict[str, Any]]] = {
            record['id']: [] for record in self.images}
        for annotation in self.file.annotations:
            if annotation['image_id'] in self._annotations \
                    and annotation['category_id'] not in background:
                self._annotations[annotation['image_id']].append(annotation)

    def check_images(self) -> None:
        """Check that every image file is there, and that masks agree with their boxes.

        Raises
        ------
        DatasetError
            Naming the first file that is missing, or what is wrong with most of the masks.
        """
        super().check_images()
        drawable = [(annotation, record) for record in self.images
                    for annotation in self._annotations[record['id']]]
        found: Counter[Finding | None] = Counter()
        for annotation, record in drawable[::1 + len(drawable) // CHECKED]:
            try:
                mask = self._draw(annotation, record)
            except DatasetError:
                continue  # an error or a remark when its image is loaded
            found[check_mask(annotation, mask)] += 1
        wrong = Counter({finding: count for finding, count in found.items()
                         if finding is not None and not finding.harmless})
        if 2 * wrong.total() > found.total():
            finding, count = wrong.most_common(1)[0]
            raise DatasetError(f'{self.path}: {count} of {found.total()} {finding.text}')

    def shows_object(self, index: int) -> bool:
        """Tell whether image `index` has an annotation of a thing that is no crowd."""
        return any(self.category_to_class.get(annotation['category_id']) in self.thing_ids
                   and not annotation['iscrowd']
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
        objects = [LabelledObject(item.class_id, item.runs)
                   for item in instances if item.class_id is not None]
        objects += [LabelledObject(item.class_id, item.runs, crowd=True)
                    for item in masks if item.is_ignored and item.class_id is not None]
        candidates = self.candidates(index)
        # Where an unlabelled thing may be, it is no mistake to find one.
        objects += [LabelledObject(class_id, encode_mask(semantic_ids == 0), crowd=True)
                    for class_id in candidates if class_id in self.thing_ids]
        return GroundTruth(semantic_ids, instance_ids,
                           tuple(item.annotation for item in instances), tuple(objects),
                           candidates)

    def _masks(self, index: int) -> list[_Mask]:
        """Return all annotations of image `index` that have pixels."""
        record = self.images[index]
        masks = []
        for annotation in self._annotations[record['id']]:
            class_id = self.category_to_class.get(annotation['category_id'])
            is_thing = class_id in self.thing_ids
            where, is_crowd = _where(annotation, record), annotation['iscrowd']
            try:
                mask = self._draw(annotation, record)
            except DatasetError:
                if class_id is not None:
                    raise
                self._remarks.note('annotations without a usable mask in categories that are no '
                                   'class, left out', where)
                continue
            self._remark(annotation, mask, where)
            if not mask.any():
                continue
            masks.append(_Mask(annotation, class_id, encode_mask(mask),
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
            semantic_ids[_pixels(item)] = item.class_id
        for item in masks:
            if item.is_ignored:
                semantic_ids[_pixels(item)] = UNLABELLED
        numbered = [item._replace(number=number) for number, item in enumerate(
            (item for item in masks if item.is_instance), start=1)]
        for item in _front_last(numbered):
            mask = _pixels(item)
            semantic_ids[mask], instance_ids[mask] = item.class_id, item.number
        return semantic_ids, instance_ids

    def _draw(self, annotation: Mapping[str, Any], record: Mapping[str, Any]) -> np.ndarray:
        segmentation, _ = without_empty_parts(annotation.get('segmentation'))
        try:
            return decode_segmentation(segmentation, record['height'], record['width'])
        except ValueError as error:
            raise DatasetError(f'{self.path}: {_where(annotation, record)}: {error}') from error

    def _remark(self, annotation: Mapping[str, Any], mask: np.ndarray, where: str) -> None:
        segmentation, dropped = without_empty_parts(annotation['segmentation'])
        if dropped:
            self._remarks.note('annotations have parts of fewer than three points, left out',
                               where)
        finding = check_mask({**annotation, 'segmentation': segmentation}, mask)
        if finding is not None:
            self._remarks.note(finding.text, where)
        elif not mask.any():
            self._remarks.note('annotations have no pixels, left out', where)


def _where(annotation: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    return f'annotation {annotation["id"]} of {record["file_name"]}'


def _pixels(item: _Mask) -> np.ndarray:
    return decode_segmentation(item.runs, *item.runs['size'])
