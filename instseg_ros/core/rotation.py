"""Cameras that are mounted turned: upright images for the network, results as the camera sees.

`degrees` is the clockwise turn that makes the camera's image upright: 0, 90, 180 or 270.
"""
from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np

from instseg_ros.core.types import Instance, Segmentation

ROTATIONS = (0, 90, 180, 270)

CV_CODES = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def rotate(pixels: np.ndarray, degrees: int) -> np.ndarray:
    """Return an image or a label map turned clockwise.

    Parameters
    ----------
    pixels : (H, W) or (H, W, C)
    degrees : int
        One of `ROTATIONS`; with 0 the very same array is returned.

    Raises
    ------
    ValueError
        Another angle.
    """
    if degrees not in ROTATIONS:
        raise ValueError(f'rotate: expected one of {", ".join(map(str, ROTATIONS))}, '
                         f'got {degrees!r}')
    return cv2.rotate(pixels, CV_CODES[degrees]) if degrees else pixels


def rotate_back(pixels: np.ndarray, degrees: int) -> np.ndarray:
    """Return what `rotate` by the same angle turns into `pixels`."""
    return rotate(pixels, -degrees % 360)


def segmentation_of_camera(upright: Segmentation, degrees: int) -> Segmentation:
    """Return the segmentation of a camera's image from that of the upright image.

    Ids, scores and the order of the instances stay as they are.

    Parameters
    ----------
    upright : Segmentation
        Of `rotate(image, degrees)`.
    degrees : int

    Returns
    -------
    Segmentation
        Of `image`: every map, box and center in its pixels.
    """
    if not degrees:
        return upright
    height, width = upright.semantic_ids.shape
    fields: dict[str, Any] = {field.name: getattr(upright, field.name)
                              for field in dataclasses.fields(upright)}
    maps = {name: rotate_back(value, degrees) for name, value in fields.items()
            if isinstance(value, np.ndarray)}
    instances = tuple(_instance_of_camera(instance, height, width, degrees)
                      for instance in upright.instances)
    return Segmentation(**{**fields, **maps, 'instances': instances})


def _instance_of_camera(upright: Instance, height: int, width: int, degrees: int) -> Instance:
    """Return an instance in the camera's pixels from one in an upright image of this size."""
    center_y, center_x = upright.center_yx
    left, top, right, bottom = upright.box_xyxy
    # Boxes have the image's corner at (0, 0), centers have the middle of its first pixel there.
    center, box = {
        90: ((width - 1 - center_x, center_y), (top, width - right, bottom, width - left)),
        180: ((height - 1 - center_y, width - 1 - center_x),
              (width - right, height - bottom, width - left, height - top)),
        270: ((center_x, height - 1 - center_y), (height - bottom, left, height - top, right)),
    }[degrees]
    return dataclasses.replace(upright, center_yx=center, box_xyxy=box)
