"""How the benchmark measures: its options, the clocks, the memory, and the machine."""
from __future__ import annotations

import importlib
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, Callable, Iterable, Mapping, Sequence

from instseg_ros.core.config import check_options, option
from instseg_ros.core.parallel import thread_count

Call = Callable[[], object]
Progress = Callable[[Iterable[Any]], Iterable[Any]]

MODULES = ('numpy', 'numba', 'cv2', 'skimage', 'onnxruntime')
BUSY = 0.25
"""A machine counts as busy if its load average is above this share of its cores."""


@dataclass(frozen=True)
class BenchmarkConfig:
    """How often to measure, and on which made-up street."""

    threads: int = option(0, 'Threads of network and refinement; 0 takes one for each core',
                          minimum=0, maximum=1024)
    rounds: int = option(5, 'Calls of what is slow; what is fast is called more often',
                         minimum=1, maximum=10_000)
    instances: int = option(50, 'Objects in the street', minimum=0, maximum=10_000)
    classes: int = option(19, 'Classes, about 8 of 19 with objects; the model has its own',
                          minimum=1, maximum=255)
    output_stride: int = option(4, 'Pixels of the image per pixel of the label maps; the model '
                                'has its own', minimum=1, maximum=64)

    def __post_init__(self) -> None:
        check_options(self, '')


@dataclass(frozen=True)
class Times:
    """Medians over many calls of one function.

    Attributes
    ----------
    wall_ms : float
        On the clock; other processes on the machine make it longer.
    cpu_ms : float
        Of the processor, all threads of this process together; much less sensitive to others.
    """

    wall_ms: float
    cpu_ms: float

    def ratios_to(self, other: Times) -> dict[str, float]:
        """Return the other times over these, by both clocks."""
        return {'wall': other.wall_ms / self.wall_ms, 'cpu': other.cpu_ms / self.cpu_ms}


def measure(calls: Mapping[str, Call], rounds: int, progress: Progress = iter, *,
            turns: int = 1, yardstick: Mapping[str, Call] | None = None) -> dict[str, Times]:
    """Time calls in turns, so that other processes disturb all of them alike.

    The result is the median, not the minimum: on a busy machine a long call never runs
    undisturbed, so minima favour short calls.

    Parameters
    ----------
    calls : mapping of str to callable
        What to measure.
    rounds : int
        A further one precedes them, in which each is called once, to fill caches.
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


def describe_machine() -> dict[str, Any]:
    """Return what readers of the figures need to know about the machine, ready for JSON.

    Returns
    -------
    dict
        `cpu`, `cores` (that this process may use), `system`, `python`, `modules` (name to
        version, of those that are installed), `load_average` over the last minute, `busy`.
    """
    load, cores = os.getloadavg()[0], thread_count(0)
    return {'cpu': _cpu_name(), 'cores': cores, 'system': platform.platform(),
            'python': platform.python_version(), 'modules': _module_versions(),
            'load_average': round(load, 2), 'busy': load > BUSY * (os.cpu_count() or 1)}


def _module_versions() -> dict[str, str]:
    versions = {}
    for name in MODULES:
        try:
            versions[name] = importlib.import_module(name).__version__
        except ImportError:
            continue
    return versions


def peak_memory_of(function: Callable[..., object], *args: Any) -> float:
    """Return the peak memory (MiB, resident) of a new process that calls a function.

    Parameters
    ----------
    function : callable
        At the top level of a module: the new process imports it.
    *args
        Its arguments; they are pickled.
    """
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
        return pool.submit(_call_and_look, function, args).result()


def _call_and_look(function: Callable[..., object], args: Sequence[Any]) -> float:
    function(*args)
    # Unlike getrusage's figure, this one doesn't start with the memory of the parent process.
    (line,) = [line for line in Path('/proc/self/status').read_text().splitlines()
               if line.startswith('VmHWM:')]
    return int(line.split()[1]) / 1024


def _cpu_name() -> str:
    """Return the name of the processor, or on many ARM boards of the board."""
    sources = (('/proc/cpuinfo', 'model name'), ('/proc/cpuinfo', 'Model'))
    for path, key in sources:
        for line in Path(path).read_text().splitlines():
            name, _, value = line.partition(':')
            if name.strip() == key:
                return value.strip()
    return platform.processor() or platform.machine()
