"""Images and compressed images."""
from __future__ import annotations

import sys
from typing import Any, Sequence

import cv2
import numpy as np

from instseg_ros.messages.types import COMPRESSED_IMAGE, IMAGE, MessageTypes

ENCODINGS = {(3, 'uint8'): 'rgb8', (2, 'uint8'): 'mono8', (2, 'uint16'): 'mono16',
             (2, 'int32'): '32SC1'}
"""Encoding of an array by its number of axes and its dtype."""


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
    return _compressed(types, header, '.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                       'rgb8; jpeg compressed bgr8', [cv2.IMWRITE_JPEG_QUALITY, quality])


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
    encoding = ENCODINGS[image.ndim, image.dtype.name]
    # The format is worded as compressed_image_transport does.
    if image.ndim == 3:
        return _compressed(types, header, '.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                           f'{encoding}; png compressed bgr8')
    return _compressed(types, header, '.png', image, f'{encoding}; png compressed ')


def _compressed(types: MessageTypes, header: Any, suffix: str, image: np.ndarray, format_: str,
                options: Sequence[int] = ()) -> Any:
    try:
        done, data = cv2.imencode(suffix, image, list(options))
    except cv2.error as error:
        raise EncodingError(f'{suffix}: cannot encode an image of {image.shape}: {error}'
                            ) from error
    if not done:
        raise EncodingError(f'{suffix}: cannot encode an image of {image.shape} {image.dtype}')
    return types[COMPRESSED_IMAGE](header=header, format=format_,
                                   data=types.octets(data.reshape(-1)))
