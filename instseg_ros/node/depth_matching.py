"""Depth images and colour images of the same moment; knows no ROS."""
from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar('Item')

KEPT = 30
"""Depth images that wait for their colour image: as many as come while one is segmented."""

ALIVE = 1.0
"""Seconds without a depth image after which nobody waits for the next one."""


class DepthMatcher(Generic[Item]):
    """Keeps the newest depth images by stamp; for one thread that puts and one that takes.

    Stamps grow, but may repeat or jump back, as in the loop of a recording.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[tuple[int, Item]] = deque(maxlen=KEPT)
        self._is_closed = False
        self._newest = float('-inf')

    @property
    def is_silent(self) -> bool:
        """Whether no depth image came within the last `ALIVE` seconds."""
        return time.monotonic() - self._newest > ALIVE

    def put(self, stamp: int, item: Item) -> None:
        """Keep a depth image; it replaces one of the same stamp.

        Parameters
        ----------
        stamp : int
            Nanoseconds. Images with later stamps are forgotten: they are from before a jump back.
        item
        """
        with self._changed:
            while self._items and self._items[-1][0] >= stamp:
                self._items.pop()
            self._items.append((stamp, item))
            self._newest = time.monotonic()
            self._changed.notify_all()

    def take(self, stamp: int, tolerance: int, timeout: float) -> Item | None:
        """Return the depth image that is nearest to a stamp; None if none is near enough.

        Earlier images are forgotten.

        Parameters
        ----------
        stamp : int
            Nanoseconds.
        tolerance : int
            Largest difference of stamps, in nanoseconds.
        timeout : float
            Seconds to wait for an image that is not earlier than the stamp; with it, no nearer one
            will come.
        """
        with self._changed:
            if not self.is_silent:
                self._changed.wait_for(lambda: self._is_closed or self._is_decided(stamp), timeout)
            while len(self._items) > 1 and (abs(self._items[1][0] - stamp)
                                            <= abs(self._items[0][0] - stamp)):
                self._items.popleft()
            if self._items and abs(self._items[0][0] - stamp) <= tolerance:
                return self._items[0][1]
            return None

    def _is_decided(self, stamp: int) -> bool:
        return bool(self._items) and self._items[-1][0] >= stamp

    def close(self) -> None:
        """End all waiting, now and later, and forget all images."""
        with self._changed:
            self._is_closed = True
            self._items.clear()
            self._changed.notify_all()
