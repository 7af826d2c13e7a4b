"""JPEG and PNG in a sensor_msgs/CompressedImage, decoded after a look at size and end."""
from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

import cv2
import numpy as np

from instseg_ros.bags.encodings import ENCODINGS, ImageError, PackedImage
from instseg_ros.bags.types import Limits

PNG, JPEG = b'\x89PNG\r\n\x1a\n', b'\xff\xd8'
FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that are followed by the size of the image."""

SCAN, END = 0xDA, b'\xff\xd9'
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
    width, height = image_size(data)
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
            raise ImageError(f'format: unknown Bayer pattern {source!r}')
        encoding = pattern
    if min(image.shape[:2]) < ENCODINGS[encoding].smallest:
        raise ImageError(f'size: {width}x{height} pixels are too few for {encoding}')
    return PackedImage.of(image, encoding)


def image_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG or PNG file, in pixels, from its header.

    Raises
    ------
    ImageError
        It is another format, or part of it is missing.
    """
    try:
        if data.startswith(PNG):
            return _png_size(data)
        if data.startswith(JPEG):
            return _jpeg_size(data)
    except (IndexError, struct.error):
        raise ImageError(f'data: the end of this image of {len(data)} bytes is missing') from None
    raise ImageError(f'data: expected JPEG or PNG, got {len(data)} bytes that begin with '
                     f'{data[:8]!r}')


def _png_size(data: bytes) -> tuple[int, int]:
    position, name = len(PNG), b''
    while name != b'IEND':
        length, name = struct.unpack_from('>I4s', data, position)
        end = position + 8 + length
        if crc32(data[position + 4:end]) != struct.unpack_from('>I', data, end)[0]:
            raise ImageError('data: a PNG image with a wrong checksum')
        position = end + 4
    width, height = struct.unpack_from('>II', data, len(PNG) + 8)
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position, size = 2, (0, 0)
    while True:
        if data[position] != 0xFF:
            raise ImageError('data: a damaged JPEG image')
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        if marker in FRAME_HEADERS:
            height, width = struct.unpack_from('>HH', data, position + 5)
            size = width, height
        elif marker == SCAN:
            # Only behind the last marker there is: within the data 0xFF is followed by 0.
            if data.rfind(END) < position:
                raise ImageError('data: the end of this JPEG image is missing')
            return size
        position += 2 + struct.unpack_from('>H', data, position + 2)[0]
