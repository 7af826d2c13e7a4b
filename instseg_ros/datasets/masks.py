"""COCO's segmentations as masks: polygons, run lengths and compressed run lengths.

Everything is checked before it is drawn: pycocotools reads outside of its memory where run
lengths don't fill the image, and asks for endless memory where a coordinate is not finite.
"""
from __future__ import annotations

import math
from numbers import Real
from typing import Any, Mapping

import numpy as np
from pycocotools import mask as coco_mask


def encode_mask(mask: np.ndarray) -> dict[str, Any]:
    """Return COCO's compressed run lengths of an (H0, W0) bool mask."""
    return coco_mask.encode(np.asfortranarray(mask, np.uint8))


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Return the mask of a COCO segmentation.

    Parameters
    ----------
    segmentation : list or dict
        A list of polygons [x0, y0, x1, y1, ...], whose union it is, or run lengths
        {'size': [height, width], 'counts': list of int or compressed str}.
    height, width : int
        Size of the image.

    Returns
    -------
    (height, width) bool
        Polygons are clipped to the image.

    Raises
    ------
    ValueError
        What is wrong, to be completed with the name of the file and the annotation.
    """
    if isinstance(segmentation, list):
        return _draw_polygons(segmentation, height, width)
    if isinstance(segmentation, Mapping):
        return _expand_runs(segmentation, height, width)
    if segmentation is None:
        raise ValueError('it has no segmentation; a mask is needed, a box is not enough')
    raise ValueError('its segmentation is neither a list of polygons nor run lengths '
                     f'(got {type(segmentation).__name__})')


def _draw_polygons(polygons: list[Any], height: int, width: int) -> np.ndarray:
    if not polygons:
        raise ValueError('its segmentation is an empty list')
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or not all(
                isinstance(value, Real) and math.isfinite(value) for value in polygon):
            raise ValueError('its segmentation has a polygon that is not a list of at least three '
                             'points x, y')
        for axis, values, length in (('x', polygon[::2], width), ('y', polygon[1::2], height)):
            low, high = min(values), max(values)
            # Slightly outside is sloppiness and clipped; that far it is another coordinate system.
            if high < 0 or low > length or low < -length or high > 2 * length:
                raise ValueError(f'its segmentation has a polygon outside the image: {axis} from '
                                 f'{low:g} to {high:g}, the image is {width}x{height}')
    parts = coco_mask.frPyObjects(polygons, height, width)
    return _expand_runs(coco_mask.merge(parts), height, width)


def _expand_runs(segmentation: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    size, counts = segmentation.get('size'), segmentation.get('counts')
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        raise ValueError(f'its mask has no size [height, width] (got {size!r})')
    if list(size) != [height, width]:
        raise ValueError(f'its mask is made for an image of {size[1]}x{size[0]} pixels, the image '
                         f'has {width}x{height}')
    if isinstance(counts, bytes):
        counts = counts.decode('ascii', 'replace')
    runs = _uncompress(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs) \
            or sum(runs) != height * width:
        raise ValueError('its run lengths are damaged: they do not add up to the '
                         f'{width}x{height} pixels of the image')
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return values.reshape(width, height).T  # runs go down the columns


def _uncompress(counts: str) -> list[int] | None:
    """Return the runs of COCO's compressed text, None where it ends within a number.

    Each character carries 5 bits of a number, lowest first, and a sixth that is set if more
    follow; from the fourth on, a number is the difference to the one two before it
    (`rleFrString` of the COCO API).
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return None if shift else runs
