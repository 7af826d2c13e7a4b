"""Files that are either whole or not there."""
from __future__ import annotations

import os
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
