"""Work in a thread of its own, always on the newest item; knows no ROS."""
from __future__ import annotations

import threading
from typing import Callable, Generic, TypeVar

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
        self._changed = threading.Condition()
        self._waiting: list[Item] = []
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> int:
        """Let an item wait; returns at once.

        Returns
        -------
        int
            How many items are given up for it: 1 if one was waiting, or if this is closed; or 0.
        """
        with self._changed:
            given_up = len(self._waiting)
            if self._is_closed:
                return 1
            self._waiting = [item]
            self._changed.notify_all()
            return given_up

    def close(self) -> None:
        """Finish the item in work, give up the one that waits, and end the thread."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._waiting)
                if self._is_closed:
                    return
                item = self._waiting.pop()
            self._work(item)
            del item  # else it would be kept until the next one comes
