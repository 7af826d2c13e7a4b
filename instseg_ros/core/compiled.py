"""The one way in which kernels are compiled: cached on disk and without the GIL.

Kernels are serial. Numba's own parallel loops abort the process when two Python threads enter
them at once in its `workqueue` layer; see `instseg_ros.core.parallel` for what is used instead.
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
    """Compile a kernel on its first call and keep the machine code for later processes.

    The code is cached beside the module; where that can't be written, in the user's cache folder;
    where there is none either (a service account, a read-only home), in a private folder of the
    temporary directory; and without any of them it lives as long as the process.

    Notes
    -----
    A cached kernel is renewed when the file it is written in changes, not when a kernel changes
    that it calls and that is written in another file. Kernels that call each other live together.
    Divisions follow IEEE 754 instead of raising, and sums are evaluated in the written order,
    so that a kernel can be compared bit for bit with a NumPy expression.
    """
    def compile_(cache: bool) -> Callable:
        kernel = numba.njit(cache=cache, nogil=True, error_model='numpy')(function)
        KERNELS.append(kernel)
        return kernel

    try:
        return compile_(cache=True)
    except RuntimeError:  # Numba found no folder to write to
        pass
    folder = _private_folder()
    if folder is None:
        return compile_(cache=False)
    # Numba reads the setting while it decorates; nobody else's kernels shall move.
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

    Cached kernels are code: in the shared temporary directory a folder that somebody else made
    under our name must not be trusted.
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
