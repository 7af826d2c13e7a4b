"""Kernels compile and are cached wherever the process may write."""
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from instseg_ros.core import kernel_cache, trusted_folders
from instseg_ros.core.compiled import KERNELS, compiled

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
        run.stderr = result.stderr
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


def add(a, b):
    return a + b


@pytest.fixture
def declared(tmp_path, monkeypatch):
    """Return a function that declares a kernel as a new process would, and runs it.

    It returns 1 if the kernel was loaded, and 0 if it was compiled. `declared.folder` is where the
    files are by choice, `declared.home` where they are otherwise.
    """
    monkeypatch.setattr('numba.core.config.CACHE_DIR', str(tmp_path / 'chosen'))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home'))
    before = len(KERNELS)

    def declare():
        kernel_cache._may_be_used.cache_clear()
        kernel = compiled(add)
        assert kernel(1, 2) == 3
        return sum(kernel.stats.cache_hits.values())

    assert declare() == 0
    declare.folder, = (tmp_path / 'chosen').iterdir()
    declare.home = tmp_path / 'home' / 'instseg_ros'
    yield declare
    del KERNELS[before:]


@pytest.mark.parametrize('spoil', [
    lambda folder: folder.chmod(0o777),
    lambda folder: folder.parent.chmod(0o777),
    lambda folder: files(folder)[0].chmod(0o666),
    lambda folder: os.chown(folder, 12345, 12345),
    lambda folder: os.chown(files(folder)[0], 12345, 12345),
    lambda folder: folder.chmod(0o775) or os.chown(folder, -1, 12345),
], ids=['folder', 'folder_above', 'file', 'owner_of_folder', 'owner_of_file', 'group'])
def test_a_cache_that_others_can_write_to_is_neither_read_nor_written(declared, spoil, caplog):
    if os.geteuid() != 0 and 'chown' in spoil.__code__.co_names:
        pytest.skip('needs root, to give a file to another user')
    before = {path: path.read_bytes() for path in declared.folder.iterdir()}
    spoil(declared.folder)
    assert declared() == 0
    assert 'other users can write there' in caplog.text
    assert {path: path.read_bytes() for path in declared.folder.iterdir()} == before
    assert files(declared.home)
    assert declared() == 1


def test_the_users_own_group_may_write(declared, monkeypatch):
    """With the usual umask of 002, folders are writable for the private group of the user."""
    monkeypatch.setattr('os.geteuid', lambda: 4321)
    monkeypatch.setattr(trusted_folders.pwd, 'getpwuid', lambda number: SimpleNamespace(
        pw_name='robot', pw_gid=4321))
    members = []
    monkeypatch.setattr(trusted_folders.grp, 'getgrgid', lambda number: SimpleNamespace(
        gr_name='robot', gr_mem=members))
    status = SimpleNamespace(st_uid=4321, st_gid=4321, st_mode=0o40775)
    assert trusted_folders.belongs_to_user(status)
    members.append('somebody')
    assert not trusted_folders.belongs_to_user(status)


DAMAGE = {
    'empty': lambda data: b'',
    'cut': lambda data: data[:len(data) // 2],
    'zeros': lambda data: bytes(len(data)),
    'noise': lambda data: bytes(range(256)) * 4,
    'flipped': lambda data: (data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 4])
                             + data[len(data) // 2 + 1:]),
    'text': lambda data: b'no pickle\n',
}


@pytest.mark.parametrize('damage', DAMAGE)
@pytest.mark.parametrize('suffix', ['.nbi', '.nbc'])
def test_a_damaged_file_is_dropped_and_its_kernel_compiled_anew(declared, damage, suffix, caplog):
    path, = declared.folder.glob(f'*{suffix}')
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert declared() == 0
    assert 'which is compiled anew' in caplog.text
    caplog.clear()
    assert declared() == 1
    assert not caplog.text


def test_damaged_files_do_not_stop_a_start(run_kernel):
    assert run_kernel('package', 'home') == ['3', '0']
    for path in (run_kernel.package / '__pycache__').glob('*.nb?'):
        path.write_bytes(b'')
    assert run_kernel('package', 'home') == ['3', '0']
    assert 'which is compiled anew' in run_kernel.stderr
    assert run_kernel('package', 'home') == ['3', '1']


def test_a_kernel_that_can_not_be_kept_still_runs(declared, caplog):
    """A folder in the place of a file keeps out even root."""
    path, = declared.folder.glob('*.nbc')
    path.unlink()
    path.mkdir()
    assert declared() == 0
    assert 'can not be kept' in caplog.text


def test_compilation_is_watched_with_the_number_of_kernels_that_are_ready(tmp_path, monkeypatch):
    import numba

    from instseg_ros.core import compiled as module
    monkeypatch.setattr('numba.core.config.CACHE_DIR', str(tmp_path))  # else of an earlier run
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
