"""The Cityscapes layout on disk, as label maps of a model's classes.

`ROOT/leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png` and
`ROOT/gtFine/SPLIT/CITY/NAME_gtFine_instanceIds.png`, as the data set is distributed
(https://www.cityscapes-dataset.com). Its 19 evaluated labels are matched with the classes by name.
All others are ignored, and so are evaluated labels that are no class; but if the first class is
called "background", stuff among these belongs to it. Names and ids come from the authors' package
`cityscapesscripts`.
"""
from __future__ import annotations

from pathlib import Path
from typing import Mapping, Sequence

import numpy as np
from cityscapesscripts.helpers.labels import labels

from instseg_ros.core.types import BACKGROUND, NO_INSTANCE, UNLABELLED
from instseg_ros.datasets.masks import encode_mask
from instseg_ros.datasets.pictures import read_picture, read_values
from instseg_ros.datasets.types import (
    DatasetError,
    GroundTruth,
    LabelledObject,
    background_candidates,
)

EVALUATED = sorted((label for label in labels if not label.ignoreInEval),
                   key=lambda label: label.trainId)
CITYSCAPES_CLASSES = tuple(label.name for label in EVALUATED)
"""The 19 evaluated labels in the order of their official train ids."""
CITYSCAPES_THINGS = tuple(label.trainId for label in EVALUATED if label.hasInstances)
"""Train ids of the 8 labels that have instances."""

FIRST_INSTANCE = 1000
"""Values in an instanceIds image: label id * 1000 + number; below, the label id alone."""


class CityscapesDataset:
    """Images and fine annotations of one split.

    Parameters
    ----------
    root : path
        Folder with `leftImg8bit` and `gtFine`.
    split : str
        train or val.
    class_names : sequence of str
        Classes in the order of their ids; default: the 19 evaluated labels.
    class_ids : dict of str to int, optional
        Class of each evaluated label that is one, by its name; default: that of the same name.

    Attributes
    ----------
    class_names : tuple of str
    thing_ids : tuple of int
        Ids of the classes that have instances.
    label_ids : dict of int to int
        Class id to the id of the Cityscapes label of the same name.

    Raises
    ------
    DatasetError
        A folder or a ground truth file is missing, or no class is an evaluated label.
    """

    def __init__(self, root: str | Path, split: str,
                 class_names: Sequence[str] = (),
                 class_ids: Mapping[str, int] | None = None) -> None:
        self.root = Path(root)
        self.split = split
        self.class_names = tuple(class_names or CITYSCAPES_CLASSES)
        known = {label.name: label for label in EVALUATED}
        self.label_ids = {class_id: known[name].id
                          for class_id, name in enumerate(self.class_names) if name in known}
        names = class_ids or {name: k for k, name in enumerate(self.class_names)}
        self._classes = {known[name].id: k for name, k in names.items() if name in known}
        if not self._classes:
            raise DatasetError(f'none of the classes ({", ".join(self.class_names)}) is one of '
                               f'the labels of Cityscapes ({", ".join(known)})')
        self.thing_ids = tuple(sorted({k for name, k in names.items()
                                       if name in known and known[name].hasInstances}))
        self._candidates = background_candidates(len(self.class_names),
                                                 set(self._classes.values()))
        if self.class_names[0] == BACKGROUND:
            for label in EVALUATED:
                if not label.hasInstances:
                    self._classes.setdefault(label.id, 0)
        folder = self.root / 'leftImg8bit' / split
        self._images = sorted(folder.glob('*/*_leftImg8bit.png'))
        if not self._images:
            raise DatasetError(f'{folder}: expected images CITY/*_leftImg8bit.png, found none')

    def __len__(self) -> int:
        return len(self._images)

    def image_name(self, index: int) -> str:
        """Return the file name of image `index`, relative to the split's folder."""
        path = self._images[index]
        return f'{path.parent.name}/{path.name}'

    def core_name(self, index: int) -> str:
        """Return CITY_SEQUENCE_FRAME of image `index`."""
        return self._images[index].name[:-len('_leftImg8bit.png')]

    def truth_path(self, index: int, kind: str = 'instanceIds') -> Path:
        """Return the path of a ground truth image: instanceIds or labelIds."""
        return (self.root / 'gtFine' / self.split / self._images[index].parent.name
                / f'{self.core_name(index)}_gtFine_{kind}.png')

    def check_images(self) -> None:
        """Check that every image has its ground truth, before long work is begun.

        Raises
        ------
        DatasetError
            Naming the first file that is missing.
        """
        for index in range(len(self)):
            for kind in ('instanceIds', 'labelIds'):
                if not self.truth_path(index, kind).is_file():
                    raise DatasetError(f'{self.truth_path(index, kind)}: does not exist')

    def remarks(self) -> list[str]:
        """Return nothing: whatever can't be used is an error."""
        return []

    def candidates(self, index: int) -> tuple[int, ...]:
        """Return the classes that a pixel of image `index` with label 0 may have."""
        return self._candidates

    def annotated_categories(self) -> dict[str, None]:
        """Return the names of the evaluated labels; the annotations are not counted."""
        return dict.fromkeys(CITYSCAPES_CLASSES)

    def image_size(self, index: int) -> tuple[int, int]:
        """Return height and width of image `index`."""
        height, width = read_values(self.truth_path(index)).shape[:2]
        return height, width

    def load_image(self, index: int) -> np.ndarray:
        """Return image `index` as (H0, W0, 3) uint8, RGB.

        Raises
        ------
        DatasetError
            The file can't be read.
        """
        return read_picture(self._images[index])

    def shows_object(self, index: int) -> bool:
        """Tell whether image `index` has an instance of a class."""
        return bool(self.load_label_maps(index)[1].any())

    def load_label_maps(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return semantic and instance ids of image `index`; see `load_ground_truth`."""
        values = self._read_values(index)
        semantic_of, instance_of, _ = self._tables(values)
        return semantic_of[values], instance_of[values]

    def load_ground_truth(self, index: int) -> GroundTruth:
        """Return the labels of image `index`.

        Pixels of a group of things (label id alone) have their class but no instance; the group
        is a crowd among the objects.

        Raises
        ------
        DatasetError
            The file can't be read or isn't an instanceIds image.
        """
        values = self._read_values(index)
        semantic_of, instance_of, groups = self._tables(values)
        instances = [LabelledObject(int(semantic_of[value]), encode_mask(values == value))
                     for value in np.flatnonzero(instance_of)]
        crowds = [LabelledObject(int(semantic_of[value]), encode_mask(values == value), crowd=True)
                  for value in groups]
        return GroundTruth(semantic_of[values], instance_of[values], (), (*instances, *crowds),
                           self._candidates)

    def _tables(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Return semantic and instance id of each value, and the values that are groups."""
        semantic_of = np.full(1 << 16, UNLABELLED, np.uint8)
        instance_of = np.full(1 << 16, NO_INSTANCE, np.uint16)
        groups, number = [], 0
        for value in np.flatnonzero(np.bincount(values.ravel(), minlength=1)).tolist():
            is_instance = value >= FIRST_INSTANCE
            class_id = self._classes.get(value // FIRST_INSTANCE if is_instance else value)
            if class_id is None:
                continue
            semantic_of[value] = class_id
            if is_instance:
                number += 1
                instance_of[value] = number
            elif class_id in self.thing_ids:
                groups.append(value)
        return semantic_of, instance_of, groups

    def _read_values(self, index: int) -> np.ndarray:
        path = self.truth_path(index)
        values = read_values(path)
        if values.ndim != 2 or values.dtype != np.uint16:
            raise DatasetError(f'{path}: expected one channel of 16 bits, got {values.dtype} of '
                               f'shape {values.shape}')
        return values
