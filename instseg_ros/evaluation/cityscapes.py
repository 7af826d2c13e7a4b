"""The Cityscapes layout on disk, as label maps of a model's classes.

`ROOT/leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png` and
`ROOT/gtFine/SPLIT/CITY/NAME_gtFine_instanceIds.png`, as the data set is distributed
(https://www.cityscapes-dataset.com). Its 19 evaluated labels are matched with the classes by name;
all others are ignored. Names and ids come from the authors' package `cityscapesscripts`.
"""
from __future__ import annotations

from pathlib import Path
from typing import Sequence

import cv2
import numpy as np
from cityscapesscripts.helpers.labels import labels

from instseg_ros.core.types import UNLABELLED
from instseg_ros.evaluation.coco import DatasetError, GroundTruth, LabelledObject
from instseg_ros.evaluation.masks import encode_mask

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
        Classes in the order of their ids.

    Attributes
    ----------
    class_names : tuple of str
    label_ids : dict of int to int
        Class id to Cityscapes label id, of the classes that are evaluated labels.

    Raises
    ------
    DatasetError
        A folder or a ground truth file is missing, or no class is an evaluated label.
    """

    def __init__(self, root: str | Path, split: str,
                 class_names: Sequence[str] = CITYSCAPES_CLASSES) -> None:
        self.root = Path(root)
        self.split = split
        self.class_names = tuple(class_names)
        known = {label.name: label.id for label in EVALUATED}
        self.label_ids = {class_id: known[name]
                          for class_id, name in enumerate(self.class_names) if name in known}
        if not self.label_ids:
            raise DatasetError(f'none of the classes ({", ".join(self.class_names)}) is one of '
                               f'the labels of Cityscapes ({", ".join(known)})')
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

    def image_size(self, index: int) -> tuple[int, int]:
        """Return height and width of image `index`."""
        height, width = _read(self.truth_path(index), cv2.IMREAD_UNCHANGED).shape[:2]
        return height, width

    def load_image(self, index: int) -> np.ndarray:
        """Return image `index` as (H0, W0, 3) uint8, RGB.

        Raises
        ------
        DatasetError
            The file can't be read.
        """
        return cv2.cvtColor(_read(self._images[index], cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def load_ground_truth(self, index: int) -> GroundTruth:
        """Return the labels of image `index`.

        Pixels of a group of things (label id alone) have their class but no instance; the group
        is a crowd among the objects.

        Raises
        ------
        DatasetError
            The file can't be read or isn't an instanceIds image.
        """
        path = self.truth_path(index)
        values = _read(path, cv2.IMREAD_UNCHANGED)
        if values.ndim != 2 or values.dtype != np.uint16:
            raise DatasetError(f'{path}: expected one channel of 16 bits, got {values.dtype} of '
                               f'shape {values.shape}')
        classes = {label_id: class_id for class_id, label_id in self.label_ids.items()}
        things = {label.id for label in EVALUATED if label.hasInstances}
        semantic_ids = np.full(values.shape, UNLABELLED, np.uint8)
        instance_ids = np.zeros(values.shape, np.uint16)
        instances, crowds = [], []
        for value in np.unique(values).tolist():
            label_id = value // FIRST_INSTANCE if value >= FIRST_INSTANCE else value
            if label_id not in classes:
                continue
            mask = values == value
            class_id = classes[label_id]
            semantic_ids[mask] = class_id
            if value >= FIRST_INSTANCE:
                instances.append(LabelledObject(class_id, encode_mask(mask)))
                instance_ids[mask] = len(instances)
            elif label_id in things:
                crowds.append(LabelledObject(class_id, encode_mask(mask), crowd=True))
        return GroundTruth(semantic_ids, instance_ids, (), (*instances, *crowds))


def _read(path: Path, flags: int) -> np.ndarray:
    if not path.is_file():
        raise DatasetError(f'{path}: does not exist')
    image = cv2.imread(str(path), flags)
    if image is None:
        raise DatasetError(f'{path}: can not be decoded')
    return image
