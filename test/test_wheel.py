"""The wheel works where nothing but the package and its dependencies is installed."""
import os
import re
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from instseg_ros.media import write_image

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ('LICENSE', 'README.md', 'config', 'instseg_ros', 'launch', 'models', 'package.xml',
           'pyproject.toml', 'resource', 'setup.cfg', 'setup.py')


def run(*command, **options):
    """Run a command in a clean environment and return what it printed."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(('PYTHON', 'AMENT', 'LD_', 'PIP_'))}
    result = subprocess.run([*map(str, command)], env=environment, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """Return the wheel, built where an earlier build has left nothing."""
    folder = tmp_path_factory.mktemp('wheel')
    sources = folder / 'sources'
    sources.mkdir()
    for name in SOURCES:
        (sources / name).symlink_to(ROOT / name)
    run(sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-index',
        '--no-build-isolation', '--wheel-dir', folder, sources)
    (path,) = folder.glob('*.whl')
    return path


def required(name, seen):
    """Add an installed distribution and all that it requires, without extras, to `seen`."""
    name = re.sub(r'[-_.]+', '-', name).lower()
    if name in seen:
        return
    try:
        seen[name] = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return  # not for this platform or version
    for requirement in seen[name].requires or []:
        if 'extra ==' not in requirement:
            required(re.match(r'[\w.-]+', requirement).group(), seen)


@pytest.fixture(scope='module')
def environment(wheel, tmp_path_factory):
    """Return an environment with the wheel and links to what its metadata requires."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder)
    python = folder / 'bin' / 'python'
    (library,) = folder.glob('lib/python3.*/site-packages')
    run(sys.executable, '-m', 'pip', '--python', python, 'install', '--quiet', '--no-deps',
        '--no-index', wheel)
    found = {}
    (ours,) = metadata.distributions(path=[str(library)], name='instseg_ros')
    for requirement in ours.requires:
        if 'extra ==' not in requirement:
            required(re.match(r'[\w.-]+', requirement).group(), found)
    for item in found.values():
        for top in {file.parts[0] for file in item.files} - {'..', '__pycache__'}:
            if not (library / top).exists():
                (library / top).symlink_to(Path(item.locate_file(top)).resolve())
    return folder


def test_it_segments_a_picture_with_the_installed_model(environment, tmp_path):
    write_image(tmp_path / 'gray.png', np.full((48, 64, 3), 90, np.uint8))
    run(environment / 'bin' / 'instseg', 'segment', 'gray.png', '--out', 'out',
        '--refinement', 'nearest', cwd=tmp_path)
    assert (tmp_path / 'out' / 'semantic' / 'gray.png.png').is_file()


def test_it_brings_types_and_nothing_of_the_tests(environment):
    (library,) = environment.glob('lib/python3.*/site-packages')
    assert (library / 'instseg_ros' / 'py.typed').is_file()
    assert not list(library.glob('test*')) and not list(library.glob('benchmarks*'))


def test_a_command_that_needs_more_says_how_to_get_it(environment):
    code = 'import sys; from instseg_ros.cli import main; sys.exit(main(sys.argv[1:]))'
    result = subprocess.run(
        [environment / 'bin' / 'python', '-I', '-c', code, 'export', 'a.ckpt', '--out', 'a.onnx'],
        capture_output=True, text=True)
    assert result.returncode == 2 and '".[train]"' in result.stderr
