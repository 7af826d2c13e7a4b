"""PNG images whose pixels are indices into a palette, which OpenCV reads but doesn't write.

See https://www.w3.org/TR/png-3/ for the format.
"""
from __future__ import annotations

import zlib

HEADER = slice(8, 33)
"""The chunk IHDR in a file: after the signature, of fixed size."""

COLOR_TYPE = 17
"""Place of the kind of pixels in that chunk."""

INDEXED = 3
"""Pixels are indices into the palette."""


def with_palette(png: bytes, palette: bytes) -> bytes:
    """Return a gray PNG image as one whose gray values are indices into a palette.

    Parameters
    ----------
    png : bytes
        Of an image of one channel and 8 bits.
    palette : bytes
        Red, green and blue of 1 to 256 colours.
    """
    header = bytearray(png[HEADER])
    header[COLOR_TYPE] = INDEXED
    return b''.join((png[:HEADER.start], _chunk(header[4:-4]), _chunk(b'PLTE' + palette),
                     png[HEADER.stop:]))


def _chunk(content: bytes | bytearray) -> bytes:
    """Return a chunk from its type and data, with their length and checksum around them."""
    return b''.join(((len(content) - 4).to_bytes(4, 'big'), content,
                     zlib.crc32(content).to_bytes(4, 'big')))
