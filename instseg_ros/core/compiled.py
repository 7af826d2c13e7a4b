"""How kernels are compiled: serial, without the GIL, and cached on disk.

`instseg_ros.core.parallel` runs them on several threads.
"""
from __future__ import annotations

import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

import numba
from numba.core import config as numba_config
from numba.core import event as numba_event

KERNELS: list[Any] = []
"""Every kernel that has been declared so far, as Numba's dispatcher."""


def compiled(function: Callable) -> Callable:
    """Compile a kernel on its first call and cache the machine code for later processes.

    The cache is the first of these folders that can be written: the one of the module, the user's
    cache folder, a private folder in the temporary directory (for service accounts and read-only
    homes). Without any of them each process compiles anew.

    Notes
    -----
    Numba compiles a cached kernel again when its own file changes, but not when a kernel that it
    calls changes in another file. So kernels that call each other are in one file. Divisions
    follow IEEE 754 instead of raising, and sums are evaluated in the written order, so that a
    kernel can be compared bit for bit with a NumPy expression.
    """
    def compile_(cache: bool) -> Callable:
        kernel = numba.njit(cache=cache, nogil=True, error_model='numpy')(function)
        KERNELS.append(kernel)
        return kernel

    try:
        return compile_(cache=True)
    except RuntimeError:  # no folder that Numba tries can be written
        pass
    folder = _private_folder()
    if folder is None:
        return compile_(cache=False)
    # Numba reads the setting while it decorates; kernels of other packages keep theirs.
    before = numba_config.CACHE_DIR
    numba_config.CACHE_DIR = str(folder)
    try:
        return compile_(cache=True)
    except RuntimeError:
        return compile_(cache=False)
    finally:
        numba_config.CACHE_DIR = before


@contextmanager
def watch_compilation(on_kernel: Callable[[str, int, int], object]) -> Iterator[None]:
    """Call `on_kernel` whenever a kernel begins to be compiled inside the `with` block.

    It is not called for a kernel that is loaded from the cache.

    Parameters
    ----------
    on_kernel : callable
        Called with the name of the kernel, the number of kernels that are ready, compiled or
        loaded, and the number of all kernels.
    """
    with numba_event.install_listener('numba:compile', _CompilationListener(on_kernel)):
        yield


class _CompilationListener(numba_event.Listener):

    def __init__(self, on_kernel: Callable[[str, int, int], object]) -> None:
        self._on_kernel = on_kernel

    def on_start(self, event: numba_event.Event) -> None:
        kernel = event.data['dispatcher']
        if any(kernel is other for other in KERNELS):  # not a function of Numba's own
            ready = sum(bool(other.signatures) for other in KERNELS)
            self._on_kernel(kernel.__name__, ready, len(KERNELS))

    def on_end(self, event: numba_event.Event) -> None:
        pass


def _private_folder() -> Path | None:
    """Return a folder that only this user can write to, or None.

    Cached kernels are code: in the shared temporary directory, a folder with this name that was
    made by another user must not be trusted.
    """
    if not hasattr(os, 'getuid'):
        return None
    folder = Path(tempfile.gettempdir()) / f'instseg_ros-{os.getuid()}'
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    if (not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid()
            or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        return None
    return folder
