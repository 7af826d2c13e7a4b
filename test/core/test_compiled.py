"""Kernels compile and are cached wherever the process may write."""
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

KERNEL = textwrap.dedent("""
    from instseg_ros.core.compiled import compiled

    @compiled
    def add(a, b):
        return a + b

    print(add(1, 2), sum(add.stats.cache_hits.values()))
""")


@pytest.fixture
def run_kernel(tmp_path):
    """Return a function that runs the kernel in a process with the given writable places."""
    package, home, temporary = tmp_path / 'package', tmp_path / 'home', tmp_path / 'temporary'
    for folder in (package, home, temporary):
        folder.mkdir()
    script = package / 'kernel.py'
    script.write_text(KERNEL)

    def run(*writable):
        # A file where a folder is needed keeps out even root, whom permissions don't bind.
        if 'package' not in writable:
            (package / '__pycache__').write_text('')
        if 'home' not in writable:
            (home / '.cache').write_text('')
        environment = {key: value for key, value in os.environ.items()
                       if key not in ('XDG_CACHE_HOME', 'NUMBA_CACHE_DIR')}
        environment.update(HOME=str(home), PYTHONPATH=str(ROOT), TMPDIR=str(temporary))
        result = subprocess.run([sys.executable, str(script)], env=environment, text=True,
                                capture_output=True, timeout=120)
        assert result.returncode == 0, result.stderr
        return result.stdout.split()

    run.package, run.home, run.temporary = package, home, temporary
    return run


def files(folder):
    return list(folder.rglob('*.nbi'))


def test_cache_lies_beside_the_module(run_kernel):
    assert run_kernel('package', 'home') == ['3', '0']
    assert files(run_kernel.package) and not files(run_kernel.temporary)
    assert run_kernel('package', 'home') == ['3', '1']


def test_read_only_package_and_home_use_a_private_folder(run_kernel):
    assert run_kernel() == ['3', '0']
    folder, = run_kernel.temporary.glob('instseg_ros-*')
    assert files(folder) and folder.stat().st_mode & 0o777 == 0o700
    assert run_kernel() == ['3', '1']


def test_a_folder_others_can_write_to_is_not_trusted(run_kernel):
    folder = run_kernel.temporary / f'instseg_ros-{os.getuid()}'
    folder.mkdir()
    folder.chmod(0o777)
    assert run_kernel() == ['3', '0']
    assert not files(folder)


def test_compilation_is_watched_with_the_number_of_kernels_that_are_ready(tmp_path, monkeypatch):
    import numba

    from instseg_ros.core import compiled as module
    monkeypatch.setattr(module.numba_config, 'CACHE_DIR', str(tmp_path))  # else of an earlier run
    seen, before = [], len(module.KERNELS)

    def inner(x):
        return x + 1

    def outer(x):
        return kernel(x) * 2

    try:
        kernel = module.compiled(inner)
        outer_kernel = module.compiled(outer)
        foreign = numba.njit(lambda x: x - 1)
        ready = sum(bool(other.signatures) for other in module.KERNELS)
        with module.watch_compilation(lambda *report: seen.append(report)):
            assert outer_kernel(3) == 8
            assert (outer_kernel(4), kernel(5), foreign(6)) == (10, 6, 5)
        assert outer_kernel(2.5) == 7  # compiled for another type, but not watched
        total = before + 2
        assert seen == [('outer', ready, total), ('inner', ready, total)]
    finally:
        del module.KERNELS[before:]
