"""Images and compressed images."""
from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np

from instseg_ros.messages.indexed_png import with_palette
from instseg_ros.messages.types import COMPRESSED_IMAGE, IMAGE, MessageTypes

ENCODINGS = {(3, 'uint8'): 'rgb8', (2, 'uint8'): 'mono8', (2, 'uint16'): 'mono16',
             (2, 'int32'): '32SC1'}
"""Encoding of an array by its number of axes and its dtype."""

COLOR_PNG = 'rgb8; png compressed bgr8'
"""Format, worded as compressed_image_transport does."""

PNG_OPTIONS = ([cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
               if hasattr(cv2, 'IMWRITE_PNG_FILTER') else [])  # not in older versions of OpenCV
"""Each row as its difference from the one above: takes a quarter off label images, no time."""


class EncodingError(ValueError):
    """An image cannot be compressed."""


def image_message(types: MessageTypes, header: Any, pixels: np.ndarray, encoding: str = '') -> Any:
    """Return a `sensor_msgs/Image`.

    Parameters
    ----------
    types : MessageTypes
    header : std_msgs/Header
    pixels : (H, W) or (H, W, C)
        In the byte order of this machine.
    encoding : str
        Of `sensor_msgs/image_encodings.hpp`, fitting the array; by default, that of `ENCODINGS`.
    """
    pixels = np.ascontiguousarray(pixels)
    return types[IMAGE](
        header=header, height=pixels.shape[0], width=pixels.shape[1],
        encoding=encoding or ENCODINGS[pixels.ndim, pixels.dtype.name],
        is_bigendian=int(sys.byteorder == 'big'), step=pixels.strides[0],
        data=types.octets(pixels))


def jpeg_message(types: MessageTypes, header: Any, image: np.ndarray, quality: int) -> Any:
    """Return a `sensor_msgs/CompressedImage` of an RGB image.

    Parameters
    ----------
    types : MessageTypes
    header : std_msgs/Header
    image : (H, W, 3) uint8
    quality : int
        In percent.

    Raises
    ------
    EncodingError
        The image is too large: JPEG ends at 65,500 pixels.
    """
    data = _encode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    return _compressed(types, header, 'rgb8; jpeg compressed bgr8', data)


def png_message(types: MessageTypes, header: Any, image: np.ndarray) -> Any:
    """Return a `sensor_msgs/CompressedImage`, without loss.

    Parameters
    ----------
    types : MessageTypes
    header : std_msgs/Header
    image : (H, W) uint8 or uint16, or (H, W, 3) uint8
        Three channels are RGB.

    Raises
    ------
    EncodingError
        The image can't be encoded.
    """
    if image.ndim == 3:
        data = _encode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return _compressed(types, header, COLOR_PNG, data)
    encoding = ENCODINGS[image.ndim, image.dtype.name]
    return _compressed(types, header, f'{encoding}; png compressed ', _encode('.png', image))


def indexed_png_message(types: MessageTypes, header: Any, index: np.ndarray,
                        palette: np.ndarray) -> Any:
    """Return a `sensor_msgs/CompressedImage` of an RGB image with at most 256 colours.

    It decodes to the same pixels as that of `png_message`, and is made in a third of the time.

    Parameters
    ----------
    types : MessageTypes
    header : std_msgs/Header
    index : (H, W) uint8
        Of each pixel's colour.
    palette : (N, 3) uint8, RGB
        With N from 1 to 256; every index is below N.

    Raises
    ------
    EncodingError
        The image can't be encoded.
    """
    png = with_palette(_encode('.png', index).tobytes(), palette.tobytes())
    return _compressed(types, header, COLOR_PNG, np.frombuffer(png, np.uint8))


def _encode(suffix: str, image: np.ndarray, quality: int | None = None) -> np.ndarray:
    """Return the file (N,) uint8 of a gray or BGR image; `quality` is that of JPEG."""
    options = PNG_OPTIONS if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    try:
        done, data = cv2.imencode(suffix, image, options)
    except cv2.error as error:
        raise EncodingError(f'{suffix}: cannot encode an image of {image.shape}: {error}'
                            ) from error
    if not done:
        raise EncodingError(f'{suffix}: cannot encode an image of {image.shape} {image.dtype}')
    return data.reshape(-1)


def _compressed(types: MessageTypes, header: Any, format_: str, data: np.ndarray) -> Any:
    return types[COMPRESSED_IMAGE](header=header, format=format_, data=types.octets(data))
