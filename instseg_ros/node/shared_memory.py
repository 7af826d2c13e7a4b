"""The shared memory of Fast DDS: what processes leave behind, and whether it fits.

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
from typing import Mapping

from instseg_ros.installed import FAST_DDS_VARIABLES

FOLDER = Path('/dev/shm')

LOCK_FILE = re.compile(r'((?:fastdds|fastrtps)_[0-9a-f]{16})_el')

LEAST_AGE = 60.0
"""Seconds; a younger lock file may belong to a process that has not locked it yet."""

SEGMENT_SIZE = re.compile(r'<segment_size>\s*(\d+)\s*</segment_size>')
"""Bytes for messages, in a profile."""

EXTRA = 1.1
"""Factor for the tables beside the messages."""


def shortage(environment: Mapping[str, str], folder: Path = FOLDER) -> str:
    """Return a warning if the folder has no room for the shared memory of this process.

    Fast DDS reserves all of it when it starts. If that fails, it uses UDP instead.

    Parameters
    ----------
    environment : dict of str to str
        Names the profile, if there is one.
    folder : Path

    Returns
    -------
    str
        Empty if there is room, if no profile asks for any, or if there is no such folder.
    """
    try:
        profiles = [Path(environment[name]).read_text('utf-8') for name in FAST_DDS_VARIABLES
                    if environment.get(name, '').endswith('.xml')]
        status = os.statvfs(folder)
    except (OSError, ValueError):
        return ''
    needed = EXTRA * max(map(int, SEGMENT_SIZE.findall(' '.join(profiles))), default=0)
    free = status.f_bavail * status.f_frsize
    if free >= needed:
        return ''
    return (f'{folder} has {free / 1e6:.1f} MB free, and the profile of Fast DDS needs '
            f'{needed / 1e6:.1f} MB: images come over UDP instead, which may lose large ones; '
            'make it larger, for a container with --shm-size')


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


def remove_own_segments(folder: Path = FOLDER) -> None:
    """Remove the segments of this process, which ends without an orderly end of Fast DDS.

    Other processes keep what they have mapped. Nothing is done where there is no /proc.
    """
    with contextlib.suppress(OSError):
        for link in Path('/proc/self/fd').iterdir():
            with contextlib.suppress(OSError):  # it is closed meanwhile
                lock = Path(os.readlink(link))
                match = LOCK_FILE.fullmatch(lock.name)
                if match and lock.parent == folder:
                    lock.with_name(match[1]).unlink(missing_ok=True)
                    lock.unlink(missing_ok=True)
