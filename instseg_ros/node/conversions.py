"""From sensor_msgs/Image to an RGB image: checks first, then cv_bridge or rosbags-image.

These converters trust the size, step and encoding of a message. If they contradict its data, the
result is wrong pixels or worse, so every message is checked and packed before it is converted.
"""
from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Callable

import cv2
import numpy as np

IS_BIGENDIAN = sys.byteorder == 'big'


class ImageError(ValueError):
    """A message is not an image that can be segmented; the text is the reason."""


@dataclass(frozen=True)
class Encoding:
    """Layout of a pixel.

    Attributes
    ----------
    known_as : str
        Name of the encoding in all converters.
    dtype : str
        Of a channel.
    channels : int
    even_width : bool
        Two pixels side by side share their colour.
    smallest : int
        Side of the smallest image; a Bayer pixel gets its colour from its neighbours.
    """

    known_as: str
    dtype: str = 'uint8'
    channels: int = 1
    even_width: bool = False
    smallest: int = 1


def _encodings() -> dict[str, Encoding]:
    # As in OpenCV, three unnamed channels are blue, green, red.
    table = {'8UC1': Encoding('mono8'), '8UC3': Encoding('bgr8', channels=3),
             '8UC4': Encoding('bgra8', channels=4), '16UC1': Encoding('mono16', 'uint16')}
    for bits, dtype in ((8, 'uint8'), (16, 'uint16')):
        for name, channels in (('mono', 1), ('rgb', 3), ('bgr', 3), ('rgba', 4), ('bgra', 4)):
            table[f'{name}{bits}'] = Encoding(f'{name}{bits}', dtype, channels)
        for pattern in ('rggb', 'bggr', 'gbrg', 'grbg'):
            name = f'bayer_{pattern}{bits}'
            table[name] = Encoding(name, dtype, smallest=3)
    for name, known_as in (('uyvy', 'yuv422'), ('yuyv', 'yuv422_yuy2')):
        table[name] = table[known_as] = Encoding(known_as, channels=2, even_width=True)
    return table


ENCODINGS = _encodings()
"""Every supported encoding."""


@dataclass(frozen=True)
class PackedImage:
    """The fields of a message that converters read: rows unpadded, in the machine's byte order."""

    encoding: str
    height: int
    width: int
    step: int
    is_bigendian: int
    data: np.ndarray


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
    """Return the pixels of a sensor_msgs/Image.

    16-bit images are scaled from their full range to 8 bits; alpha is left out.

    Returns
    -------
    (H, W, 3) uint8
        RGB; may share memory with the message.

    Raises
    ------
    ImageError
        The fields of the message contradict each other, or its encoding is not supported.
    """
    packed = pack(message, check_image(message))
    try:
        image = converter.convert(packed, 'rgb8')
    except (cv2.error, TypeError, ValueError) as error:
        raise ImageError(f'{converter.name} cannot convert this {message.encoding} image of '
                         f'{message.width}x{message.height} pixels: {error}') from error
    return np.ascontiguousarray(image)


def check_image(message: Any) -> Encoding:
    """Check the fields of a message against each other and return the layout of its pixels.

    Raises
    ------
    ImageError
        A field is wrong; the text has the expected value and the given one.
    """
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise ImageError(f'encoding: expected one of {", ".join(sorted(ENCODINGS))}, '
                         f'got {message.encoding!r}')
    height, width, step = message.height, message.width, message.step
    if min(height, width) < encoding.smallest:
        raise ImageError(f'size: expected at least {encoding.smallest}x{encoding.smallest} '
                         f'{message.encoding} pixels, got {width}x{height}')
    if encoding.even_width and width % 2:
        raise ImageError(f'size: expected an even width for {message.encoding}, '
                         f'got {width}x{height}')
    pixel = np.dtype(encoding.dtype).itemsize * encoding.channels
    if step < width * pixel:
        raise ImageError(f'step: expected at least {width * pixel} bytes for a row of {width} '
                         f'{message.encoding} pixels, got {step}')
    if step % pixel:
        raise ImageError(f'step: expected a multiple of the {pixel} bytes of a '
                         f'{message.encoding} pixel, got {step}')
    if len(message.data) != height * step:
        raise ImageError(f'data: expected {height * step} bytes for {height} rows of {step} '
                         f'bytes, got {len(message.data)}')
    return encoding


def pack(message: Any, encoding: Encoding) -> PackedImage:
    """Return a checked message without padding of rows and in the machine's byte order."""
    dtype = np.dtype(encoding.dtype)
    row = message.width * dtype.itemsize * encoding.channels
    data = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    data = np.ascontiguousarray(data[:, :row])
    if dtype.itemsize > 1 and bool(message.is_bigendian) != IS_BIGENDIAN:
        data = data.view(dtype).byteswap().view(np.uint8)
    return PackedImage(encoding.known_as, message.height, message.width, row,
                       int(IS_BIGENDIAN), data.reshape(-1))
