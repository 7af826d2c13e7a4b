"""The images of a COCO annotation file, and which classes are labelled in them."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from instseg_ros.datasets.coco_file import CocoFile, Id
from instseg_ros.datasets.pictures import is_turned_in_place, read_picture
from instseg_ros.datasets.remarks import Remarks
from instseg_ros.datasets.selection import selected_records
from instseg_ros.datasets.types import DatasetError, background_candidates, labelled_ids


class CocoImages:
    """What COCO's instance format and its panoptic format have in common.

    Parameters
    ----------
    images : path
        Folder of the images.
    annotations : path or CocoFile
    class_names : sequence of str
    class_ids : dict of str to int, optional
        Class of each category that is one, by its name; default: that of the same name.
    labelled : sequence of str, optional
        Classes that are labelled in every image; default: all that have a category.
    labelled_field : str
        Field of an image record that lists the categories labelled in that image; '': none.
    select : str
        Only images whose record matches FIELD=PATTERN (of `fnmatch`), or does not match
        FIELD!=PATTERN, are taken; '': all.

    Attributes
    ----------
    folder, path : Path
    images, categories : list of dict
        COCO's records, in the order of the file.
    class_names : tuple of str

    Raises
    ------
    DatasetError
        The folder is missing, the file can't be understood, a name in `labelled` is no class, or
        no image matches `select`.
    """

    def __init__(self, images: str | Path, annotations: str | Path | CocoFile,
                 class_names: Sequence[str], class_ids: Mapping[str, int] | None = None,
                 labelled: Sequence[str] = (), labelled_field: str = '',
                 select: str = '') -> None:
        self.folder = Path(images)
        if not self.folder.is_dir():
            raise DatasetError(f'{self.folder}: no such folder of images')
        file = annotations if isinstance(annotations, CocoFile) else CocoFile(annotations)
        self.file = file
        self.path = file.path
        self.images = selected_records(file.images, select, self.path)
        self.categories = file.categories
        self.class_names = tuple(class_names)
        self._class_ids = dict(class_ids or {name: k for k, name in enumerate(class_names)})
        in_file = {self._class_ids.get(name) for name in file.category_names}
        self._labelled = labelled_ids(labelled, self._class_ids) if labelled else in_file
        self._labelled_field = labelled_field
        self._remarks = Remarks(self.path)

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

    def remarks(self) -> list[str]:
        """Return what was left out or looks wrong in the images loaded so far, as sentences."""
        return self._remarks.sentences()

    def candidates(self, index: int) -> tuple[int, ...]:
        """Return the classes that a pixel of image `index` with label 0 may have.

        Raises
        ------
        DatasetError
            The record does not list the categories that are labelled in the image.
        """
        labelled = self._labelled
        if self._labelled_field:
            record = self.images[index]
            names = record.get(self._labelled_field)
            if not isinstance(names, list):
                raise DatasetError(f'{self.path}: image {record["id"]}: expected a field '
                                   f'"{self._labelled_field}" with a list of categories, got '
                                   f'{names!r:.80}')
            labelled = labelled & {self._class_ids.get(name) for name in names}
        return background_candidates(len(self.class_names), labelled)

    def annotated_categories(self) -> dict[str, int]:
        """Return how many annotations each category has, of those that have any."""
        return {name: count for name, count in self.file.annotation_counts().items() if count}

    def load_image(self, index: int) -> np.ndarray:
        """Return image `index` as (H0, W0, 3) uint8, RGB.

        Raises
        ------
        DatasetError
            The file is missing, unreadable or of another size than in its record.
        """
        record = self.images[index]
        path = self.folder / record['file_name']
        if not path.is_file():
            raise self._missing(record)
        image = read_picture(path)
        size, expected = image.shape[:2], (record['height'], record['width'])
        if size != expected:
            turned = (' (was it labelled without its EXIF orientation?)'
                      if size == expected[::-1] else '')
            raise DatasetError(f'{path}: {size[1]}x{size[0]} pixels, but {self.path.name} has '
                               f'{expected[1]}x{expected[0]}{turned}')
        if is_turned_in_place(path, size):
            self._remarks.note('images are turned or mirrored by their EXIF data without a change '
                               'of size; their labels are taken to be made of the upright image',
                               record['file_name'])
        return image

    def _match(self, ids: Mapping[str, int]) -> dict[Id, int]:
        """Return the class id of every COCO category whose name is in `ids`."""
        matched = {category['id']: ids[category['name']]
                   for category in self.categories if category['name'] in ids}
        if not matched:
            raise DatasetError(f'{self.path}: none of its categories '
                               f'({", ".join(self.file.category_names)}) is one of the classes '
                               f'({", ".join(ids)})')
        return matched

    def _missing(self, record: Mapping[str, Any]) -> DatasetError:
        hint = (' (names with "\\" are from Windows: write "/" into the annotation file)'
                if '\\' in record['file_name'] else '')
        return DatasetError(f'{self.folder / record["file_name"]}: image {record["id"]} of '
                            f'{self.path.name} does not exist{hint}')
