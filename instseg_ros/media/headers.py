"""The size of an image from the header of its file, before anything is decoded."""
from __future__ import annotations

import re
import struct
from pathlib import Path

from instseg_ros.media.files import MediaError

MAX_PIXELS = 2 ** 27
"""Of an image or a frame; larger ones are refused: a small file can announce gigabytes."""

HEADER_BYTES = 2 ** 20
"""Read of a file to find its size; a TIFF directory may stand anywhere."""

GAP = rb'(?:\s|#[^\n]*\n)+'
FIXED = [
    (rb'\x89PNG\r\n\x1a\n', 16, '>II'), (rb'GIF8', 6, '<HH'), (rb'BM', 18, '<ii'),
    (rb'\x59\xa6\x6a\x95', 4, '>II'), (rb'RIFF....WEBPVP8 ', 26, '<HH'),
]
"""Signature, and where and how width and height follow."""

TEXT = [
    re.compile(rb'P[1-6Ff]' + GAP + rb'(?P<width>\d{1,9})' + GAP + rb'(?P<height>\d{1,9})'),
    re.compile(rb'P7\s.*?\bWIDTH\s+(?P<width>\d{1,9}).*?\bHEIGHT\s+(?P<height>\d{1,9})', re.S),
    re.compile(rb'#\?.*?\n[-+]Y (?P<height>\d{1,9}) [-+]X (?P<width>\d{1,9})', re.S),
]
"""Netpbm, PAM and Radiance."""

JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers that are followed by the size."""


def check_size(path: Path, max_pixels: int) -> None:
    """Check the announced size of an image file.

    Raises
    ------
    MediaError
        It has more than `max_pixels`.
    """
    with path.open('rb') as file:
        head = file.read(HEADER_BYTES)
        size = header_size(head)
        if size is None and head[:2] in (b'II', b'MM'):
            size = tiff_size(file, '<' if head[:2] == b'II' else '>')
    if size is not None:
        check_pixels(path, *size, max_pixels)


def check_pixels(path: Path, width: int, height: int, max_pixels: int) -> None:
    """Raise a `MediaError` for an image of more than `max_pixels`."""
    if abs(width * height) > max_pixels:
        raise MediaError(f'{path}: expected at most {max_pixels} pixels, got {width}x{height}')


def header_size(head: bytes) -> tuple[int, int] | None:
    """Return width and height that the first bytes of an image announce; None if unknown."""
    try:
        for signature, offset, layout in FIXED:
            if re.match(signature, head, re.S):
                width, height = struct.unpack_from(layout, head, offset)
                return (width & 0x3FFF, height & 0x3FFF) if b'VP8' in signature else (
                    width, abs(height))
        for pattern in TEXT:
            found = pattern.match(head)
            if found:
                return int(found['width']), int(found['height'])
        if head.startswith(b'\xff\xd8'):
            return _jpeg_size(head)
        if head[8:16] == b'WEBPVP8X':
            width, height = (int.from_bytes(head[start:start + 3], 'little') for start in (24, 27))
            return width + 1, height + 1
        if head[8:16] == b'WEBPVP8L':
            bits, = struct.unpack_from('<I', head, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return _box_size(head)
    except struct.error:
        return None  # the header is cut, so the decoder will refuse the file


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    position = 2
    while True:
        marker, length = struct.unpack_from('>xBH', head, position)
        if marker == 0xFF:  # padding
            position += 1
        elif marker in JPEG_FRAMES:
            height, width = struct.unpack_from('>HH', head, position + 5)
            return width, height
        else:
            position += 2 + length


def _box_size(head: bytes) -> tuple[int, int] | None:
    """JPEG 2000 by its code stream; AVIF by the largest of its items."""
    stream = head.find(b'\xff\x4f\xff\x51')
    if stream >= 0 and (stream == 0 or head[4:8] == b'jP  '):
        right, bottom, left, top = struct.unpack_from('>4I', head, stream + 8)
        return right - left, bottom - top
    if head[4:8] == b'ftyp':
        sizes = [struct.unpack_from('>II', head, found.end() + 4)
                 for found in re.finditer(b'ispe', head)]
        return max(sizes, key=lambda size: size[0] * size[1], default=None)
    return None


def tiff_size(file, order: str) -> tuple[int, int] | None:
    """Return width and height from the first directory of a TIFF or BigTIFF file."""
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
    except (struct.error, KeyError, ValueError, OSError):
        return None
