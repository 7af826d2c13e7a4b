"""Labelled images in the form that the package works with, whatever their format on disk."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Container, Iterable, Mapping, Protocol

import numpy as np


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
        0: no instance; otherwise 1 + the index in `objects`. Where objects overlap, the smaller
        one is in front.
    annotations : tuple of dict
        COCO annotations of the instances whose category is a class, without crowds.
    objects : tuple of LabelledObject
        The instances (for COCO's instance format one for each of `annotations`, in their order),
        then the crowds of a class.
    candidates : tuple of int
        Classes that a pixel with label 0 may have; see `LabelledImages.candidates`.
    """

    semantic_ids: np.ndarray
    instance_ids: np.ndarray
    annotations: tuple[Mapping[str, Any], ...]
    objects: tuple[LabelledObject, ...] = ()
    candidates: tuple[int, ...] = (0,)


class LabelledImages(Protocol):
    """What a data set must offer; `CocoDataset` is one.

    Attributes
    ----------
    class_names : tuple of str
        In the order of their ids. Class 0 is the background, unless every class is labelled.
    thing_ids : tuple of int
        Classes that have instances.
    """

    class_names: tuple[str, ...]
    thing_ids: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of images."""

    def check_images(self) -> None:
        """Check that every file is there, before long work is begun."""

    def remarks(self) -> list[str]:
        """Return what was left out or looks wrong in the images loaded so far, as sentences."""

    def image_name(self, index: int) -> str:
        """Return a name for people, different for each image."""

    def load_image(self, index: int) -> np.ndarray:
        """Return image `index`, (H0, W0, 3) uint8, RGB."""

    def load_ground_truth(self, index: int) -> GroundTruth:
        """Return the labels of image `index`."""

    def load_label_maps(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the semantic and instance ids of `load_ground_truth`, which may take longer."""

    def shows_object(self, index: int) -> bool:
        """Tell whether image `index` has an instance of a class."""

    def candidates(self, index: int) -> tuple[int, ...]:
        """Return the classes that a pixel of image `index` with label 0 may have.

        That is class 0 and all classes that are not labelled in the image: there, label 0 means
        only "none of the labelled classes".
        """


class OpenedDataSet(LabelledImages, Protocol):
    """One data set, with what its files offer."""

    def annotated_categories(self) -> Mapping[str, int | None]:
        """Return the categories of the labels, each with its number of annotations if known."""


def labelled_ids(labelled: Iterable[str], class_ids: Mapping[str, int]) -> set[int]:
    """Return the ids of classes that a configuration lists as labelled.

    Raises
    ------
    DatasetError
        A name is none of the classes.
    """
    for name in labelled:
        if name not in class_ids:
            raise DatasetError(f'labelled: {name!r} is none of the classes: '
                               f'{", ".join(class_ids)}')
    return {class_ids[name] for name in labelled}


def background_candidates(class_count: int, labelled: Container[int | None]) -> tuple[int, ...]:
    """Return class 0 and all classes that are not in `labelled`."""
    return (0, *(k for k in range(1, class_count) if k not in labelled))
