"""What follows when image after image is lost to exceptions."""
from __future__ import annotations

import threading
from typing import Callable

FAILURES = 3
"""Images lost in a row that call for a measure."""


class Recovery:
    """Counts the images that are lost to exceptions in a row; for any thread.

    The first FAILURES in a row call for a rebuild of the session. If as many more follow without a
    result between them, the node has failed.

    Parameters
    ----------
    wake : callable
        Called, from any thread, when `act` is to be called in the thread of the executor.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._failures = 0
        self._is_due = self._is_rebuilt = False
        self._last = ''

    def succeeded(self) -> None:
        """Take note of a result."""
        with self._lock:
            self._failures, self._is_due, self._is_rebuilt = 0, False, False

    def failed(self, error: BaseException) -> None:
        """Take note of an image that an exception has cost."""
        with self._lock:
            self._failures += 1
            self._last = f'{type(error).__name__}: {error}'
            if self._failures < FAILURES or self._is_due:
                return
            self._is_due = True
        self._wake()

    def act(self, rebuild: Callable[[str], object], give_up: Callable[[str], object]) -> None:
        """Take the measure that is due, if one is.

        Parameters
        ----------
        rebuild, give_up : callable
            Called with the reason.
        """
        with self._lock:
            if not self._is_due:
                return
            measure = give_up if self._is_rebuilt else rebuild
            reason = f'{self._failures} images in a row were lost, the last one to {self._last}'
        measure(reason)
        with self._lock:
            self._failures, self._is_due, self._is_rebuilt = 0, False, True
