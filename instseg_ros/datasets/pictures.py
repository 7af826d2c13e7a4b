"""Photographs and label images of data sets, whose damage is an error."""
from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import numpy as np

from instseg_ros.datasets.types import DatasetError
from instseg_ros.media.files import MediaError
from instseg_ros.media.headers import UPRIGHT, exif_orientation
from instseg_ros.media.images import read_image, read_labels

EXIF_BYTES = 2 ** 16
"""Of a file, among which its EXIF data are."""

SIDEWAYS = range(5, 9)
"""EXIF orientations that exchange height and width."""


def read_picture(path: Path) -> np.ndarray:
    """Return a photograph as (H0, W0, 3) uint8, RGB, turned upright as its EXIF data say.

    Raises
    ------
    DatasetError
        It is missing, too large, damaged or no image.
    """
    with _damage_as_error():
        return read_image(path)


def is_turned_in_place(path: Path, size: tuple[int, int]) -> bool:
    """Return whether EXIF data turn or mirror a photograph such that its size stays the same.

    Parameters
    ----------
    path : Path
    size : (int, int)
        Height and width, turned or not.
    """
    with path.open('rb') as file:
        orientation = exif_orientation(file.read(EXIF_BYTES))
    return orientation != UPRIGHT and (size[0] == size[1] or orientation not in SIDEWAYS)


def read_values(path: Path) -> np.ndarray:
    """Return a label image with its own number of channels and bits; colours are BGR.

    Raises
    ------
    DatasetError
        It is missing, too large, damaged or no image.
    """
    with _damage_as_error():
        return read_labels(path)


@contextmanager
def _damage_as_error() -> Iterator[None]:
    try:
        yield
    except (MediaError, OSError) as error:
        raise DatasetError(str(error)) from error
