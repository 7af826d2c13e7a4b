"""Folders for compiled code: what is loaded from there runs with the rights of this process."""
from __future__ import annotations

import os
import stat
from pathlib import Path

try:
    import grp
    import pwd
except ImportError:  # not a Unix
    grp = pwd = None  # type: ignore[assignment]


def user_cache_folder() -> Path | None:
    """Return the package's folder in the user's cache, there or not; None without a home."""
    try:
        return Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser() / 'instseg_ros'
    except RuntimeError:
        return None


def is_trusted(folder: Path) -> bool:
    """Return whether nobody but this user and root can put files into a folder, or replace it.

    A group counts as its only member if it is the user's private group. On systems without Unix's
    permissions every folder is trusted.
    """
    if not hasattr(os, 'geteuid'):
        return True
    try:
        folder = folder.resolve(strict=True)
        if not folder.is_dir() or not belongs_to_user(folder.stat()):
            return False
        # Whoever can rename a folder above can put another one in its place, except where the
        # sticky bit leaves that to the owner, as in /tmp.
        return all(belongs_to_user(status) or _is_sticky(status)
                   for status in (parent.stat() for parent in folder.parents))
    except OSError:
        return False


def belongs_to_user(status: os.stat_result) -> bool:
    """Return whether only this user and root can write to a file or folder with this status."""
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & stat.S_IWOTH:
        return False
    return not status.st_mode & stat.S_IWGRP or _is_private_group(status.st_gid)


def _is_sticky(status: os.stat_result) -> bool:
    return status.st_uid in (0, os.geteuid()) and bool(status.st_mode & stat.S_ISVTX)


def _is_private_group(number: int) -> bool:
    """Return whether a group has this user as its only member, as most distributions set up."""
    if number == 0:
        return True
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return (number == user.pw_gid and group.gr_name == user.pw_name
            and set(group.gr_mem) <= {user.pw_name})
