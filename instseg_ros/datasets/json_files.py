"""JSON files, and what many tools write into their fields."""
from __future__ import annotations

import json
import math
import re
from pathlib import Path, PurePosixPath
from typing import Any

from instseg_ros.datasets.types import DatasetError
from instseg_ros.media.files import check_file

CONTROL = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff]')

MAX_ID = 200
"""Characters of an id that is a text."""

MAX_NAME = 1024
"""Characters of a file's name with its folders."""

CANONICAL = re.compile(r'0|-?[1-9]\d{0,17}', re.ASCII)
"""A number as text, in the one way that Python writes it."""


def read_json(path: Path) -> Any:
    """Return the content of a JSON file in UTF-8, with or without a byte order mark.

    Raises
    ------
    DatasetError
        It can't be read or isn't JSON.
    """
    try:
        return json.loads(check_file(path).read_text(encoding='utf-8-sig'))
    except OSError as error:
        raise DatasetError(f'{path}: {error.strerror}' if error.strerror else
                           str(error)) from error
    except (ValueError, RecursionError) as error:
        if str(error).startswith(f'{path}: '):
            raise DatasetError(str(error)) from error
        raise DatasetError(f'{path}: not valid JSON ({error})') from error


def integer(value: Any) -> int | None:
    """Return a whole number, also one that is written as 5.0; None for anything else."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


def number(value: Any) -> float | None:
    """Return a finite number; None for anything else, true and false included."""
    if type(value) not in (int, float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number beyond all floats
        return None


def identifier(value: Any) -> int | str | None:
    """Return an id: a whole number, or a text, which may be a number ("5"); None: neither.

    A text may have up to `MAX_ID` characters, none of which is a control character.
    """
    if type(value) is not str:
        return integer(value)
    if CANONICAL.fullmatch(value):
        return int(value)
    return None if not value or len(value) > MAX_ID or CONTROL.search(value) else value


def flag(value: Any) -> bool | None:
    """Return what 0, 1, true, false or null (false) means; None for anything else."""
    if value is None or (type(value) in (bool, int, float) and value in (0, 1)):
        return bool(value)
    return None


def below(value: Any) -> str | None:
    """Return the name of a file below a folder; None if it could lead out of the folder."""
    if type(value) is not str or not 0 < len(value) <= MAX_NAME or CONTROL.search(value):
        return None
    path = PurePosixPath(value)
    return None if path.is_absolute() or '..' in path.parts else value
