"""How long an MP4 or MOV file plays, where that is less than what it holds (an edit list)."""
from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Iterator

MAX_INDEX = 2 ** 28
"""Bytes of the index (`moov`) that are read at most."""

Box = tuple[bytes, int, int]
"""Name, and where the content begins and ends."""


def edited_duration(path: Path | str) -> float | None:
    """Return the seconds that the edit list of a video plays; None if the file has none.

    The boxes are those of ISO/IEC 14496-12: `moov` holds `mvhd` and a `trak` for each track, with
    `mdia/hdlr` and, if edited, `edts/elst`.
    """
    with Path(path).open('rb') as file:
        size = file.seek(0, 2)
        try:
            index = next(((first, last) for name, first, last in boxes(file, 0, size)
                          if name == b'moov'), None)
            if index is None or index[1] - index[0] > MAX_INDEX:
                return None
            scale = movie_timescale(file, *index)
            for name, first, last in boxes(file, *index):
                if name == b'trak' and is_video(file, first, last):
                    return edits(file, first, last, scale)
        except (struct.error, ZeroDivisionError):
            return None  # a damaged index: the decoder will not open the file
    return None


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two positions of a file."""
    while start + 8 <= end:
        file.seek(start)
        length, name = struct.unpack('>I4s', file.read(8))
        first = start + 8
        if length == 1:
            length, = struct.unpack('>Q', file.read(8))
            first += 8
        stop = start + length if length else end
        if stop < first:
            return
        yield name, first, min(stop, end)
        start = stop


def inner(file: BinaryIO, start: int, end: int, *names: bytes) -> tuple[int, int] | None:
    """Return where the content of a nested box begins and ends."""
    for wanted in names:
        found = next((box for box in boxes(file, start, end) if box[0] == wanted), None)
        if found is None:
            return None
        _, start, end = found
    return start, end


def movie_timescale(file: BinaryIO, start: int, end: int) -> int:
    """Return the units a second of the durations in edit lists."""
    header = inner(file, start, end, b'mvhd')
    if header is None:
        return 0
    file.seek(header[0])
    version = file.read(1)[:1]
    file.seek(header[0] + (20 if version == b'\1' else 12))
    return struct.unpack('>I', file.read(4))[0]


def is_video(file: BinaryIO, start: int, end: int) -> bool:
    """Return whether a track holds pictures."""
    handler = inner(file, start, end, b'mdia', b'hdlr')
    if handler is None:
        return False
    file.seek(handler[0] + 8)
    return file.read(4) == b'vide'


def edits(file: BinaryIO, start: int, end: int, scale: int) -> float | None:
    """Return the seconds of all edits of a track that show something."""
    table = inner(file, start, end, b'edts', b'elst')
    if table is None:
        return None
    file.seek(table[0])
    version, count = struct.unpack('>B3xI', file.read(8))
    layout = '>Qq4x' if version else '>Ii4x'
    entries = file.read(min(count * struct.calcsize(layout), table[1] - table[0] - 8))
    usable = len(entries) // struct.calcsize(layout) * struct.calcsize(layout)
    shown = [duration for duration, begin in struct.iter_unpack(layout, entries[:usable])
             if begin >= 0]
    return sum(shown) / scale
