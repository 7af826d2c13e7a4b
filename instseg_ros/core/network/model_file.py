"""Model files before they are loaded: integrity, and whether they are complete in themselves.

The metadata entry `CHECKSUM_KEY` is the SHA-256 of all bytes of the file but those of that entry
(the whole field of the ONNX message): of graph, weights and all other metadata. It reveals damage.
It doesn't say who made a file: whoever can change the file can write another checksum.
"""
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Mapping

from instseg_ros.core.model_info import METADATA_KEY, ModelError, read_entry
from instseg_ros.core.network.protobuf import Field, bytes_field, fields

CHECKSUM_KEY = 'instseg_ros.sha256'

FIRST_WITH_CHECKSUM = 2
"""Format version of `ModelInfo` from which on every file has a checksum."""

MAX_FILE = (1 << 31) - 1
"""Bytes; longer messages can't be read by Protocol Buffers."""

MAX_FIELDS = 5_000_000
"""Fields that are looked at, about three seconds; `street.onnx` has some thousands."""

MAX_DEPTH = 50
"""Levels of graphs within graphs, and of the messages that hold them."""

METADATA, KEY, VALUE = 14, 1, 2
TENSOR, EXTERNAL_DATA, DATA_LOCATION = 'tensor', 13, 14
PARTS: Mapping[str, Mapping[int, str]] = {
    'model': {7: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'function': {7: 'node', 11: 'attribute'},
    'graph': {1: 'node', 5: TENSOR, 15: 'sparse'},
    'node': {5: 'attribute'},
    'attribute': {5: TENSOR, 6: 'graph', 10: TENSOR, 11: 'graph', 22: 'sparse', 23: 'sparse'},
    'sparse': {1: TENSOR, 2: TENSOR},
    TENSOR: {},
}
"""Numbers of fields in onnx.proto: which messages of each kind can hold tensors, and where."""


@dataclass(frozen=True)
class ModelFile:
    """A model file whose integrity has been checked.

    Attributes
    ----------
    path : Path
    data : bytes
        The whole file.
    metadata : dict of str to str
    checksum : str
        SHA-256 of the contents, see `checksum`.
    has_checksum : bool
        Whether the file names it, so that the contents are known to be those that were exported.
    """

    path: Path
    data: bytes
    metadata: Mapping[str, str]
    checksum: str
    has_checksum: bool


def read_model_file(path: Path) -> ModelFile:
    """Read a model file.

    Raises
    ------
    ModelError
        It is missing or no ONNX file, is damaged, or has its weights in another file.
    """
    if not path.is_file():
        raise ModelError(f'{path}: expected a model file (.onnx), but there is no such file')
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            raise ValueError(f'expected at most {MAX_FILE} bytes, got {size}')
        data = path.read_bytes()
        metadata, digest = _metadata(data), checksum(data)
        _check_integrity(metadata, digest)
        refuse_external_data(data)
    except (OSError, ValueError) as error:
        raise ModelError(f'{path}: {error}') from error
    return ModelFile(path, data, metadata, digest, CHECKSUM_KEY in metadata)


def seal(data: bytes) -> bytes:
    """Return a model file with its checksum, in place of the one that it had, if any.

    Raises
    ------
    ValueError
        `data` is no ONNX file.
    """
    kept = b''.join(data[field.start:field.stop] for field in _top_level(data)
                    if not _is_checksum(field))
    entry = bytes_field(KEY, CHECKSUM_KEY.encode()) + bytes_field(VALUE, checksum(kept).encode())
    return kept + bytes_field(METADATA, entry)


def checksum(data: bytes) -> str:
    """Return the SHA-256 of a model file without the entry that holds it, in hexadecimal digits.

    Raises
    ------
    ValueError
        `data` is no ONNX file.
    """
    content = hashlib.sha256()
    whole = memoryview(data)
    for field in _top_level(data):
        if not _is_checksum(field):
            content.update(whole[field.start:field.stop])
    return content.hexdigest()


def _top_level(data: bytes) -> Iterator[Field]:
    if not data:
        raise ValueError('expected an ONNX model, got an empty file')
    try:
        yield from fields(memoryview(data))
    except ValueError as error:
        raise ValueError(f'expected an ONNX model, but the file is damaged or of another kind: '
                         f'{error}') from error


def _is_checksum(field: Field) -> bool:
    return field.number == METADATA and _entry(field)[0] == CHECKSUM_KEY


def _entry(field: Field) -> tuple[str, str]:
    """Return key and value of an entry of the metadata."""
    texts = {KEY: '', VALUE: ''}
    for part in fields(_message(field)):
        if part.number in texts:
            texts[part.number] = bytes(_message(part)).decode()
    return texts[KEY], texts[VALUE]


def _message(field: Field) -> memoryview:
    if not isinstance(field.value, memoryview):
        raise ValueError(f'field {field.number} is a number instead of bytes')
    return field.value


def _metadata(data: bytes) -> dict[str, str]:
    entries = [_entry(field) for field in _top_level(data) if field.number == METADATA]
    metadata = dict(entries)
    if len(metadata) != len(entries):
        raise ValueError('the metadata of the model has two entries of the same name')
    return metadata


def _check_integrity(metadata: Mapping[str, str], found: str) -> None:
    """Compare the checksum that a file names, if it does, with that of its contents."""
    if CHECKSUM_KEY in metadata:
        if metadata[CHECKSUM_KEY] != found:
            raise ValueError(f'the contents have SHA-256 {found}, but the file names '
                             f'{ascii(metadata[CHECKSUM_KEY])[:66]}: it is damaged or was changed '
                             '(after a change on purpose, write the checksum anew with '
                             'scripts/seal_model.py)')
    elif METADATA_KEY in metadata:
        version = read_entry(metadata)['format_version']
        if version >= FIRST_WITH_CHECKSUM:
            raise ValueError(f'the entry "{CHECKSUM_KEY}" is missing in the metadata of the '
                             f'model, which every file of format {version} has: it is damaged '
                             'or was changed')


def refuse_external_data(data: bytes) -> None:
    """Refuse a model that makes ONNX Runtime read other files.

    Raises
    ------
    ValueError
        A tensor has its data in another file, or the messages are nested too deeply.
    """
    count = 0
    waiting: list[tuple[str, memoryview, int]] = [('model', memoryview(data), 0)]
    while waiting:
        kind, message, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f'expected at most {MAX_DEPTH} levels of graphs and nodes, got more')
        for field in fields(message):
            count += 1
            if count > MAX_FIELDS:
                raise ValueError(f'expected at most {MAX_FIELDS} fields in the model, got more')
            if kind == TENSOR and (field.number == EXTERNAL_DATA or (
                    field.number == DATA_LOCATION and field.value != 0)):
                raise ValueError('expected all weights in the model file itself, got a tensor '
                                 'whose data is in another file; export the model into one file')
            if field.number in PARTS[kind]:
                waiting.append((PARTS[kind][field.number], _message(field), depth + 1))
