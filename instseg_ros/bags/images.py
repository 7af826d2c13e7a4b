"""Images of bags as arrays, arrays as images of bags, and a whole video as a bag."""
from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Callable

import numpy as np
from rosbags.image import ImageError, message_to_cvimage
from rosbags.image.image import to_cvtype

from instseg_ros.bags.bag import BagError, BagWriter
from instseg_ros.bags.messages import IMAGE, NANOSECONDS, make_header, typestore
from instseg_ros.media import VideoReader

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


def read_array(message: Any, encoding: str) -> np.ndarray:
    """Return the pixels of a `sensor_msgs/Image`, converted to `encoding`.

    Parameters
    ----------
    message : sensor_msgs/Image
        Of `messages.typestore`.
    encoding : str
        For example rgb8: (H, W, 3) uint8, mono16: (H, W) uint16.

    Raises
    ------
    BagError
        Its fields contradict each other, or its encoding cannot be converted.
    """
    try:
        _, _, dtype, channels = to_cvtype(message.encoding)
        pixel = np.dtype(dtype).itemsize * channels
        row = message.width * pixel
        if not row * message.height or message.step < row or message.step % pixel \
                or len(message.data) < message.height * message.step:
            raise BagError(f'image of {message.width}x{message.height} pixels {message.encoding}: '
                           f'{len(message.data)} bytes of data with rows of {message.step} bytes '
                           'do not hold that')
        if message.step > row:  # the conversion takes rows to be packed
            rows = message.data[:message.height * message.step].reshape(message.height, -1)
            message = dataclasses.replace(
                message, step=row, data=np.ascontiguousarray(rows[:, :row]).reshape(-1))
        return message_to_cvimage(message, encoding)
    except ImageError as error:
        raise BagError(f'image in the encoding {message.encoding}: {error}') from error


def video_to_bag(video: VideoReader, path: Path | str, *, topic: str, frame_id: str,
                 start: int, on_frame: Callable[[], object]) -> None:
    """Write a video as a bag of `sensor_msgs/Image` at the rate at which it was recorded.

    Parameters
    ----------
    video : VideoReader
        Read to its end.
    path : path
        The bag, ending in .mcap.
    start : int
        Stamp of the first frame, in nanoseconds.
    on_frame : callable
        Called after each frame, for a progress bar.
    """
    with BagWriter(path) as bag:
        bag.add_topic(topic, IMAGE)
        for number, frame in enumerate(video):
            stamp = start + round(number * NANOSECONDS / video.rate)
            bag.write_message(topic, stamp, make_image(frame, stamp, frame_id))
            on_frame()
