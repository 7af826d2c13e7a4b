"""Chunks of an MCAP file: where they are, and the messages in them."""
from __future__ import annotations

import struct
from typing import BinaryIO, Callable, NamedTuple
from zlib import crc32

from mcap.opcode import Opcode

from instseg_ros.bags.compression import unpack_chunk
from instseg_ros.bags.mcap_channels import DEFINITIONS
from instseg_ros.bags.types import BagError

RECORD = struct.Struct('<BQ')
"""Opcode and length, ahead of each record."""

MESSAGE = struct.Struct('<HIQQ')
"""Channel, sequence number, time of recording and of publication, ahead of each message."""

CHUNK = struct.Struct('<QQQII')
"""First and last time, uncompressed size, checksum, and length of the compression's name."""


class Chunk(NamedTuple):
    """Where a chunk is in the file.

    Attributes
    ----------
    offset : int
        Of its record; the data begin at `data` and have `length` bytes in the file.
    cut : bool
        The file ends within it.
    """

    offset: int
    start: int
    end: int
    size: int
    crc: int
    compression: str
    data: int
    length: int
    cut: bool


class Entry(NamedTuple):
    """Where a message is: in the file, or in a chunk that is uncompressed."""

    time: int
    channel: int
    begin: int
    end: int
    chunk: Chunk | None


def read_header(file: BinaryIO, offset: int, end: int, *, cut: bool) -> Chunk:
    """Return the chunk whose record begins at `offset` and ends at `end`.

    Parameters
    ----------
    file : file
        Read from behind opcode and length on.
    offset, end : int
    cut : bool
        The file ends within the record.

    Raises
    ------
    BagError, ValueError, struct.error
        It is no chunk.
    """
    start, last, size, crc, letters = CHUNK.unpack(file.read(CHUNK.size))
    if letters > 16:
        raise BagError(f'a chunk whose compression has a name of {letters} letters')
    compression = file.read(letters).decode()
    announced, = struct.unpack('<Q', file.read(8))
    data = file.tell()
    return Chunk(offset, start, last, size, crc, compression, data,
                 max(0, min(announced, end - data)), cut)


def unpack(chunk: Chunk, packed: bytes, define: Callable[[int, bytes], None]
           ) -> tuple[bytes, list[Entry], str]:
    """Uncompress a chunk and find the messages in it.

    Parameters
    ----------
    chunk : Chunk
        Its size was checked.
    packed : bytes
        Its data in the file.
    define : callable
        Called with opcode and content of each schema and channel.

    Returns
    -------
    data : bytes
    entries : list of Entry
        In the order of the data.
    problem : str
        Why there are no more of them; else empty.

    Raises
    ------
    BagError
        The data are damaged.
    """
    data = unpack_chunk(packed, chunk.compression, chunk.size, partial=chunk.cut)
    if chunk.crc and not chunk.cut and crc32(data) != chunk.crc:
        raise BagError('wrong checksum')
    entries = []
    position = 0
    while position + RECORD.size <= len(data):
        opcode, length = RECORD.unpack_from(data, position)
        begin, end = position + RECORD.size, position + RECORD.size + length
        if not opcode or end > len(data):
            break
        if opcode == Opcode.MESSAGE and length >= MESSAGE.size:
            channel, _, time, _ = MESSAGE.unpack_from(data, begin)
            entries.append(Entry(time, channel, begin + MESSAGE.size, end, chunk))
        elif opcode in DEFINITIONS:
            try:
                define(opcode, data[begin:end])
            except Exception as error:  # of many types, as any byte may be wrong
                raise BagError(f'a damaged definition ({error})') from error
        position = end
    problem = '' if chunk.cut or position == len(data) else \
        f'no complete record at byte {position} of its {len(data)}'
    return data, entries, problem
