"""Largest sizes that readers of files and messages accept.

A small file can announce gigabytes. So sizes are compared with these limits before anything is
decompressed or decoded, in every reader: `instseg_ros.bags`, `media`, `datasets`, `evaluation` and
`reports`.
"""
from __future__ import annotations

import os
from dataclasses import dataclass

PIXELS_VARIABLE = 'INSTSEG_MAX_PIXELS'
"""Environment variable that replaces `MAX_PIXELS`."""


def _max_pixels() -> int:
    text = os.environ.get(PIXELS_VARIABLE, '')
    if not text:
        return 2 ** 26
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:20]) <= 2 ** 40:
        raise ValueError(f'{PIXELS_VARIABLE}: expected a number of pixels from 1 to 2^40, got '
                         f'{text!r}')
    return int(text)


MAX_PIXELS = _max_pixels()
"""Of an image, a frame, a label image or a record of an annotation file."""

MAX_IMAGE_BYTES = 8 * MAX_PIXELS
"""Of an image file: as much as all its pixels in 16 bits and four channels."""


@dataclass(frozen=True)
class Limits:
    """Largest sizes in recordings.

    Attributes
    ----------
    chunk : int
        Bytes of a message, or of a chunk of messages.
    file : int
        Bytes of one file of a recording that is compressed as a whole.
    pixels : int
        Of a compressed image.
    """

    chunk: int = 2 ** 28
    file: int = 2 ** 40
    pixels: int = MAX_PIXELS
