"""Messages of several sources in the order of their times, with few sources open at once."""
from __future__ import annotations

import heapq
from typing import Callable, Iterable, Iterator, NamedTuple

from instseg_ros.bags.types import Message


class Part(NamedTuple):
    """A source of messages, sorted by time.

    Attributes
    ----------
    start : int
        No message is earlier, in nanoseconds.
    open : callable
        Returns the messages; called when that time is reached.
    """

    start: int
    open: Callable[[], Iterator[Message]]


def in_time_order(parts: Iterable[Part]) -> Iterator[Message]:
    """Yield the messages of all parts by time; equal times in the order of the parts."""
    waiting = sorted(enumerate(parts), key=lambda item: (item[1].start, item[0]), reverse=True)
    opened: list[tuple[int, int, Message, Iterator[Message]]] = []
    while waiting or opened:
        while waiting and (not opened or waiting[-1][1].start <= opened[0][0]):
            number, part = waiting.pop()
            messages = part.open()
            message = next(messages, None)
            if message is not None:
                heapq.heappush(opened, (message.time, number, message, messages))
        if opened:
            _, number, message, messages = opened[0]
            yield message
            following = next(messages, None)
            if following is None:
                heapq.heappop(opened)
            else:
                heapq.heapreplace(opened, (following.time, number, following, messages))
