"""Several data sets as one: their images one after the other, with the same classes."""
from __future__ import annotations

import bisect
import itertools
from typing import Sequence

import numpy as np

from instseg_ros.datasets.types import GroundTruth, LabelledImages


class MixedImages:
    """The images of several data sets that were opened with the same classes.

    Parameters
    ----------
    names : sequence of str
        One for each data set; the names of its images start with it.
    parts : sequence of LabelledImages

    Attributes
    ----------
    class_names : tuple of str
    thing_ids : tuple of int
        Classes that have instances in any of the data sets.
    """

    def __init__(self, names: Sequence[str], parts: Sequence[LabelledImages]) -> None:
        self.names = tuple(names)
        self.parts = tuple(parts)
        self.class_names = parts[0].class_names
        self.thing_ids = tuple(sorted({k for part in parts for k in part.thing_ids}))
        self._starts = [0, *itertools.accumulate(map(len, parts))]

    def __len__(self) -> int:
        return self._starts[-1]

    def part_of(self, index: int) -> tuple[int, int]:
        """Return which data set image `index` is from, and its index there."""
        part = bisect.bisect_right(self._starts, index) - 1
        return part, index - self._starts[part]

    def check_images(self) -> None:
        """Check that every file is there, before long work is begun."""
        for part in self.parts:
            part.check_images()

    def remarks(self) -> list[str]:
        """Return the remarks on all data sets."""
        return [sentence for part in self.parts for sentence in part.remarks()]

    def image_name(self, index: int) -> str:
        """Return NAME OF THE DATA SET/NAME OF THE IMAGE."""
        part, index = self.part_of(index)
        return f'{self.names[part]}/{self.parts[part].image_name(index)}'

    def load_image(self, index: int) -> np.ndarray:
        """Return image `index`, (H0, W0, 3) uint8, RGB."""
        part, index = self.part_of(index)
        return self.parts[part].load_image(index)

    def load_ground_truth(self, index: int) -> GroundTruth:
        """Return the labels of image `index`."""
        part, index = self.part_of(index)
        return self.parts[part].load_ground_truth(index)

    def load_label_maps(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the semantic and instance ids of image `index`."""
        part, index = self.part_of(index)
        return self.parts[part].load_label_maps(index)

    def shows_object(self, index: int) -> bool:
        """Tell whether image `index` has an instance of a class."""
        part, index = self.part_of(index)
        return self.parts[part].shows_object(index)

    def candidates(self, index: int) -> tuple[int, ...]:
        """Return the classes that a pixel of image `index` with label 0 may have."""
        part, index = self.part_of(index)
        return self.parts[part].candidates(index)
