"""The machine that figures come from, and the memory a process takes."""
from __future__ import annotations

import importlib
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Callable, Sequence

from instseg_ros.core.parallel import thread_count

MODULES = ('numpy', 'numba', 'cv2', 'skimage', 'onnxruntime')
BUSY = 0.25
"""A machine is called busy where its load average is above this share of its cores."""


def describe_machine() -> dict[str, Any]:
    """Return what a reader of the figures wants to know of the machine, ready for JSON.

    Returns
    -------
    dict
        `cpu`, `cores` (that this process may use), `system`, `python`, `modules` (name to
        version), `load_average` over the last minute, `busy`.
    """
    load, cores = os.getloadavg()[0], thread_count(0)
    return {'cpu': _cpu_name(), 'cores': cores, 'system': platform.platform(),
            'python': platform.python_version(),
            'modules': {name: importlib.import_module(name).__version__ for name in MODULES},
            'load_average': round(load, 2), 'busy': load > BUSY * (os.cpu_count() or 1)}


def peak_memory_of(function: Callable[..., object], *args: Any) -> float:
    """Return the most memory (MiB, resident) that a fresh process takes to call a function.

    Parameters
    ----------
    function : callable
        At the top of a module: the fresh process imports it.
    *args
        Its arguments; they are pickled.
    """
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
        return pool.submit(_call_and_look, function, args).result()


def _call_and_look(function: Callable[..., object], args: Sequence[Any]) -> float:
    function(*args)
    # Unlike getrusage's figure, this one doesn't begin with what the parent process had.
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

