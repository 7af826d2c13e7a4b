"""Files that are either whole or not there."""
from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`, which takes its name only if all goes well.

    The temporary path has the suffix of `path`. On an exception, Ctrl-C included, it is removed
    and whatever stood at `path` stays. Missing parent folders are made.

    Examples
    --------
    >>> with replacing('out/result.json') as temporary:
    ...     temporary.write_text('{}')
    """
    with unfinished_folder(Path(path).parent) as folder:
        temporary = folder / Path(path).name
        yield temporary
        os.replace(temporary, path)


@contextmanager
def unfinished_folder(parent: Path | str) -> Iterator[Path]:
    """Give a temporary folder inside `parent` (made if missing), removed in the end.

    What is made there can be moved to its final name with `os.replace` when it is whole.
    """
    Path(parent).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix='.unfinished-', dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_place(root: Path, relative: Path | str, replaceable: str = '') -> None:
    """Check that a result may be put below a folder, where it replaces only its like.

    Parameters
    ----------
    root : Path
        Folder of all results; it may itself be a link.
    relative : path
        Of the result, below `root`.
    replaceable : str, optional
        For a result that is a folder: regular expression of the names of its files.

    Raises
    ------
    OSError
        On the way is a link, which could lead out of `root`, or a file; or the place is taken by
        something that an earlier run did not make.
    """
    place = root / relative
    for parent in [root / part for part in Path(relative).parents if part.name]:
        if parent.is_symlink() or (parent.exists() and not parent.is_dir()):
            raise FileExistsError(f'{parent}: expected a folder for results, got a '
                                  f'{"link" if parent.is_symlink() else "file"}')
    if not replaceable:
        if place.is_dir() and not place.is_symlink():
            raise IsADirectoryError(f'{place}: a result would replace this folder; move it away')
    elif place.is_symlink() or (place.exists() and not (place.is_dir() and all(
            re.fullmatch(replaceable, entry.name) and entry.is_file()
            for entry in place.iterdir()))):
        raise FileExistsError(f'{place}: results would replace this, which is no folder of '
                              'results; move it away')
