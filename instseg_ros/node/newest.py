"""Work in a thread of its own, always on the newest item; knows no ROS."""
from __future__ import annotations

import threading
from typing import Callable, Generic, TypeVar

from instseg_ros.node.worker import Worker

Item = TypeVar('Item')


class NewestWorker(Generic[Item]):
    """Works on one item after another; of those that come meanwhile, only the newest waits.

    Parameters
    ----------
    work : callable
        Takes an item; raises nothing.
    name : str
        Of the thread.
    """

    def __init__(self, work: Callable[[Item], object], name: str) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._waiting: list[Item] = []
        self._is_closed = False
        self._worker = Worker(name)

    def submit(self, item: Item) -> int:
        """Let an item wait; returns at once.

        Returns
        -------
        int
            How many items are given up for it: 1 if one was waiting, or if this is closed; or 0.
        """
        with self._lock:
            if self._is_closed:
                return 1
            given_up = len(self._waiting)
            self._waiting = [item]
            if not given_up:
                self._worker.submit(self._run)
            return given_up

    def close(self, timeout: float = threading.TIMEOUT_MAX) -> bool:
        """Finish the item in work, give up the one that waits, and end the thread.

        Returns
        -------
        bool
            Whether the thread has ended within `timeout` seconds.
        """
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
        return self._worker.close(timeout)

    def _run(self) -> None:
        with self._lock:
            if not self._waiting:  # given up
                return
            item = self._waiting.pop()
        self._work(item)
