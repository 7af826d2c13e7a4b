"""Arrays as images of bags, label images as arrays, and rates."""
from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from instseg_ros.bags.compressed_images import decode
from instseg_ros.bags.encodings import ImageError, check_image, pack
from instseg_ros.bags.messages import IMAGE, NANOSECONDS, make_header, typestore

ENCODINGS = {(3, 'uint8'): 'rgb8', (2, 'uint8'): 'mono8', (2, 'uint16'): 'mono16'}
"""Encoding of an array by its number of axes and its dtype."""


def make_image(array: np.ndarray, stamp: int, frame_id: str) -> Any:
    """Return a `sensor_msgs/Image` of an RGB image or a label image.

    Parameters
    ----------
    array : (H, W, 3) uint8 or (H, W) uint8 or uint16
    stamp : int
        Nanoseconds.
    frame_id : str
        Name of the camera's coordinate frame.
    """
    array = np.ascontiguousarray(array, array.dtype.newbyteorder('<'))
    return typestore().types[IMAGE](
        header=make_header(stamp, frame_id), height=array.shape[0], width=array.shape[1],
        encoding=ENCODINGS[array.ndim, array.dtype.name], is_bigendian=0, step=array.strides[0],
        data=array.reshape(-1).view(np.uint8))


def read_ids(message: Any) -> np.ndarray:
    """Return the pixels of a label image, raw or compressed as PNG.

    Returns
    -------
    (H, W) uint8 or uint16

    Raises
    ------
    ImageError
        It is no image of one channel, or its fields contradict each other.
    """
    is_raw = hasattr(message, 'encoding')
    image = pack(message, check_image(message)) if is_raw else decode(message)
    if image.encoding not in ('mono8', 'mono16') or (is_raw and message.encoding == '32FC1'):
        raise ImageError(f'encoding: expected a label image of 8 or 16 bits, got '
                         f'{message.encoding if is_raw else image.encoding}')
    dtype = np.uint8 if image.encoding == 'mono8' else np.uint16
    return image.data.view(dtype).reshape(image.height, image.width)


def median_rate(times: Sequence[int] | np.ndarray) -> float:
    """Return messages a second from the median interval of their times.

    So that a pause of half an hour counts no more than any other interval. Repeated times and
    steps back are left out.

    Parameters
    ----------
    times : sequence of int
        Nanoseconds.

    Returns
    -------
    float
        0 if no time is later than the one before.
    """
    intervals = np.diff(np.asarray(times, dtype=np.int64))
    intervals = intervals[intervals > 0]
    return NANOSECONDS / float(np.median(intervals)) if len(intervals) else 0.0
