"""COCO's segmentations as masks: polygons, run lengths and compressed run lengths.

Everything is checked before it is drawn: pycocotools reads outside of its memory where run
lengths don't fill the image, and asks for endless memory where a coordinate is not finite.
"""
from __future__ import annotations

from typing import Any, Mapping

import numpy as np
from pycocotools import mask as coco_mask

from instseg_ros.datasets.json_files import integer, number

MAX_CHARACTERS = 7
"""Of a compressed number: 35 bits, more than the pixels of any image."""


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


def without_empty_parts(segmentation: Any) -> tuple[Any, int]:
    """Return polygons without parts of fewer than three points, and the number of such parts.

    A segmentation that consists of nothing else, or of run lengths, is returned as it is.
    """
    if not isinstance(segmentation, list):
        return segmentation, 0
    kept = [polygon for polygon in segmentation
            if not (isinstance(polygon, list) and len(polygon) < 6)]
    return (kept, len(segmentation) - len(kept)) if kept else (segmentation, 0)


def decode_rows(segmentation: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    """Return the (height, width) bool mask of valid run lengths if they went along the rows."""
    return _expand_runs(segmentation, height, width).T.reshape(height, width)


def _draw_polygons(polygons: list[Any], height: int, width: int) -> np.ndarray:
    if not polygons:
        raise ValueError('its segmentation is an empty list')
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or any(
                number(value) is None for value in polygon):
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
        raise ValueError(f'its mask has no size [height, width] (got {size!r:.80})')
    if [integer(length) for length in size] != [height, width]:
        raise ValueError(f'its mask is made for an image of {size[1]!r:.20}x{size[0]!r:.20} '
                         f'pixels, the image has {width}x{height}')
    if isinstance(counts, str):
        counts = counts.encode('ascii', 'replace')
    # A run takes at most as many characters as it and the one two before it have pixels.
    too_long = isinstance(counts, (bytes, list)) and len(counts) > 2 * height * width + 2
    runs = None if too_long else (
        _uncompress(counts) if isinstance(counts, bytes) else _whole_numbers(counts))
    if runs is None or (runs < 0).any() \
            or (runs > height * width).any() or runs.sum() != height * width:
        raise ValueError('its run lengths are damaged: they do not add up to the '
                         f'{width}x{height} pixels of the image')
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return values.reshape(width, height).T  # runs go down the columns


def _whole_numbers(counts: Any) -> np.ndarray | None:
    """Return a list of numbers as (n,) int64; None if it is something else."""
    if not isinstance(counts, list):
        return None
    runs = [integer(run) for run in counts]
    try:
        return None if None in runs else np.array(runs, np.int64)
    except OverflowError:
        return None


def _uncompress(counts: bytes) -> np.ndarray | None:
    """Return the runs of COCO's compressed text, (n,) int64; None where it is damaged.

    Each character carries 5 bits of a number, lowest first, and a sixth that is set if more
    follow; from the fourth on, a number is the difference to the one two before it
    (`rleFrString` of the COCO API).
    """
    bits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    is_last = (bits & 32) == 0
    ends = np.flatnonzero(is_last)
    if ((bits < 0) | (bits > 63)).any() or (len(bits) and not is_last[-1]):
        return None
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    lengths = ends - starts + 1
    if len(lengths) and lengths.max() > MAX_CHARACTERS:
        return None
    shift = 5 * (np.arange(len(bits)) - np.repeat(starts, lengths))
    values = np.add.reduceat((bits & 31) << shift, starts) if len(starts) else bits
    values = values - np.where(bits[ends] & 16, np.int64(1) << 5 * lengths, 0)
    for first in (1, 2):  # differences add up from the second and from the third on
        values[first::2] = np.cumsum(values[first::2])
    return values
