"""Damaged files of compiled kernels: dropped, and the kernel is compiled anew."""
from mutations import byte_steps, damaged
from numba.core import config as numba_config

from instseg_ros.core.compiled import KERNELS, compiled


def add(a, b):
    return a + b


QUICK = 6

KEPT = {}
"""The sound files by name, as they are written once for all cases of a process."""


def steps(rng):
    return [[rng.choice(('.nbi', '.nbc')), *step] for step in byte_steps(rng, most=3)]


def result_of(folder):
    """Declare the kernel as a new process would, and run it."""
    before = numba_config.CACHE_DIR, len(KERNELS)
    numba_config.CACHE_DIR = str(folder)
    try:
        kernel = compiled(add)
        return kernel(20, 22)
    finally:
        numba_config.CACHE_DIR = before[0]
        del KERNELS[before[1]:]


def write(steps, folder):
    if not KEPT:
        assert result_of(folder) == 42
        KEPT.update((path.relative_to(folder), path.read_bytes())
                    for path in folder.rglob('*.nb?'))
    for name, data in KEPT.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damaged(data, [step[1:] for step in steps if step[0] == path.suffix]))
    return folder


def check(path):
    assert result_of(path) == 42
