"""Counts and times of the images that the node took."""
from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any, Mapping

MILLISECONDS = 1000.0

DROP_REASONS = ('invalid', 'old', 'error')
"""Why an image has no result: it can't be read, is older than `max_age`, or cost an exception."""

COMPARABLE_AGE = 60.0
"""Seconds. A stamp further from now, in either direction, is of another clock: of a recording
played without simulated time, or of a camera that counts from its own start."""


class Statistics:
    """Counts since activation, and rates of the time since the last report; for any thread.

    In the end, every image that a camera published is in one of the counts `frames_out`,
    `frames_dropped`, `frames_superseded`, `frames_lost` and `frames_skipped`.

    Parameters
    ----------
    now : float
        Seconds, of `time.monotonic`, like every other time here.

    Attributes
    ----------
    frames_in, frames_out : int
        Images that were processed or wait for it; results published.
    frames_dropped : int
        Images without a result, for any of `DROP_REASONS`.
    frames_superseded : int
        Images that were never processed: a newer one or the end of being active came before their
        turn.
    frames_lost : int
        Images that the middleware reports as lost between the camera and the node.
    frames_skipped : int
        Images that were not to be processed: nobody listens to results, the node is paused, or
        `max_rate` is reached.
    instances_dropped : int
        Instances left out of results since there were more than `grouping.max_instances`.
    """

    def __init__(self, now: float | None = None) -> None:
        self.frames_in = self.frames_out = self.frames_lost = 0
        self.frames_skipped = self.instances_dropped = 0
        self._reported = time.monotonic() if now is None else now
        self._lock = threading.Lock()
        self._sequence_numbers: dict[bytes, int] = {}
        self._dropped = dict.fromkeys(DROP_REASONS, 0)
        self._given_up = 0
        self._gaps = self._lost_in_gaps = 0
        self._stage_seconds: Counter[str] = Counter()
        self._latency = 0.0
        self._age: float | None = None
        self._recent_out = 0
        self._recent_latency = 0.0

    @property
    def frames_dropped(self) -> int:
        return sum(self._dropped.values())

    @property
    def frames_superseded(self) -> int:
        # Images that are missing and were not lost gave way to newer ones in the middleware.
        return self._given_up + max(0, self._gaps - self._lost_in_gaps)

    def frame_arrived(self, info: Mapping[str, Any]) -> None:
        """Count an image, and those before it of the same publisher that never arrived.

        Parameters
        ----------
        info : dict
            The middleware's info about the message. Not every middleware numbers messages.
        """
        with self._lock:
            self.frames_in += 1
            number = info.get('publication_sequence_number')
            publisher = info.get('publisher_gid')
            if number is None or publisher is None:
                return
            key = bytes(publisher['data'])
            before = self._sequence_numbers.get(key, number - 1)
            self._gaps += max(0, number - before - 1)
            self._sequence_numbers[key] = number

    def frames_missed(self, count: int) -> None:
        """Count images that were lost on the way."""
        with self._lock:
            self.frames_lost += count
            # Those before the first image are in no gap.
            self._lost_in_gaps += count if self._sequence_numbers else 0

    def frames_given_up(self, count: int) -> None:
        """Count images that arrived and will not be processed after all."""
        with self._lock:
            self.frames_in -= count
            self._given_up += count

    def frame_skipped(self) -> None:
        """Count an image that arrived and is not to be processed."""
        with self._lock:
            self.frames_in -= 1
            self.frames_skipped += 1

    def frame_done(self, stages: Mapping[str, float], latency: float, *,
                   age: float | None = None, instances_dropped: int = 0) -> None:
        """Count a result.

        Parameters
        ----------
        stages : dict of str to float
            Seconds.
        latency : float
            Seconds from the arrival of the image until its result was published.
        age : float, optional
            Seconds from the stamp of the image until then.
        instances_dropped : int
        """
        with self._lock:
            self.frames_out += 1
            self.instances_dropped += instances_dropped
            self._stage_seconds.update(stages)
            self._recent_out += 1
            self._recent_latency += latency
            self._age = age if age is not None and abs(age) <= COMPARABLE_AGE else None

    def frame_dropped(self, reason: str) -> None:
        """Count an image without a result, for one of `DROP_REASONS`."""
        with self._lock:
            self._dropped[reason] += 1

    def report(self, now: float) -> dict[str, str]:
        """Return the values, and begin the next period.

        Rate and latency are those of the time since the last report, the age is that of the last
        result, times of stages are means since activation.
        """
        with self._lock:
            if self._recent_out:
                self._latency = self._recent_latency / self._recent_out
            rate = self._recent_out / max(now - self._reported, 1e-6)
            values = {name: str(getattr(self, name)) for name in (
                'frames_in', 'frames_out', 'frames_dropped', 'frames_superseded', 'frames_lost',
                'frames_skipped', 'instances_dropped')}
            values.update({f'frames_dropped.{reason}': str(count)
                           for reason, count in self._dropped.items()})
            values['fps'] = f'{rate:.2f}'
            values['latency_ms'] = milliseconds(self._latency)
            values['age_ms'] = '' if self._age is None else milliseconds(self._age)
            for stage, seconds in self._stage_seconds.items():
                values[f'stage_ms.{stage}'] = milliseconds(seconds / self.frames_out)
            self._reported, self._recent_out, self._recent_latency = now, 0, 0.0
            return values


def milliseconds(seconds: float) -> str:
    """Return a time as diagnostics show it."""
    return f'{seconds * MILLISECONDS:.3f}'
