"""Times of calls that take turns, on the clock and of the processor."""
from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any, Callable, Iterable, Mapping

Call = Callable[[], object]
Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Times:
    """Medians over many calls of one function.

    Attributes
    ----------
    wall_ms : float
        On the clock. It grows with whatever else the machine does.
    cpu_ms : float
        Of the processor, all threads of this process together. It grows much less.
    """

    wall_ms: float
    cpu_ms: float

    def ratios_to(self, other: Times) -> dict[str, float]:
        """Return how many times as long the other one takes, by both clocks."""
        return {'wall': other.wall_ms / self.wall_ms, 'cpu': other.cpu_ms / self.cpu_ms}


def measure(calls: Mapping[str, Call], rounds: int, progress: Progress = iter, *,
            turns: int = 1, yardstick: Mapping[str, Call] | None = None) -> dict[str, Times]:
    """Time calls in turns, so that whatever else the machine does meets all of them.

    Medians, not the fastest calls: on a busy machine a long call never runs undisturbed, so the
    fastest ones flatter the short.

    Parameters
    ----------
    calls : mapping of str to callable
        What to measure.
    rounds : int
        One more is made beforehand, in which each is called once, to fill caches.
    progress : callable
        Wraps the sequence of rounds, for example `tqdm.tqdm`.
    turns : int
        Turns of `calls` in a round.
    yardstick : mapping of str to callable, optional
        Slow calls, which get one turn in a round.
    """
    everything = {**calls, **(yardstick or {})}
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in everything}
    for number in progress(range(rounds + 1)):
        if number == 0:
            for call in everything.values():
                call()
            continue
        for name in [*calls] * turns + [*(yardstick or {})]:
            start = time.perf_counter(), time.process_time()
            everything[name]()
            samples[name].append((time.perf_counter() - start[0],
                                  time.process_time() - start[1]))
    return {name: Times(*(1e3 * max(median(clock), 1e-9) for clock in zip(*values)))
            for name, values in samples.items()}
