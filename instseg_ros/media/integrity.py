"""Whether a PNG or JPEG file in memory is whole, as far as its format can tell."""
from __future__ import annotations

import struct
from zlib import crc32

from instseg_ros.media.headers import JPEG_FRAMES, JPEG_SIGNATURE, PNG_SIGNATURE

SCAN, END = 0xDA, b'\xff\xd9'


def find_damage(data: bytes) -> str:
    """Return what is wrong with a PNG or JPEG file, such as `wrong checksum`; empty if nothing.

    PNG has a checksum for each part. Of a JPEG, headers and end are looked at; of other formats,
    nothing.
    """
    try:
        if data.startswith(PNG_SIGNATURE):
            return _png_damage(data)
        if data.startswith(JPEG_SIGNATURE):
            return _jpeg_damage(data)
    except (IndexError, struct.error):
        return 'its end is missing'
    return ''


def _png_damage(data: bytes) -> str:
    position, name = len(PNG_SIGNATURE), b''
    while name != b'IEND':
        length, name = struct.unpack_from('>I4s', data, position)
        end = position + 8 + length
        if crc32(data[position + 4:end]) != struct.unpack_from('>I', data, end)[0]:
            return 'wrong checksum'
        position = end + 4
    return ''


def _jpeg_damage(data: bytes) -> str:
    position, has_size = len(JPEG_SIGNATURE), False
    while True:
        if data[position] != 0xFF:
            return 'damaged headers'
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        if marker == SCAN:
            # Only behind the last marker there is: within the data 0xFF is followed by 0.
            if data.rfind(END) < position:
                return 'its end is missing'
            return '' if has_size else 'damaged headers'
        has_size = has_size or marker in JPEG_FRAMES
        position += 2 + struct.unpack_from('>H', data, position + 2)[0]
