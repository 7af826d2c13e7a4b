"""Samples of a process over time, kept in a file so that a run can go on later."""
from __future__ import annotations

import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

SETTLED = 0.2
"""Share of a run's samples in which memory may grow: caches fill, arenas find their size."""

LATE_THREADS = (os.cpu_count() or 1) - 1
"""Threads that may come later: the pool of the kernels has one for each core at most, and begins
one when all others are at work."""

COUNTS = ('in', 'out', 'dropped', 'superseded', 'lost', 'skipped')


class Record:
    """The samples of a part of the soak, of this run and, with `resume`, of earlier ones.

    A sample is a dictionary: `run` (number), `time` (seconds since the run began), `memory_mib`,
    `threads`, `files` and the counts so far of this run.

    Parameters
    ----------
    path : Path
        File of one JSON object a line.
    resume : bool
        Keep what the file holds.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        if not resume:
            path.unlink(missing_ok=True)
        lines = path.read_text('utf-8').splitlines() if path.exists() else []
        self.samples: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.run = 1 + max((sample['run'] for sample in self.samples), default=0)
        self._start = time.monotonic()

    def add(self, pid: int, **counts: float) -> None:
        """Add a sample of a process."""
        sample = {'run': self.run, 'time': round(time.monotonic() - self._start, 1),
                  **usage(pid), **counts}
        self.samples.append(sample)
        with self.path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(sample) + '\n')

    def runs(self) -> list[list[dict[str, Any]]]:
        """Return the samples of each run, in their order."""
        numbers = dict.fromkeys(sample['run'] for sample in self.samples)
        return [[sample for sample in self.samples if sample['run'] == number]
                for number in numbers]

    def total(self, name: str) -> float:
        """Return a count, or the time, of all runs together."""
        return sum(run[-1].get(name, 0) for run in self.runs())

    def growth(self, allowed_mib: float) -> list[str]:
        """Return a sentence for each thing that grew in a run after its beginning."""
        found = []
        for run in self.runs():
            settled = run[int(SETTLED * len(run)):]
            fifth = max(1, len(settled) // 5)
            for name, allowed in (('memory_mib', allowed_mib), ('threads', LATE_THREADS),
                                  ('files', 0)):
                first, last = (median(sample[name] for sample in part)
                               for part in (settled[:fifth], settled[-fifth:]))
                if last > first + allowed:
                    found.append(f'{name} grew from {first:g} to {last:g} in run '
                                 f'{run[0]["run"]}')
        return found

    def summary(self) -> dict[str, Any]:
        """Return totals and ranges, for people."""
        settled = [sample for run in self.runs() for sample in run[int(SETTLED * len(run)):]]
        return {'seconds': round(self.total('time')),
                **{name: int(self.total(name)) for name in COUNTS},
                **{name: [min(sample[name] for sample in settled),
                          max(sample[name] for sample in settled)]
                   for name in ('memory_mib', 'threads', 'files')}}


def usage(pid: int) -> dict[str, float]:
    """Return memory, threads and open files of a process (Linux).

    Memory is what is in RAM and not shared with others: the middleware's shared memory has a size
    of its own, of which more and more is touched.
    """
    place = Path('/proc') / str(pid)
    _, resident, shared, *_ = map(int, (place / 'statm').read_text().split())
    status = dict(line.split(':', 1) for line in (place / 'status').read_text().splitlines())
    return {'memory_mib': round((resident - shared) * os.sysconf('SC_PAGE_SIZE') / 2**20, 2),
            'threads': int(status['Threads']), 'files': len(os.listdir(place / 'fd'))}
