"""Times of the stages that an image goes through."""
from __future__ import annotations

import time


class Stopwatch:
    """Measures stages one after the other, the first from now on.

    Attributes
    ----------
    laps : dict of str to float
        Seconds of each stage that has ended, in order.
    """

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._start = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a stage and start the next one."""
        now = time.perf_counter()
        self.laps[name] = now - self._start
        self._start = now
