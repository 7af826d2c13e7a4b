"""Labelled images in COCO's panoptic format: every pixel has a segment, things and stuff alike.

Format: https://cocodataset.org/#format-data, section 4, and the authors' code at
https://github.com/cocodataset/panopticapi. Classes are matched with categories by name.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from instseg_ros.core.types import BACKGROUND, NO_INSTANCE, UNLABELLED
from instseg_ros.datasets.coco_file import CocoFile
from instseg_ros.datasets.coco_images import CocoImages
from instseg_ros.datasets.masks import encode_mask
from instseg_ros.datasets.pictures import read_values
from instseg_ros.datasets.types import DatasetError, GroundTruth, LabelledObject

NO_SEGMENT = 0
"""Id of pixels without a label; they are ignored."""


class CocoPanopticDataset(CocoImages):
    """Images and segments of one COCO panoptic file.

    Crowds, unlabelled pixels, and segments whose category is no class are ignored; but if the
    first class is called "background" and no category is, stuff that is no class belongs to it.

    Parameters
    ----------
    images : path
        Folder of the images.
    annotations : path or CocoFile
    class_names : sequence of str, optional
        Classes in the order of their ids; default: all categories in the order of the file.
    segments : path, optional
        Folder of the PNGs; default: the annotation file without its suffix, as COCO and
        panopticapi have it.
    **labels
        What the labels mean: `class_ids`, `labelled`, `labelled_field` and `select` of
        `CocoImages`.

    Attributes
    ----------
    folder, path, segments : Path
    images, categories : list of dict
        COCO's records, in the order of the file.
    class_names : tuple of str
    thing_ids : tuple of int
        Ids of the classes whose category has `isthing`.

    Raises
    ------
    DatasetError
        The file can't be read, is no panoptic file, or shares no category with the classes.
    """

    def __init__(self, images: str | Path, annotations: str | Path | CocoFile,
                 class_names: Sequence[str] = (), segments: str | Path | None = None,
                 **labels: Any) -> None:
        file = annotations if isinstance(annotations, CocoFile) else CocoFile(annotations)
        super().__init__(images, file, class_names or file.category_names, **labels)
        if not file.panoptic:
            raise DatasetError(f'{self.path}: no panoptic file: its annotations have no '
                               '"segments_info"')
        self.segments = Path(segments) if segments else self.path.with_suffix('')
        if not self.segments.is_dir():
            raise DatasetError(f'{self.segments}: no such folder of panoptic PNGs')
        self._classes = self._match(self._class_ids)
        self._check_kinds()
        things = {category['id'] for category in self.categories if category['isthing']}
        self.thing_ids = tuple(sorted({class_id for category_id, class_id in self._classes.items()
                                       if category_id in things}))
        if self.class_names[0] == BACKGROUND and BACKGROUND not in file.category_names:
            for category in self.categories:
                if category['id'] not in things:
                    self._classes.setdefault(category['id'], 0)
        self._annotations = {annotation['image_id']: annotation for annotation in file.annotations}
        for record in self.images:
            if record['id'] not in self._annotations:
                raise DatasetError(f'{self.path}: image {record["id"]} ({record["file_name"]}) '
                                   'has no annotation')

    def check_images(self) -> None:
        """Check that every image and every PNG is there, before long work is begun.

        Raises
        ------
        DatasetError
            Naming the first one that is missing.
        """
        super().check_images()
        for index in range(len(self)):
            if not self._segments_path(index).is_file():
                raise DatasetError(f'{self._segments_path(index)}: does not exist')

    def shows_object(self, index: int) -> bool:
        """Tell whether image `index` has a segment of a thing that is no crowd."""
        return any(self._classes.get(segment['category_id']) in self.thing_ids
                   and not segment['iscrowd'] for segment in self._segments_of(index))

    def load_label_maps(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return semantic and instance ids of image `index`; see `load_ground_truth`."""
        ids, semantic_ids, instance_ids = self._tables(index)
        return semantic_ids[ids], instance_ids[ids]

    def load_ground_truth(self, index: int) -> GroundTruth:
        """Return the labels of image `index`.

        Raises
        ------
        DatasetError
            The PNG can't be read, has another size, or a segment that the file doesn't list.
        """
        ids, semantic_ids, instance_ids = self._tables(index)
        objects, crowds = [], []
        for position, segment in enumerate(self._segments_of(index), start=1):
            class_id = self._classes.get(segment['category_id'])
            if class_id not in self.thing_ids:
                continue
            mask = encode_mask(ids == position)
            if segment['iscrowd']:
                crowds.append(LabelledObject(class_id, mask, crowd=True))
            else:
                objects.append(LabelledObject(class_id, mask))
        return GroundTruth(semantic_ids[ids], instance_ids[ids], (), (*objects, *crowds),
                           self.candidates(index))

    def _tables(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each pixel's place in the list of segments, 0: none, and the ids of places."""
        listed = self._segments_of(index)
        semantic_ids = np.full(1 + len(listed), UNLABELLED, np.uint8)
        instance_ids = np.full(1 + len(listed), NO_INSTANCE, np.uint16)
        number = 0
        for position, segment in enumerate(listed, start=1):
            class_id = self._classes.get(segment['category_id'])
            is_thing = class_id in self.thing_ids
            if class_id is None or (is_thing and segment['iscrowd']):
                continue
            semantic_ids[position] = class_id
            if is_thing:
                number += 1
                instance_ids[position] = number
        return self._read_segments(index), semantic_ids, instance_ids

    def _read_segments(self, index: int) -> np.ndarray:
        path, expected = self._segments_path(index), self.image_size(index)
        colors = read_values(path)
        if colors.ndim != 3 or colors.dtype != np.uint8:
            raise DatasetError(f'{path}: expected a PNG with colours of 8 bits, got '
                               f'{colors.dtype} of shape {colors.shape}')
        if colors.shape[:2] != expected:
            raise DatasetError(f'{path}: {colors.shape[1]}x{colors.shape[0]} pixels, the image '
                               f'{self.image_name(index)} has {expected[1]}x{expected[0]}')
        # id = R + 256 G + 65536 B; OpenCV reads blue first.
        values = colors[..., :3].astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        found, places = np.unique(values, return_inverse=True)
        position = {segment['id']: k for k, segment in enumerate(self._segments_of(index), 1)}
        position[NO_SEGMENT] = 0
        for value in found.tolist():
            if value not in position:
                raise DatasetError(f'{path}: segment {value} has pixels, but {self.path.name} '
                                   f'lists no such segment for {self.image_name(index)}')
        return np.array([position[value] for value in found.tolist()])[places].reshape(expected)

    def _check_kinds(self) -> None:
        for category in self.categories:
            is_thing = category.get('isthing')
            if is_thing not in (0, 1):
                raise DatasetError(f'{self.path}: category {category["id"]} ({category["name"]}): '
                                   f'expected "isthing" 0 or 1, got {is_thing!r:.80}')

    def _segments_of(self, index: int) -> list[Mapping[str, Any]]:
        return self._annotations[self.images[index]['id']]['segments_info']

    def _segments_path(self, index: int) -> Path:
        return self.segments / self._annotations[self.images[index]['id']]['file_name']
