"""A file of pictures, before it is opened."""
from __future__ import annotations

import stat
from pathlib import Path


class MediaError(ValueError):
    """An image or video that cannot be decoded or encoded."""


def check_file(path: Path | str, *, may_be_empty: bool = False) -> Path:
    """Return the path of an existing, regular file, which is not empty unless it may be.

    Raises
    ------
    OSError
        There is none, or it may not be read.
    MediaError
        It is empty, or a device, pipe or socket; those are never opened.
    """
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(f'{path}: expected a file, got a folder')
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f'{path}: expected a regular file, got a device, pipe or socket')
        with path.open('rb') as file:
            if not file.read(1) and not may_be_empty:
                raise MediaError(f'{path}: the file is empty')
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: no such file') from None
    except PermissionError:
        raise PermissionError(f'{path}: no permission to read this file') from None
    return path
