"""Compiled kernels on several threads, safe to call from several threads at once.

Numba's own parallel loops are no option: its `workqueue` layer aborts the process when two Python
threads enter it at the same time, and the other layers are not installed everywhere. Instead, a
kernel that releases the GIL runs in ordinary threads, each on a chunk of the work. A kernel's
result must not depend on where the chunks end; so it doesn't depend on the number of threads.
"""
from __future__ import annotations

import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

MAX_CHUNKS = 4
"""Starting a chunk in another thread costs 10 to 15 microseconds, and an image needs it up to 14
times: with more chunks a small image would take longer, not shorter. (Ours.)
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


def run_parallel(kernel: Callable[..., None], count: int, threads: int, *args: Any,
                 min_chunk: int = 64) -> None:
    """Call `kernel(start, stop, *args)` for chunks [start, stop) that together are range(count).

    Parameters
    ----------
    kernel : callable
        Releases the GIL; its result is the same for all ways to split the range.
    count : int
        Length of the range.
    threads : int
        Maximum number of chunks, besides MAX_CHUNKS; 0 takes one for each core.
    min_chunk : int
        Minimum length of a chunk, below which another thread doesn't pay.
    """
    chunks = max(1, min(thread_count(threads), MAX_CHUNKS, count // min_chunk))
    edges = [count * chunk // chunks for chunk in range(chunks + 1)]
    others = [_get_pool().submit(kernel, start, stop, *args)
              for start, stop in itertools.pairwise(edges[1:])]
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
