"""Whether the contents of a checkpoint are those that were written."""
from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any, Iterator, Mapping

import torch
from torch import Tensor

CHECKSUM = 'sha256'
"""Key of the checksum in a checkpoint's own entry."""

CHECKED = ('state_dict', 'optimizer_states')
"""Entries of a checkpoint whose tensors it covers."""


def checksum(checkpoint: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the tensors of a checkpoint, in hexadecimal digits.

    It covers place, type, shape and values of every tensor of weights and optimizer, in order.
    """
    content = hashlib.sha256()
    for entry in CHECKED:
        for place, tensor in _tensors(checkpoint.get(entry), entry):
            content.update(f'{place} {tensor.dtype} {tuple(tensor.shape)}\n'.encode())
            values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            content.update(values.numpy().data)
    return content.hexdigest()


def check_records(path: str | Path) -> None:
    """Compare every record of a checkpoint with the CRC in the file, which PyTorch doesn't.

    Raises
    ------
    ValueError
        A record is damaged.
    """
    if not zipfile.is_zipfile(path):  # torch.load names what it is
        return
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f'the file is damaged: {error}') from error
    if damaged is not None:
        raise ValueError(f'the file is damaged, in its record {damaged!a}')


def check_tensors(checkpoint: Mapping[str, Any], expected: Any) -> None:
    """Compare the tensors with the checksum that the checkpoint names.

    Raises
    ------
    ValueError
        They differ.
    """
    found = checksum(checkpoint)
    if found != expected:
        raise ValueError(f'its tensors have SHA-256 {found}, but it names {ascii(expected)[:66]}: '
                         'it is damaged or was changed')


def _tensors(value: Any, place: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tensors(item, f'{place}.{key}')
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _tensors(item, f'{place}[{number}]')
