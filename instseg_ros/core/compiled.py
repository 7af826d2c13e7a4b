"""How kernels are compiled: serial, without the GIL, and cached on disk.

`instseg_ros.core.parallel` runs them on several threads.
"""
from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Callable, Iterator

import numba
from numba.core import event as numba_event

from instseg_ros.core.kernel_cache import kernel_cache

KERNELS: list[Any] = []
"""Every kernel that has been declared so far, as Numba's dispatcher."""


def compiled(function: Callable) -> Callable:
    """Compile a kernel on its first call and cache the machine code for later processes.

    See `instseg_ros.core.kernel_cache` for where; without a folder each process compiles anew.

    Notes
    -----
    Numba compiles a cached kernel again when its own file changes, but not when a kernel that it
    calls changes in another file. So kernels that call each other are in one file. Divisions
    follow IEEE 754 instead of raising, and sums are evaluated in the written order, so that a
    kernel can be compared bit for bit with a NumPy expression.
    """
    kernel = numba.njit(nogil=True, error_model='numpy')(function)
    cache = kernel_cache(function)
    if cache is not None:
        kernel._cache = cache  # as its `enable_caching` would do, with Numba's own
    KERNELS.append(kernel)
    return kernel


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
