"""Where compiled kernels are kept, and what is done about damage and about other users.

A kept kernel is code. So a folder is only used if nobody else can write there, and each file ends
with the SHA-256 of the rest: one that is damaged is dropped, and its kernel compiled anew.
"""
from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Iterator

from numba.core import config as numba_config
from numba.core.caching import FunctionCache, IndexDataCacheFile

from instseg_ros.core.trusted_folders import belongs_to_user, is_trusted, user_cache_folder

SUFFIXES = ('.nbi', '.nbc')
"""Of the files that Numba keeps: an index for each kernel, and the code for each signature."""

logger = logging.getLogger(__name__)


def kernel_cache(function: Callable) -> KernelCache | None:
    """Return the cache for a kernel, or None if there is no folder for it.

    It is in the first of these folders that can be written by this user, and by nobody else but
    root: the one of the module or of `NUMBA_CACHE_DIR`, the user's cache folder, a private
    folder in the temporary directory (for service accounts and read-only homes).
    """
    for folder in (None, user_cache_folder(), _private_folder()):
        if folder is not None and not _made(folder):
            continue
        try:
            with _in_folder(folder):
                cache = KernelCache(function)
        except RuntimeError:  # no folder that Numba tries can be written
            continue
        if _may_be_used(cache.cache_path):
            return cache
    return None


class KernelCache(FunctionCache):
    """Numba's cache for one kernel, which survives damage to its files and a full disk."""

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        # Names of their own, so that files without checksum of an earlier version aren't read.
        self._cache_file = _CheckedFiles(self._cache_path, f'{self._impl.filename_base}.checked',
                                         self._impl.locator.get_source_stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled kernel for a signature, or None if it has to be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # pickle raises whatever the bytes of a damaged file lead to
            logger.warning('%s: dropped what was kept of kernel %s, which is compiled anew: %s',
                           self._cache_path, self._name, error or type(error).__name__)
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel, if that is possible."""
        try:
            super().save_overload(sig, data)
        except Exception as error:  # a full disk, or the index was damaged in the meantime
            logger.warning('%s: kernel %s can not be kept and is compiled at each start: %s',
                           self._cache_path, self._name, error or type(error).__name__)


class _CheckedFiles(IndexDataCacheFile):
    """Numba's files with their checksum at the end, where pickle doesn't look."""

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[io.BytesIO]:
        content = io.BytesIO()
        with super()._open_for_write(filepath) as file:
            yield content
            file.write(content.getvalue() + hashlib.sha256(content.getvalue()).digest())

    def _load_index(self) -> Any:
        if os.path.exists(self._index_path):
            _check(self._index_path)
        return super()._load_index()

    def _load_data(self, name: str) -> Any:
        _check(self._data_path(name))
        return super()._load_data(name)


def _check(path: str) -> None:
    content = Path(path).read_bytes()
    length = hashlib.sha256().digest_size
    if hashlib.sha256(content[:-length]).digest() != content[-length:]:
        raise ValueError(f'{os.path.basename(path)} is damaged')


@contextlib.contextmanager
def _in_folder(folder: Path | None) -> Iterator[None]:
    """Let Numba choose a folder below this one, for kernels that are declared meanwhile."""
    before = numba_config.CACHE_DIR
    if folder is not None:
        numba_config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba_config.CACHE_DIR = before


def _private_folder() -> Path | None:
    if not hasattr(os, 'getuid'):
        return None
    return Path(tempfile.gettempdir()) / f'instseg_ros-{os.getuid()}'


def _made(folder: Path) -> bool:
    """Make a folder, and return whether it can be used."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    # Another user may have put a link or a folder in this place.
    return not folder.is_symlink() and is_trusted(folder)


@lru_cache
def _may_be_used(folder: str) -> bool:
    """Return whether the files in a folder, there or not yet, can be loaded."""
    try:
        files = [entry.stat() for entry in os.scandir(folder) if entry.name.endswith(SUFFIXES)]
    except OSError:
        return False
    if is_trusted(Path(folder)) and all(map(belongs_to_user, files)):
        return True
    logger.warning('%s: other users can write there, so kernels are neither loaded from there nor '
                   'kept there', folder)
    return False
