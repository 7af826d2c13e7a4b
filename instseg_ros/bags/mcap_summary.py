"""What the end of an MCAP file says about the rest of it."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, Iterator
from zlib import crc32

from mcap.exceptions import McapError
from mcap.records import Channel, ChunkIndex, Footer, Schema, Statistics
from mcap.stream_reader import StreamReader

MAGIC = b'\x89MCAP0\r\n'
FOOTER = 9 + 20 + len(MAGIC)
"""Bytes of the last record and of the magic bytes behind it."""

BLOCK = 2 ** 20
"""Bytes that are read at a time for a checksum."""


@dataclass
class Summary:
    """Promises of a file; empty where it makes none.

    Attributes
    ----------
    schemas : dict of int to Schema
    channels : list of Channel
    chunks : list of int
        Where chunks begin, sorted.
    counts : dict of int to int
        Number of messages by channel.
    problem : str
        Why it cannot be read; else empty.
    """

    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: list[Channel] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    problem: str = ''


def read_summary(file: BinaryIO, size: int) -> Summary:
    """Return the summary of a file of `size` bytes."""
    summary = Summary()
    try:
        file.seek(max(0, size - FOOTER))
        footer = next(_records(file, size))
        if not isinstance(footer, Footer):
            raise McapError('no footer')
        if footer.summary_start:
            if footer.summary_crc not in (0, _checksum(file, footer.summary_start, size)):
                raise McapError('wrong checksum')
            file.seek(footer.summary_start)
            for record in _records(file, size):
                _take(record, summary)
    except Exception as error:  # of many types, as any byte may be wrong
        summary.problem = str(error) or type(error).__name__
    summary.chunks.sort()
    return summary


def _records(file: BinaryIO, size: int) -> Iterator[object]:
    # Chunks stay packed: there are none in a summary, and nothing limits their size here.
    return StreamReader(file, skip_magic=True, emit_chunks=True, record_size_limit=size).records


def _checksum(file: BinaryIO, start: int, size: int) -> int:
    """Return the checksum of all behind `start`, up to the one in the footer."""
    file.seek(start)
    left, checksum = size - len(MAGIC) - 4 - start, 0
    while block := file.read(max(0, min(left, BLOCK))):
        checksum, left = crc32(block, checksum), left - len(block)
    return checksum


def _take(record: object, summary: Summary) -> None:
    if isinstance(record, Schema):
        summary.schemas[record.id] = record
    elif isinstance(record, Channel):
        summary.channels.append(record)
    elif isinstance(record, ChunkIndex):
        summary.chunks.append(record.chunk_start_offset)
    elif isinstance(record, Statistics):
        summary.counts = record.channel_message_counts
