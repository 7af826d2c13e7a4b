"""Which frames of a replay are in flight, came back, or were dropped."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Collection

import numpy as np


@dataclass
class _Frame:
    """A frame in flight."""

    stamp: int
    sent_at: float
    missing: set[str]


class FrameTracker:
    """Tracks the frames of a replay by their stamps; times are in seconds.

    A frame is done when a message with its stamp came on every result topic. Since the node works
    in order, a frame that is still incomplete when a later one is done was dropped. Of frames with
    the same stamp, a message belongs to the oldest one that lacks it.

    Parameters
    ----------
    topics : collection of str
        The result topics.
    """

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = frozenset(topics)
        self._in_flight: dict[int, _Frame] = {}  # by number, in the order of sending
        self._sent = 0
        self.frames_in = 0
        self.frames_dropped = 0
        self.latencies: list[float] = []
        self.first_sent = 0.0
        self.last_done = 0.0
        self.last_event = 0.0

    @property
    def in_flight(self) -> int:
        """Number of frames that were sent and neither came back nor are known to be dropped."""
        return len(self._in_flight)

    @property
    def frames_out(self) -> int:
        """Number of frames whose results are complete."""
        return len(self.latencies)

    def send(self, stamp: int, now: float) -> int:
        """Note that a frame goes out; return its number, from 0."""
        if not self.frames_in:
            self.first_sent = now
        if not self._in_flight:
            self.last_event = now
        number = self.frames_in
        self.frames_in += 1
        self._sent += 1
        self._in_flight[number] = _Frame(stamp, now, set(self._topics))
        return number

    def leave_out(self) -> None:
        """Note a frame that can't be sent."""
        self.frames_in += 1
        self.frames_dropped += 1

    def receive(self, topic: str, stamp: int, now: float) -> int | None:
        """Note a result message; return the number of its frame, None if there is none."""
        number = next((number for number, frame in self._in_flight.items()
                       if frame.stamp == stamp and topic in frame.missing), None)
        if number is None:
            return None
        frame = self._in_flight[number]
        self.last_event = now
        frame.missing.remove(topic)
        if not frame.missing:
            self._drop([other for other in self._in_flight if other < number])
            del self._in_flight[number]
            self.latencies.append(now - frame.sent_at)
            self.last_done = now
        return number

    def settle(self, dropped_by_node: int, now: float) -> None:
        """Take the node's own count of dropped frames into account.

        When the frames that came back and the frames that the node dropped are as many as were
        sent, none is in flight any more.
        """
        if self._in_flight and self.frames_out + dropped_by_node >= self._sent:
            self._drop(list(self._in_flight))
            self.last_event = now

    def _drop(self, numbers: list[int]) -> None:
        for number in numbers:
            del self._in_flight[number]
        self.frames_dropped += len(numbers)

    def report(self) -> dict[str, object]:
        """Return counts, duration, rate and latency, as in `report.json`."""
        seconds = max(0.0, self.last_done - self.first_sent)
        percentiles = [round(1000 * float(np.percentile(self.latencies, share)), 2)
                       for share in (50, 95, 100)] if self.latencies else [None] * 3
        return {'frames_in': self.frames_in, 'frames_out': self.frames_out,
                'frames_dropped': self.frames_dropped, 'seconds': round(seconds, 3),
                'fps': round(self.frames_out / seconds, 2) if seconds else 0.0,
                'latency_ms': dict(zip(('p50', 'p95', 'max'), percentiles))}
