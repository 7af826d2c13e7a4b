"""Which frames of a replay are in flight, came back, or were dropped."""
from __future__ import annotations

from itertools import takewhile
from typing import Collection

import numpy as np


class FrameTracker:
    """Tracks the frames of a replay by their stamps; times are in seconds.

    A frame is done when a message with its stamp came on every result topic. Since the node works
    in order, a frame that is still incomplete when a later one is done was dropped.

    Parameters
    ----------
    topics : collection of str
        The result topics.
    """

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = frozenset(topics)
        self._sent_at: dict[int, float] = {}
        self._missing: dict[int, set[str]] = {}  # in the order of sending
        self.frames_in = 0
        self.frames_dropped = 0
        self.latencies: list[float] = []
        self.first_sent = 0.0
        self.last_done = 0.0
        self.last_event = 0.0

    @property
    def in_flight(self) -> int:
        """Number of frames that were sent and neither came back nor are known to be dropped."""
        return len(self._missing)

    @property
    def frames_out(self) -> int:
        """Number of frames whose results are complete."""
        return len(self.latencies)

    def send(self, stamp: int, now: float) -> None:
        """Note that a frame goes out.

        Raises
        ------
        ValueError
            An earlier frame has the same stamp, so their results are not distinguishable.
        """
        if stamp in self._sent_at:
            raise ValueError(f'two frames have the stamp {stamp} ns')
        if not self.frames_in:
            self.first_sent = now
        if not self._missing:
            self.last_event = now
        self.frames_in += 1
        self._sent_at[stamp] = now
        self._missing[stamp] = set(self._topics)

    def receive(self, topic: str, stamp: int, now: float) -> bool:
        """Note a result message; return whether it belongs to a frame in flight."""
        if stamp not in self._missing or topic not in self._missing[stamp]:
            return False
        self.last_event = now
        self._missing[stamp].remove(topic)
        if not self._missing[stamp]:
            earlier = list(takewhile(lambda other: other != stamp, self._missing))
            self._drop(earlier)
            del self._missing[stamp]
            self.latencies.append(now - self._sent_at[stamp])
            self.last_done = now
        return True

    def settle(self, dropped_by_node: int, now: float) -> None:
        """Take the node's own count of dropped frames into account.

        When the frames that came back and the frames that the node dropped are as many as were
        sent, none is in flight any more.
        """
        if self._missing and self.frames_out + dropped_by_node >= self.frames_in:
            self._drop(list(self._missing))
            self.last_event = now

    def _drop(self, stamps: list[int]) -> None:
        for stamp in stamps:
            del self._missing[stamp]
        self.frames_dropped += len(stamps)

    def report(self) -> dict[str, object]:
        """Return counts, duration, rate and latency, as in `report.json`."""
        seconds = max(0.0, self.last_done - self.first_sent)
        percentiles = [round(1000 * float(np.percentile(self.latencies, share)), 2)
                       for share in (50, 95, 100)] if self.latencies else [None] * 3
        return {'frames_in': self.frames_in, 'frames_out': self.frames_out,
                'frames_dropped': self.frames_dropped, 'seconds': round(seconds, 3),
                'fps': round(self.frames_out / seconds, 2) if seconds else 0.0,
                'latency_ms': dict(zip(('p50', 'p95', 'max'), percentiles))}
