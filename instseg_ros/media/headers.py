"""The size of an image from its header, before anything is decoded."""
from __future__ import annotations

import io
import re
import struct
from pathlib import Path

from instseg_ros.media.files import MediaError

PNG_SIGNATURE, JPEG_SIGNATURE = b'\x89PNG\r\n\x1a\n', b'\xff\xd8'

GAP = rb'(?:\s|#[^\n]*\n)+'
FIXED = [
    (PNG_SIGNATURE, 16, '>II'), (rb'GIF8', 6, '<HH'),
    (rb'BM.{12}\x0c\0\0\0', 18, '<HH'), (rb'BM', 18, '<ii'),
    (rb'\x59\xa6\x6a\x95', 4, '>II'), (rb'RIFF....WEBPVP8 ', 26, '<HH'),
]
"""Signature, and where and how width and height follow."""

TEXT = [
    re.compile(rb'P[1-6Ff]' + GAP + rb'(?P<width>\d{1,9})' + GAP + rb'(?P<height>\d{1,9})'),
    re.compile(rb'P7\s(?=.*?\bWIDTH\s+(?P<width>\d{1,9})).*?\bHEIGHT\s+(?P<height>\d{1,9})',
               re.S),
    re.compile(rb'#\?.*?\n[-+]Y (?P<height>\d{1,9}) [-+]X (?P<width>\d{1,9})', re.S),
]
"""Netpbm, PAM and Radiance."""

JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers that are followed by the size."""

LARGEST_PIXEL, LONGEST_REMARK = 8, 2 ** 20
"""Bytes of four channels of 16 bits, and of a profile or text that isn't cut off."""

EXIF = b'Exif\0\0'
ORIENTATION = 0x112, 3
"""Tag and type (SHORT) of the orientation."""

UPRIGHT = 1


def check_size(path: Path | str, data: bytes, max_pixels: int) -> None:
    """Check the announced size of an image.

    Parameters
    ----------
    path : path
        For messages.
    data : bytes
        The whole file.
    max_pixels : int

    Raises
    ------
    MediaError
        It has more than `max_pixels`, or none of the known headers, or a part of it announces
        more bytes than an image of its size can have.
    """
    size = header_size(data)
    if size is None:
        raise MediaError(f'{path}: expected an image, got a file that is damaged, truncated or of '
                         'another kind')
    check_pixels(path, *size, max_pixels)
    if data.startswith(PNG_SIGNATURE):
        _check_png_parts(path, data, size)


def _check_png_parts(path: Path | str, data: bytes, size: tuple[int, int]) -> None:
    """Compare the lengths of a PNG's parts with the file: decoders allocate what they announce."""
    most = LARGEST_PIXEL * size[0] * size[1] + LONGEST_REMARK
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, = struct.unpack_from('>I', data, position)
        position += 12 + length
        if position > len(data) and length > most:
            raise MediaError(f'{path}: damaged image: a part of {length} bytes in a file of '
                             f'{len(data)}')


def check_pixels(path: Path | str, width: int, height: int, max_pixels: int) -> None:
    """Raise a `MediaError` for an image of more than `max_pixels`."""
    if abs(width * height) > max_pixels:
        raise MediaError(f'{path}: expected at most {max_pixels} pixels, got {width}x{height}')


def header_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height that the header of an image announces; None if unknown.

    Of a JPEG 2000 image with more components than a picture has, the width is that of all of
    them side by side, as far as they take memory.
    """
    try:
        for signature, offset, layout in FIXED:
            if re.match(signature, data, re.S):
                width, height = struct.unpack_from(layout, data, offset)
                return (width & 0x3FFF, height & 0x3FFF) if b'VP8' in signature else (
                    width, abs(height))
        for pattern in TEXT:
            found = pattern.match(data)
            if found:
                return int(found['width']), int(found['height'])
        if data.startswith(JPEG_SIGNATURE):
            return _jpeg_size(data)
        if data[8:16] == b'WEBPVP8X':
            width, height = (int.from_bytes(data[start:start + 3], 'little') for start in (24, 27))
            return width + 1, height + 1
        if data[8:16] == b'WEBPVP8L':
            bits, = struct.unpack_from('<I', data, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if data.startswith((b'II', b'MM')):
            return _tiff_size(data)
        return _box_size(data)
    except struct.error:
        return None  # the header is cut, so the decoder will refuse the file


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while True:
        marker, length = struct.unpack_from('>xBH', data, position)
        if marker == 0xFF:  # padding
            position += 1
        elif marker in JPEG_FRAMES:
            height, width = struct.unpack_from('>HH', data, position + 5)
            return width, height
        else:
            position += 2 + length


def _box_size(data: bytes) -> tuple[int, int] | None:
    """JPEG 2000 by its code stream; AVIF by the largest of its items."""
    stream = data.find(b'\xff\x4f\xff\x51')
    if stream >= 0 and (stream == 0 or data[4:8] == b'jP  '):
        right, bottom, left, top = struct.unpack_from('>4I', data, stream + 8)
        components, = struct.unpack_from('>H', data, stream + 40)
        return (right - left) * max(1, components // 4), bottom - top
    if data[4:8] == b'ftyp':
        sizes = [struct.unpack_from('>II', data, found.end() + 4)
                 for found in re.finditer(b'ispe', data)]
        return max(sizes, key=lambda size: size[0] * size[1], default=None)
    return None


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height from the first directory of a TIFF or BigTIFF file."""
    file, order = io.BytesIO(data), '<' if data.startswith(b'II') else '>'

    def number(layout: str, position: int) -> int:
        file.seek(position)
        return struct.unpack(order + layout, file.read(struct.calcsize(layout)))[0]

    try:
        big = number('H', 2) == 43
        start = number('Q', 8) if big else number('I', 4)
        entries = number('Q', start) if big else number('H', start)
        step, first, value = (20, 8, 12) if big else (12, 2, 8)
        found = {}
        for position in range(start + first, start + first + step * min(entries, 4096), step):
            tag, kind = number('H', position), number('H', position + 2)
            if tag in (256, 257):  # ImageWidth, ImageLength: SHORT, LONG or LONG8
                found[tag] = number({3: 'H', 4: 'I', 16: 'Q'}[kind], position + value)
        return found[256], found[257]
    except (struct.error, KeyError, ValueError, OverflowError, OSError):
        return None


def exif_orientation(head: bytes) -> int:
    """Return the orientation that the EXIF data of a JPEG file name, from 1 (upright) to 8.

    Parameters
    ----------
    head : bytes
        The first 64 KiB of the file at least, since EXIF data stand in its first segments.
    """
    try:
        position = len(JPEG_SIGNATURE)
        while head.startswith(JPEG_SIGNATURE):
            mark, marker, length = struct.unpack_from('>BBH', head, position)
            if mark != 0xFF or marker == 0xDA:
                break
            start = position + 4 + len(EXIF)
            if marker == 0xE1 and head[position + 4:start] == EXIF:
                return _orientation(head[start:position + 2 + length])
            position += 2 + length
    except struct.error:
        pass
    return UPRIGHT


def _orientation(tiff: bytes) -> int:
    order = '<' if tiff.startswith(b'II') else '>'
    start, = struct.unpack_from(order + 'I', tiff, 4)
    count, = struct.unpack_from(order + 'H', tiff, start)
    for number in range(count):
        tag, kind, _, value = struct.unpack_from(order + 'HHIH', tiff, start + 2 + 12 * number)
        if (tag, kind) == ORIENTATION and 1 <= value <= 8:
            return value
    return UPRIGHT
