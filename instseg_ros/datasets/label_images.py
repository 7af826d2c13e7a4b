"""Photographs with a label image each: one class for every pixel, no instances.

A label image is an 8 bit PNG of one channel, called like its photograph. An index file (JSON)
lists the names of the values, and the images:

    {"classes": {"0": "other", "1": "road", ...}, "images": [{"file": "NAME without suffix"}, ...]}

The value 255 is ignored.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from instseg_ros.core.types import BACKGROUND, NO_INSTANCE, UNLABELLED
from instseg_ros.datasets.json_files import below, read_json
from instseg_ros.datasets.masks import encode_mask
from instseg_ros.datasets.pictures import read_picture, read_values
from instseg_ros.datasets.selection import selected_records
from instseg_ros.datasets.types import (
    DatasetError,
    GroundTruth,
    LabelledObject,
    background_candidates,
    labelled_ids,
)

SUFFIXES = ('.jpg', '.jpeg', '.png')
"""What the name of a photograph may end with."""


class LabelImages:
    """The images of an index file.

    Values whose name is no class belong to the class "background" if that is the first one;
    otherwise they are ignored.

    Parameters
    ----------
    images, labels : path
        Folders of the photographs and of the label images.
    index : path
        The index file.
    class_names : sequence of str, optional
        Classes in the order of their ids; default: the names of the index file.
    thing_ids : sequence of int
        Classes that have instances. No instance is labelled: pixels of these classes have
        instance id 0, and count as a crowd in evaluation.
    class_ids : dict of str to int, optional
        Class of each name of the index file that is one; default: that of the same name.
    labelled : sequence of str, optional
        Classes that are labelled in every image; default: all that the index file has a name for.
    select : str
        Only images whose record matches FIELD=PATTERN, or does not match FIELD!=PATTERN, are
        taken; '': all.

    Raises
    ------
    DatasetError
        A folder is missing, the index can't be understood, none of its names is a class, or no
        image matches `select`.
    """

    def __init__(self, images: str | Path, labels: str | Path, index: str | Path,
                 class_names: Sequence[str] = (), thing_ids: Sequence[int] = (),
                 class_ids: Mapping[str, int] | None = None,
                 labelled: Sequence[str] = (), select: str = '') -> None:
        self.folder, self.labels, self.path = Path(images), Path(labels), Path(index)
        for folder in (self.folder, self.labels):
            if not folder.is_dir():
                raise DatasetError(f'{folder}: no such folder')
        self._values, self._files = self._read_index(select)
        self.class_names = tuple(class_names or self._values.values())
        self.thing_ids = tuple(thing_ids)
        ids = class_ids or {name: k for k, name in enumerate(self.class_names)}
        matched = {value: ids[name] for value, name in self._values.items() if name in ids}
        if not matched:
            raise DatasetError(f'{self.path}: none of its classes '
                               f'({", ".join(self._values.values())}) is one of the classes '
                               f'({", ".join(ids)})')
        self._classes = np.full(256, UNLABELLED, np.uint8)
        rest = 0 if self.class_names[0] == BACKGROUND else UNLABELLED
        for value in self._values:
            self._classes[value] = matched.get(value, rest)
        self._classes[UNLABELLED] = UNLABELLED
        self._candidates = background_candidates(
            len(self.class_names),
            labelled_ids(labelled, ids) if labelled else set(matched.values()))

    def __len__(self) -> int:
        return len(self._files)

    def image_name(self, index: int) -> str:
        """Return the file name of image `index`."""
        return self._image_path(index).name

    def annotated_categories(self) -> dict[str, None]:
        """Return the names of the index file; their pixels are not counted."""
        return dict.fromkeys(self._values.values())

    def remarks(self) -> list[str]:
        """Return nothing: whatever can't be used is an error."""
        return []

    def candidates(self, index: int) -> tuple[int, ...]:
        """Return the classes that a pixel of image `index` with label 0 may have."""
        return self._candidates

    def check_images(self) -> None:
        """Check that every photograph and every label image is there.

        Raises
        ------
        DatasetError
            Naming the first one that is missing.
        """
        for index in range(len(self)):
            self._image_path(index)
            if not self._label_path(index).is_file():
                raise DatasetError(f'{self._label_path(index)}: does not exist')

    def load_image(self, index: int) -> np.ndarray:
        """Return image `index` as (H0, W0, 3) uint8, RGB.

        Raises
        ------
        DatasetError
            The file is missing or can't be decoded.
        """
        return read_picture(self._image_path(index))

    def shows_object(self, index: int) -> bool:
        """Return False: no instance is labelled."""
        return False

    def load_label_maps(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return semantic ids of image `index`, and instance ids, which are all 0.

        Raises
        ------
        DatasetError
            The label image can't be read or has values without a name.
        """
        path = self._label_path(index)
        values = read_values(path)
        if values.ndim != 2 or values.dtype != np.uint8:
            raise DatasetError(f'{path}: expected a PNG with one channel of 8 bits')
        nameless = set(np.flatnonzero(np.bincount(values.ravel())).tolist()) - {
            *self._values, UNLABELLED}
        if nameless:
            raise DatasetError(f'{path}: {self.path.name} has no name for the value '
                               f'{min(nameless)}')
        return self._classes[values], np.full(values.shape, NO_INSTANCE, np.uint16)

    def load_ground_truth(self, index: int) -> GroundTruth:
        """Return the labels of image `index`; the pixels of each thing class are a crowd."""
        semantic_ids, instance_ids = self.load_label_maps(index)
        crowds = tuple(LabelledObject(class_id, encode_mask(mask), crowd=True)
                       for class_id in self.thing_ids
                       if (mask := semantic_ids == class_id).any())
        return GroundTruth(semantic_ids, instance_ids, (), crowds, self._candidates)

    def _image_path(self, index: int) -> Path:
        for suffix in SUFFIXES:
            path = self.folder / f'{self._files[index]}{suffix}'
            if path.is_file():
                return path
        raise DatasetError(f'{self.folder / self._files[index]}: no image of this name '
                           f'({", ".join(SUFFIXES)})')

    def _label_path(self, index: int) -> Path:
        return self.labels / f'{self._files[index]}.png'

    def _read_index(self, select: str) -> tuple[dict[int, str], list[str]]:
        """Return the name of each value, and the names of the images."""
        document: Any = read_json(self.path)
        try:
            values = {int(value): str(name) for value, name in document['classes'].items()}
            records = selected_records(document['images'], select, self.path)
            files = [record['file'] for record in records]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(f'{self.path}: expected {{"classes": {{"value": "name"}}, '
                               f'"images": [{{"file": "name"}}]}} ({error!r:.200})') from error
        wrong = [value for value in values if not 0 <= value <= UNLABELLED]
        if wrong or not files:
            raise DatasetError(f'{self.path}: expected values from 0 to 255 and at least one '
                               f'image, got the values {wrong} and {len(files)} images')
        for name in files:
            if below(name) is None:
                raise DatasetError(f'{self.path}: expected the name of a file below the folder of '
                                   f'images, without ".." and not absolute, got {name!r:.80}')
        values.pop(UNLABELLED, None)
        return values, files
