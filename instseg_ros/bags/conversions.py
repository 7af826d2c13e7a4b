"""From sensor_msgs/Image and CompressedImage to an RGB image, for the node and for recordings.

cv_bridge and rosbags-image trust the size, step and encoding of a message. If they contradict its
data, the result is wrong pixels or worse, so every message is checked and packed before it is
converted. Encodings that neither of them knows are brought into one that both know.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

import cv2
import numpy as np

from instseg_ros.bags.compressed_images import decode
from instseg_ros.bags.encodings import (
    IS_BIGENDIAN,
    ImageError,
    PackedImage,
    check_image,
    pack,
)


@dataclass(frozen=True)
class Converter:
    """Turns checked messages into RGB images, (H, W, 3) uint8.

    Attributes
    ----------
    name : str
        Python package that does it.
    convert : callable
        From `PackedImage` and the wanted encoding to an array.
    """

    name: str
    convert: Callable[[PackedImage, str], np.ndarray]


def find_converter() -> Converter:
    """Return cv_bridge where it works, else rosbags-image.

    An installed cv_bridge may not work: one built for another NumPy or OpenCV imports and then
    fails at the first image.

    Raises
    ------
    ImportError
        Neither of them works.
    """
    problems = []
    for make in (_cv_bridge, _rosbags):
        try:
            converter = make()
            probe = PackedImage('bgr8', 1, 1, 3, int(IS_BIGENDIAN), np.array([1, 2, 3], np.uint8))
            if converter.convert(probe, 'rgb8').tolist() == [[[3, 2, 1]]]:
                return converter
            problems.append(f'{converter.name} gives wrong colours')
        except Exception as error:  # of any type, from compiled code that fits nothing else here
            problems.append(f'{make.__name__[1:]}: {error or type(error).__name__}')
    raise ImportError('no converter of images works; install ros-$ROS_DISTRO-cv-bridge or '
                      f'"pip install rosbags-image" ({"; ".join(problems)})')


def _cv_bridge() -> Converter:
    from cv_bridge import CvBridge
    bridge = CvBridge()
    return Converter('cv_bridge', bridge.imgmsg_to_cv2)


def _rosbags() -> Converter:
    from rosbags.image import image_to_cvimage
    return Converter('rosbags-image', image_to_cvimage)


def to_rgb(message: Any, converter: Converter) -> np.ndarray:
    """Return the pixels of a sensor_msgs/Image or CompressedImage.

    16-bit images are scaled from their full range to 8 bits, 32-bit ones (32FC1) from 0 to 1;
    alpha is left out.

    Returns
    -------
    (H, W, 3) uint8
        RGB; may share memory with the message.

    Raises
    ------
    ImageError
        The fields of the message contradict each other, or its encoding is not supported.
    """
    if hasattr(message, 'encoding'):
        packed, width = pack(message, check_image(message)), message.width
    else:
        packed = decode(message)
        width = packed.width
    try:
        image = converter.convert(packed, 'rgb8')
    except (cv2.error, TypeError, ValueError) as error:
        raise ImageError(f'{converter.name} cannot convert this {packed.encoding} image of '
                         f'{packed.width}x{packed.height} pixels: {error}') from error
    return np.ascontiguousarray(image[:, ::packed.width // width])


def seconds_of(stamp: Any) -> float:
    """Return the seconds of a `builtin_interfaces/Time`."""
    return stamp.sec + stamp.nanosec * 1e-9
