"""Entries of several sources in the order of their times, with few sources open at once."""
from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Callable, Generic, Iterable, Iterator, Protocol, TypeVar


class Timed(Protocol):
    """Anything with a time, in nanoseconds."""

    @property
    def time(self) -> int:
        """Nanoseconds."""


T = TypeVar('T', bound=Timed)


@dataclass(frozen=True)
class Part(Generic[T]):
    """A source of entries, sorted by time.

    Attributes
    ----------
    start : int
        No entry is earlier, in nanoseconds.
    open : callable
        Returns the entries; called when that time is reached.
    """

    start: int
    open: Callable[[], Iterator[T]]


def in_time_order(parts: Iterable[Part[T]]) -> Iterator[T]:
    """Yield the entries of all parts by time; equal times in the order of the parts."""
    waiting = sorted(enumerate(parts), key=lambda item: (item[1].start, item[0]), reverse=True)
    opened: list[tuple[int, int, T, Iterator[T]]] = []
    while waiting or opened:
        while waiting and (not opened or waiting[-1][1].start <= opened[0][0]):
            number, part = waiting.pop()
            entries = part.open()
            entry = next(entries, None)
            if entry is not None:
                heapq.heappush(opened, (entry.time, number, entry, entries))
        if opened:
            _, number, entry, entries = opened[0]
            yield entry
            following = next(entries, None)
            if following is None:
                heapq.heappop(opened)
            else:
                heapq.heapreplace(opened, (following.time, number, following, entries))
