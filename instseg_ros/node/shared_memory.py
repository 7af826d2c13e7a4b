"""Shared memory that killed processes have left behind.

Fast DDS keeps the messages of a process in files of shared memory, and holds a lock on a file
beside each while the process lives. The operating system releases the lock of a killed process,
but the memory stays taken: 35 MB for each process with the profile of this package. Fast DDS
itself only takes over the files of ports; `fastdds shm clean` does the same as this module.
"""
from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

FOLDER = Path('/dev/shm')

LOCK_FILE = re.compile(r'((?:fastdds|fastrtps)_[0-9a-f]{16})_el')

LEAST_AGE = 60.0
"""Seconds; a younger lock file may belong to a process that has not locked it yet."""


def remove_stale_segments(folder: Path = FOLDER) -> int:
    """Remove segments of this user whose process is gone.

    Returns
    -------
    int
        Number of bytes that were released. 0 where there is no such folder.
    """
    try:
        import fcntl
        names = os.listdir(folder)
    except (ImportError, OSError):
        return 0
    released = 0
    for match in filter(None, map(LOCK_FILE.fullmatch, names)):
        lock, segment = folder / match.group(0), folder / match.group(1)
        with contextlib.suppress(OSError), open(lock, 'rb') as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < LEAST_AGE:
                continue
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its process lives
            with contextlib.suppress(FileNotFoundError):
                size = segment.stat().st_size
                segment.unlink()
                released += size
            lock.unlink()
    return released
