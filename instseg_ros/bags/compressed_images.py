"""JPEG and PNG in a sensor_msgs/CompressedImage, decoded after a look at size and end."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from instseg_ros.bags.encodings import ENCODINGS, ImageError, PackedImage
from instseg_ros.limits import Limits
from instseg_ros.media.headers import JPEG_SIGNATURE, PNG_SIGNATURE, header_size
from instseg_ros.media.integrity import find_damage

ENCODED = {(1, 1): 'mono8', (1, 3): 'bgr8', (1, 4): 'bgra8',
           (2, 1): 'mono16', (2, 3): 'bgr16', (2, 4): 'bgra16'}
"""Encoding of OpenCV's arrays, by bytes and number of their channels."""


def decode(message: Any, limits: Limits = Limits()) -> PackedImage:
    """Return the pixels of a sensor_msgs/CompressedImage.

    As image_transport writes them: a Bayer pattern is compressed as it is, without its colours.

    Raises
    ------
    ImageError
        It is neither JPEG nor PNG, is damaged, too large, or a depth image.
    """
    data = bytes(message.data)
    if 'compressedDepth' in message.format:
        raise ImageError('format: expected a colour or gray image, got a depth image')
    width, height = _image_size(data)
    if not 0 < width * height <= limits.pixels:
        raise ImageError(f'size: expected at most {limits.pixels} pixels, got {width}x{height}')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f'data: this image of {width}x{height} pixels cannot be decoded')
    channels = 1 if image.ndim == 2 else image.shape[2]
    encoding = ENCODED[image.itemsize, channels]
    source = message.format.partition(';')[0].strip()
    if channels == 1 and source.startswith('bayer_'):
        pattern = f'{source.rstrip("0123456789")}{8 * image.itemsize}'
        if pattern not in ENCODINGS:
            raise ImageError(f'format: unknown Bayer pattern {source!r:.80}')
        encoding = pattern
    if min(image.shape[:2]) < ENCODINGS[encoding].smallest:
        raise ImageError(f'size: {width}x{height} pixels are too few for {encoding}')
    return PackedImage.of(image, encoding)


def _image_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG or PNG file, in pixels, from its header."""
    if not data.startswith((PNG_SIGNATURE, JPEG_SIGNATURE)):
        raise ImageError(f'data: expected JPEG or PNG, got {len(data)} bytes that begin with '
                         f'{data[:8]!r}')
    damage, size = find_damage(data), header_size(data)
    if damage or size is None:
        raise ImageError(f'data: damaged image of {len(data)} bytes '
                         f'({damage or "its size is missing"})')
    return size
