"""Decompression that never gives more than was announced, nor more than is allowed."""
from __future__ import annotations

import bz2
import sys
from pathlib import Path
from typing import Any, Callable

import lz4.frame

from instseg_ros.bags.types import BagError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
BLOCK = 2 ** 20
"""Bytes of a file that are decompressed at a time."""


def check_size(what: str, size: int, limit: int) -> None:
    """Raise `BagError` if an announced size is above the limit."""
    if size > limit:
        raise BagError(f'{what}: expected at most {limit} bytes, got {size}')


def unpack_chunk(data: bytes, compression: str, size: int, *, partial: bool = False) -> bytes:
    """Decompress a chunk of an MCAP file.

    Parameters
    ----------
    data : bytes
    compression : str
        As in the file: zstd, lz4 or empty.
    size : int
        Announced; the caller has checked it.
    partial : bool
        The end of `data` is missing: return what there is.

    Raises
    ------
    BagError
        The data are damaged or give another size.
    """
    if compression == '':
        result = data
    elif compression == 'zstd':
        result = _unpack(zstd.ZstdDecompressor(), data, size + 1)
    elif compression == 'lz4':
        result = _unpack(lz4.frame.LZ4FrameDecompressor(), data, size + 1)
    else:
        raise BagError(f'compression: expected zstd, lz4 or none, got {compression!r}')
    if len(result) > size or (len(result) < size and not partial):
        few = 'more' if len(result) > size else f'{len(result)}'
        raise BagError(f'expected {size} bytes uncompressed, got {few}')
    return result


def unpack_message(data: bytes, limit: int) -> bytes:
    """Return a message that may be compressed by itself (mode MESSAGE of `ros2 bag record`).

    A serialized message begins with 0, so that a compressed one is recognized.

    Raises
    ------
    BagError
        The data are damaged, or larger than the limit.
    """
    if not data.startswith(ZSTD_MAGIC):
        return data
    stream = zstd.ZstdDecompressor()
    result = _unpack(stream, data, limit + 1)
    check_size('message', len(result), limit)
    if not stream.eof:
        raise BagError('the end of a compressed message is missing')
    return result


def unpack_file(source: Path, target: Path, limit: int) -> str:
    """Decompress a Zstandard file as far as it goes; return what is wrong with it, or nothing.

    Raises
    ------
    BagError
        The result is larger than the limit.
    """
    written = 0
    with zstd.open(source, 'rb') as packed, target.open('wb') as unpacked:
        while True:
            try:
                block = packed.read1(BLOCK)
            except (EOFError, zstd.ZstdError) as error:
                return f'decompression ends after {written} bytes ({error})'
            if not block:
                return ''
            written += len(block)
            check_size(source.name, written, limit)
            unpacked.write(block)


def unpack_ros1_chunk(unlimited: Callable[[bytes], bytes], data: bytes, *, limit: int) -> bytes:
    """Decompress a chunk of a ROS 1 bag in place of the function that `rosbags` takes for it.

    Raises
    ------
    BagError
        The data are damaged, or larger than the limit.
    """
    streams = {bz2.decompress: bz2.BZ2Decompressor,
               lz4.frame.decompress: lz4.frame.LZ4FrameDecompressor}
    if unlimited not in streams:
        return data
    result = _unpack(streams[unlimited](), data, limit + 1)
    check_size('chunk', len(result), limit)
    return result


def _unpack(stream: Any, data: bytes, most: int) -> bytes:
    """Return at most `most` bytes, and fewer if the end of `data` is missing."""
    blocks: list[bytes] = []
    try:
        while most > 0 and not stream.eof and (data or not stream.needs_input):
            blocks.append(stream.decompress(data, max_length=most))
            data = b''
            most -= len(blocks[-1])
            if not blocks[-1] and stream.needs_input:
                break
    except (zstd.ZstdError, RuntimeError, OSError) as error:  # of zstd, lz4 and bz2
        raise BagError(str(error)) from error
    return b''.join(blocks)
