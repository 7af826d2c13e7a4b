"""Build an interface package, such as vision_msgs, into the virtual environment that runs this.

The virtual environment holds ROS 2 as wheels and is the ament prefix. With ROS 2 from a
distribution neither this script nor the package in interfaces/ is needed.
"""
from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

WHEEL_FOLDER = re.compile(r'/opt/python/cp\d+-cp\d+')


def repair_exports(prefix: Path) -> int:
    """Replace the folders of the machine that built the wheels in their CMake files.

    Each generated package exports the include folders of the interpreter that it was built
    with; CMake refuses to use a target whose include folders do not exist.

    Returns
    -------
    int
        Number of files that were changed.
    """
    import numpy
    changed = 0
    for path in prefix.glob('share/*/cmake/export_*__rosidl_generator_pyExport.cmake'):
        text = path.read_text()
        repaired = re.sub(WHEEL_FOLDER.pattern + r'/include/python[\d.]+',
                          sysconfig.get_path('include'), text)
        repaired = re.sub(WHEEL_FOLDER.pattern + r'/lib/python[\d.]+/site-packages/numpy/[^";]*',
                          numpy.get_include(), repaired)
        if repaired != text:
            path.write_text(repaired)
            changed += 1
    return changed


def is_installed(source: Path) -> bool:
    """Return whether Python finds a package with all messages of this one."""
    spec = importlib.util.find_spec(source.resolve().name)
    if spec is None or not spec.submodule_search_locations:
        return False
    names = Path(spec.submodule_search_locations[0], 'msg', '__init__.py')
    text = names.read_text() if names.exists() else ''
    return all(re.search(rf'\bimport {path.stem}\b', text) for path in source.glob('msg/*.msg'))


def build(source: Path, folder: Path, prefix: Path) -> None:
    """Configure, build and install the package, with all output in a log file.

    Raises
    ------
    RuntimeError
        A step failed; with the end of its output.
    """
    environment = dict(os.environ, AMENT_PREFIX_PATH=str(prefix), CMAKE_PREFIX_PATH=str(prefix))
    environment['PATH'] = f'{prefix / "bin"}{os.pathsep}{environment.get("PATH", "")}'
    jobs = str(min(8, os.cpu_count() or 1))
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / 'build.log'
    steps = (
        ['cmake', '-S', str(source), '-B', str(folder), '-DCMAKE_BUILD_TYPE=Release',
         f'-DCMAKE_INSTALL_PREFIX={prefix}', '-DBUILD_TESTING=OFF',
         f'-DPython3_EXECUTABLE={prefix / "bin" / "python"}'],
        ['cmake', '--build', str(folder), '--parallel', jobs],
        ['cmake', '--install', str(folder)])
    with open(log, 'w') as output:
        for step in steps:
            if subprocess.run(step, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                              stderr=subprocess.STDOUT).returncode:
                end = ''.join(log.read_text(errors='replace').splitlines(keepends=True)[-25:])
                raise RuntimeError(f'building {source.name} failed at "{" ".join(step[:2])}"; '
                                   f'the whole output is in {log}:\n{end}')


def main() -> int:
    """Build the package unless Python has all its messages already."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', type=Path, help='folder of the interface package')
    parser.add_argument('--build', type=Path, required=True, help='folder for what is built')
    parser.add_argument('--force', action='store_true', help='build even where it is installed')
    arguments = parser.parse_args()
    name = arguments.source.resolve().name
    if is_installed(arguments.source) and not arguments.force:
        print(f'{name}: installed already')
        return 0
    if sys.prefix == sys.base_prefix:
        print('error: run this with the Python of the virtual environment', file=sys.stderr)
        return 1
    prefix = Path(sys.prefix)
    repair_exports(prefix)
    print(f'{name}: building (about 10 s)', flush=True)
    try:
        build(arguments.source.resolve(), arguments.build.resolve(), prefix)
    except (OSError, RuntimeError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
