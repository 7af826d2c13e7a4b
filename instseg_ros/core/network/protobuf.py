"""The wire format of Protocol Buffers, as far as model files are checked before they are loaded.

A message is a sequence of fields: a tag, which holds a number and one of four kinds, and a value.
(https://protobuf.dev/programming-guides/encoding)
"""
from __future__ import annotations

from typing import Iterator, NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

MAX_VARINT = 10
"""Bytes of the longest number."""


class Field(NamedTuple):
    """One field of a message: its number, its value, and where in the message it lies."""

    number: int
    value: int | memoryview
    start: int
    stop: int


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message in order; a value of fixed length as bytes.

    Raises
    ------
    ValueError
        The message is damaged.
    """
    stop = 0
    while stop < len(message):
        start = stop
        tag, stop = _varint(message, start)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise ValueError(f'no field has the number {number}')
        if kind == VARINT:
            value, stop = _varint(message, stop)
            yield Field(number, value, start, stop)
            continue
        if kind == BYTES:
            length, stop = _varint(message, stop)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f'no field is of kind {kind}')
        if length > len(message) - stop:
            raise ValueError(f'a field of {length} bytes is cut off after {len(message) - stop}')
        stop += length
        yield Field(number, message[stop - length:stop], start, stop)


def bytes_field(number: int, value: bytes) -> bytes:
    """Return a field of bytes (a string or a message) as it is written."""
    return _write_varint(number << 3 | BYTES) + _write_varint(len(value)) + value


def _varint(message: memoryview, start: int) -> tuple[int, int]:
    """Return the number that begins at `start`, and where it ends."""
    if start < len(message) and message[start] < 0x80:  # most are so short
        return message[start], start + 1
    value = 0
    for place, byte in enumerate(message[start:start + MAX_VARINT]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, start + place + 1
    raise ValueError('a number is cut off or too long')


def _write_varint(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
