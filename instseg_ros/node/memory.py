"""Freed memory goes back to the operating system."""
from __future__ import annotations

import ctypes
import os

_malloc_trim = getattr(ctypes.CDLL(None), 'malloc_trim', None) if os.name == 'posix' else None


def trim_heap() -> None:
    """Give freed memory back, where the C library can do that (glibc).

    By itself, it keeps most of what a model has used for later: tens of MiB.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)
