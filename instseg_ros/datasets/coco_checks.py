"""Masks that disagree with the box of their annotation, and the likely cause.

COCO's `bbox` is not used for anything else. But it is written by another way than the mask, so a
mask that lies elsewhere shows that a tool wrote one of them in another form than COCO's.
"""
from __future__ import annotations

import math
from typing import Any, Iterator, Mapping, NamedTuple

import numpy as np

from instseg_ros.datasets.json_files import number
from instseg_ros.datasets.masks import decode_rows

AGREEMENT = 0.5
"""IoU of the two boxes from which on they are taken for the same."""

MARGIN = 1.0
"""By which both boxes are enlarged, in pixels: tools round differently."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels; right and bottom are exclusive."""


class Finding(NamedTuple):
    """What is wrong with an annotation.

    Attributes
    ----------
    text : str
        As in "annotations ... (first: annotation 5 of a.jpg)".
    harmless : bool
        The box is wrong, which is not used, and the mask is right.
    """

    text: str
    harmless: bool = False


FRACTIONS = Finding('annotations have polygons within one pixel: coordinates from 0 to 1, where '
                    'COCO has pixels?')
DISAGREES = 'annotations have a mask that disagrees with their "bbox"'


def check_mask(annotation: Mapping[str, Any], mask: np.ndarray) -> Finding | None:
    """Compare the mask of an annotation with its box.

    Parameters
    ----------
    annotation : dict
        With a segmentation that can be drawn.
    mask : (H0, W0) bool

    Returns
    -------
    Finding or None
        None if they agree, or if there is nothing to compare.
    """
    height, width = mask.shape
    segmentation = annotation['segmentation']
    if isinstance(segmentation, list) and max(height, width) > 2 and all(
            0 <= value <= 1 for polygon in segmentation for value in polygon):
        return FRACTIONS
    values = _numbers(annotation.get('bbox'))
    if values is None or annotation['iscrowd'] or not mask.any():
        return None
    left, top, box_width, box_height = values
    box = _clipped((left, top, left + box_width, top + box_height), mask)
    if _agree(box, _box_of(mask)):
        return None
    for finding, other in _causes(segmentation, mask):
        if _agree(box, other):
            return finding
    in_parts = (left * width, top * height, (left + box_width) * width,
                (top + box_height) * height)
    for text, meant in (('is it left, top, right, bottom?', values),
                        ('is it in parts of the image?', in_parts)):
        if _agree(_clipped(meant, mask), _box_of(mask)):
            return Finding(f'annotations have a "bbox" that is not left, top, width, height: '
                           f'{text} The masks are used', harmless=True)
    return Finding(DISAGREES)


def _numbers(bbox: Any) -> Box | None:
    """Return the four numbers of a `bbox`, whatever they mean; None if there are none."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    first, second, third, fourth = (number(value) for value in bbox)
    if first is None or second is None or third is None or fourth is None:
        return None
    return first, second, third, fourth


def _causes(segmentation: Any, mask: np.ndarray) -> Iterator[tuple[Finding, Box]]:
    """Yield what may have gone wrong with a mask, and the box of the mask without that."""
    if isinstance(segmentation, Mapping):
        rows = decode_rows(segmentation, *mask.shape)
        yield Finding(f'{DISAGREES}: do their run lengths go along the rows, where those of COCO '
                      'go down the columns?'), _box_of(rows)
    else:
        left, top, right, bottom = _box_of(mask)
        yield Finding(f'{DISAGREES}: do their polygons have y before x?'), (
            top, left, bottom, right)
    turned = (mask[::-1, ::-1], mask[:, ::-1], mask[::-1])
    for other in turned + ((np.rot90(mask), np.rot90(mask, 3), mask.T)
                           if mask.shape[0] == mask.shape[1] else ()):
        yield Finding(f'{DISAGREES}, but agree if turned or mirrored: did a tool ignore the EXIF '
                      'orientation of the image?'), _box_of(other)


def _box_of(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return math.nan, math.nan, math.nan, math.nan
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def _clipped(box: Box, mask: np.ndarray) -> Box:
    height, width = mask.shape
    left, top, right, bottom = box
    return (min(max(left, 0.0), width), min(max(top, 0.0), height),
            min(max(right, 0.0), width), min(max(bottom, 0.0), height))


def _agree(first: Box, second: Box) -> bool:
    (left, top, right, bottom), other = (_enlarged(box) for box in (first, second))
    overlap = (max(0.0, min(right, other[2]) - max(left, other[0]))
               * max(0.0, min(bottom, other[3]) - max(top, other[1])))
    union = (_area((left, top, right, bottom)) + _area(other) - overlap)
    return union > 0 and overlap / union >= AGREEMENT


def _enlarged(box: Box) -> Box:
    left, top, right, bottom = box
    return left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
