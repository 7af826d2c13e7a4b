"""Compiled kernels on several threads, safe to call from several threads at once.

Numba's own parallel loops are not an option: its `workqueue` layer aborts the process when two
Python threads enter it together, and the other layers are not installed everywhere. A kernel
that releases the GIL needs none of that: ordinary threads each run it on a band of the work. The
result must not depend on where one band ends and the next begins, so it doesn't depend on the
number of threads either.
"""
from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

MOST_BANDS = 4
"""Handing over a band costs 10 to 15 microseconds, and the stages do it up to 14 times an image:
with more bands a small image would take longer, not shorter. (Ours.)
"""

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def thread_count(threads: int) -> int:
    """Return `threads`, or for 0 the number of cores this process may use."""
    if threads:
        return threads
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_in_bands(kernel: Callable[..., None], count: int, threads: int, *args: Any,
                 smallest: int = 64) -> None:
    """Call `kernel(start, stop, *args)` so that [start, stop) together cover range(count).

    Parameters
    ----------
    kernel : callable
        Releases the GIL; its result is the same however the range is cut.
    count : int
        Length of the work.
    threads : int
        At most so many bands, and at most MOST_BANDS; 0 takes one for each core.
    smallest : int
        No band is made shorter than this, for the sake of the cost of handing it over.
    """
    bands = max(1, min(thread_count(threads), MOST_BANDS, count // smallest))
    edges = [count * band // bands for band in range(bands + 1)]
    others = [_get_pool().submit(kernel, start, stop, *args)
              for start, stop in zip(edges[1:-1], edges[2:])]
    kernel(0, edges[1], *args)
    for other in others:
        other.result()


def _get_pool() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix='instseg')
        return _pool


def _forget_pool() -> None:
    """Start anew in a forked child: threads don't survive the fork, and a lock might be held."""
    global _lock, _pool
    _lock = threading.Lock()
    _pool = None


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_forget_pool)
