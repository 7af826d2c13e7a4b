"""Restricts the process to some cores of the computer."""
from __future__ import annotations

import os
import re
from typing import AbstractSet

_initial: AbstractSet[int] = frozenset()


def parse_cores(text: str) -> set[int]:
    """Return the cores that a list such as "0,2-3" names; none for an empty one.

    Raises
    ------
    ValueError
        It is no such list.
    """
    cores: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(','))):
        match = re.fullmatch(r'(\d{1,4})(?:\s*-\s*(\d{1,4}))?', part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise ValueError(f'cores: expected numbers and ranges such as 0,2-3, got {text!r}')
        cores.update(range(first, last + 1))
    return cores


def use_cores(cores: AbstractSet[int]) -> None:
    """Let all threads of this process, and those that they start, run on some cores only.

    Parameters
    ----------
    cores : set of int
        Empty for those that the process had at first.

    Raises
    ------
    ValueError
        The process may not use one of them, or the operating system has no such setting.
    """
    global _initial
    if not hasattr(os, 'sched_setaffinity'):
        if cores:
            raise ValueError('cores: this operating system lets no process choose its cores')
        return
    _initial = _initial or os.sched_getaffinity(0)
    if not cores <= _initial:
        raise ValueError(f'cores: expected some of the cores {sorted(_initial)} that this process '
                         f'may use, got {sorted(cores)}')
    for thread in os.listdir('/proc/self/task'):
        try:
            os.sched_setaffinity(int(thread), cores or _initial)
        except ProcessLookupError:  # it has ended meanwhile
            continue
