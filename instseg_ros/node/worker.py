"""A thread for calls one after another; knows no ROS or images."""
from __future__ import annotations

import logging
import threading
import weakref
from queue import SimpleQueue
from typing import Any, Callable

logger = logging.getLogger(__name__)

_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


def are_running() -> bool:
    """Return whether the thread of any worker in this process has not ended."""
    return any(worker.is_running for worker in list(_workers))


class Worker:
    """Runs calls in a thread of its own, in the order of `submit`, whatever they raise.

    Python does not wait for the thread when the process ends: a call that never returns must not
    keep it from ending. (`concurrent.futures` waits for its threads.)

    Parameters
    ----------
    name : str
        Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        _workers.add(self)

    @property
    def is_running(self) -> bool:
        """Whether the thread has not ended."""
        return self._thread.is_alive()

    def submit(self, function: Callable[..., object], *args: Any) -> None:
        """Let a call wait for its turn; returns at once."""
        self._calls.put(lambda: function(*args))

    def close(self, timeout: float) -> bool:
        """End the thread after the calls that wait.

        Returns
        -------
        bool
            Whether it has ended within `timeout` seconds.
        """
        self._calls.put(None)
        self._thread.join(max(0.0, timeout))
        return not self.is_running

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except BaseException:  # SystemExit would end the thread without a word
                logger.exception('an exception in the thread %s', self._thread.name)
            del call  # the frames that it holds
