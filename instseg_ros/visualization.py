"""Pictures for people: masks over the image, with class, id and score of every instance."""
from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cached_property
from typing import Sequence

import cv2
import numpy as np

from instseg_ros.core.types import NO_INSTANCE, Instance, ModelInfo, Segmentation, check_array

GOLDEN_ANGLE = 0.381966
"""Share of a full turn; its multiples are spread evenly over the hues."""
INSTANCE_OPACITY = 0.5
CLASS_OPACITY = 0.3
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_SCALE = 0.4
"""Of `FONT` for an image whose shorter side is 480 pixels."""
MAX_INDEXED = 256
"""Colours that an index of 8 bits tells apart."""
PADDING = 2
"""Pixels between a label's text and the edge of its plate."""

_TONES = ((0.85, 1.0), (0.6, 1.0), (0.9, 0.75))  # saturation, value


def instance_color(instance_id: int) -> tuple[int, int, int]:
    """Return the RGB colour of an instance id: always the same, different from near ids'."""
    saturation, value = _TONES[instance_id % len(_TONES)]
    red, green, blue = colorsys.hsv_to_rgb(instance_id * GOLDEN_ANGLE % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


@dataclass(frozen=True)
class LabelColors:
    """A segmentation for the eye: a colour for each class and for each instance.

    Instances have the colours of `instance_color`, all other pixels that of their class;
    unlabelled pixels are black.

    Attributes
    ----------
    index : (H0, W0) uint8, or uint16 with more than 256 colours
        Of each pixel's colour.
    palette : (N, 3) uint8, RGB
        Of the classes, of unlabelled pixels, of the instances.
    instances : (H0, W0) bool
        Pixels of instances.
    unlabelled : int
        Index of unlabelled pixels.
    """

    index: np.ndarray
    palette: np.ndarray
    instances: np.ndarray
    unlabelled: int

    @classmethod
    def of(cls, segmentation: Segmentation, info: ModelInfo) -> LabelColors:
        """Return the colours of a segmentation with the palette of its model."""
        ids, unlabelled = segmentation.instance_ids, len(info.palette)
        instances = ids != NO_INSTANCE
        known: Sequence[int] | np.ndarray = range(1, int(ids.max()) + 1)
        if unlabelled + len(known) >= MAX_INDEXED:  # the large ids of tracking
            known = np.flatnonzero(np.bincount(ids[instances]))
            ranks = np.zeros(int(ids.max()) + 1, np.uint16)
            ranks[known] = np.arange(1, len(known) + 1)
            ids = ranks[ids]
        palette = [*info.palette, (0, 0, 0), *map(instance_color, known)]
        dtype = np.uint8 if len(palette) <= MAX_INDEXED else np.uint16
        # These two take a tenth of the time of NumPy's minimum and copy.
        _, index = cv2.threshold(segmentation.semantic_ids, unlabelled, 0, cv2.THRESH_TRUNC)
        index = index.astype(dtype, copy=False)
        cv2.copyTo(ids.astype(dtype) + dtype(unlabelled), instances.view(np.uint8), index)
        return cls(index, np.array(palette, np.uint8), instances, unlabelled)

    @cached_property
    def picture(self) -> np.ndarray:
        """The colours, (H0, W0, 3) uint8, RGB."""
        if self.index.dtype != np.uint8:
            return np.take(self.palette, self.index, axis=0)
        table = np.zeros((MAX_INDEXED, 1, 3), np.uint8)  # several times as fast
        table[:len(self.palette), 0] = self.palette
        return cv2.applyColorMap(self.index, table)

    @property
    def colored_classes(self) -> np.ndarray:
        """Pixels of no instance whose class has another colour than black, (H0, W0) bool."""
        table = np.zeros(max(MAX_INDEXED, len(self.palette)), np.bool_)
        table[:self.unlabelled] = self.palette[:self.unlabelled].any(axis=1)
        if self.index.dtype != np.uint8:
            return table[self.index]
        return cv2.LUT(self.index, table.view(np.uint8)).view(np.bool_)


def overlay(image: np.ndarray, segmentation: Segmentation, info: ModelInfo,
            colors: LabelColors | None = None) -> np.ndarray:
    """Paint a segmentation over its image.

    Every instance gets a tint, an outline and a plate with class, id and score in a colour of
    its own. Other pixels get a weak tint in the colour of their class, unless that is black.

    Parameters
    ----------
    image : (H0, W0, 3) uint8, RGB
    segmentation : Segmentation
        Of this image.
    info : ModelInfo
        For the palette.
    colors : LabelColors, optional
        Of the segmentation, if they are known already.

    Returns
    -------
    (H0, W0, 3) uint8
        RGB, a new image.

    Raises
    ------
    TypeError, ValueError
        The image has another dtype or shape than the segmentation's.
    """
    check_array('image', image, (*segmentation.semantic_ids.shape, 3), np.uint8)
    picture = image.copy()
    colors = colors or LabelColors.of(segmentation, info)
    _tint(picture, colors)
    taken = np.zeros(picture.shape[:2], np.bool_)
    for instance in segmentation.instances:
        _draw_plate(picture, instance, segmentation.instance_ids, taken)
    return picture


def contact_sheet(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Arrange images of one size in rows, from left to right and from top to bottom.

    Parameters
    ----------
    images : sequence of (H, W, 3) uint8
        At least one.
    columns : int
        At least 1. Places that remain free in the last row are black.

    Returns
    -------
    (rows * H, columns * W, 3) uint8

    Raises
    ------
    TypeError, ValueError
        No image, images of different sizes, or no column.
    """
    if not images or columns < 1:
        raise ValueError(f'expected at least one image and one column, got {len(images)} and '
                         f'{columns}')
    check_array('images[0]', images[0], ('H', 'W', 3), np.uint8)
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for number, image in enumerate(images):
        check_array(f'images[{number}]', image, (height, width, 3), np.uint8)
        top, left = number // columns * height, number % columns * width
        sheet[top:top + height, left:left + width] = image
    return sheet


def _tint(picture: np.ndarray, colors: LabelColors) -> None:
    """Blend the colours into a picture, and outline the instances."""
    for mask, opacity in ((colors.colored_classes, CLASS_OPACITY),
                          (colors.instances, INSTANCE_OPACITY)):
        if mask.any():
            mixed = cv2.addWeighted(picture, 1 - opacity, colors.picture, opacity, 0)
            cv2.copyTo(mixed, mask.view(np.uint8), picture)
    if colors.instances.any():
        around = np.ones((3, 3), np.uint8)
        edge = colors.instances & (
            cv2.dilate(colors.index, around) != cv2.erode(colors.index, around))
        cv2.copyTo(colors.picture, edge.view(np.uint8), picture)


def _draw_plate(picture: np.ndarray, instance: Instance, instance_ids: np.ndarray,
                taken: np.ndarray) -> None:
    """Write class, id and score near an instance, if possible beside stronger ones' plates."""
    height, width = picture.shape[:2]
    scale = FONT_SCALE * max(1.0, min(height, width) / 480)
    thickness = max(1, round(scale / FONT_SCALE))
    text = f'{instance.class_name} {instance.instance_id} {instance.score:.2f}'
    (text_width, text_height), below = cv2.getTextSize(text, FONT, scale, thickness)
    plate_height = text_height + below + 2 * PADDING
    plate_width = text_width + 2 * PADDING
    middle, upper, lower = _extent_at_center(instance, instance_ids)
    left = max(0, min(middle - plate_width // 2, width - plate_width))
    tops = [max(0, min(top, height - plate_height)) for top in (
        upper - plate_height, upper, lower - plate_height, lower)]
    free = [top for top in tops
            if not taken[top:top + plate_height, left:left + plate_width].any()]
    top = free[0] if free else tops[0]
    taken[top:top + plate_height, left:left + plate_width] = True
    color = instance_color(instance.instance_id)
    cv2.rectangle(picture, (left, top), (left + plate_width - 1, top + plate_height - 1), color,
                  cv2.FILLED)
    # Weights of brightness: ITU-R BT.601.
    bright = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 128
    cv2.putText(picture, text, (left + PADDING, top + PADDING + text_height), FONT, scale,
                (0, 0, 0) if bright else (255, 255, 255), thickness, cv2.LINE_AA)


def _extent_at_center(instance: Instance, instance_ids: np.ndarray) -> tuple[int, int, int]:
    """Return column, top and bottom of an instance at its center.

    The box is no substitute: a few stray pixels move its corner far away from the object.
    """
    left, top, right, bottom = instance.box_xyxy
    column = min(max(round(instance.center_yx[1]), left), right - 1)
    rows = np.flatnonzero(instance_ids[top:bottom, column] == instance.instance_id)
    return (column, top + rows[0], top + rows[-1] + 1) if len(rows) else (column, top, bottom)
