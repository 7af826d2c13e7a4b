"""What the set-up says and does on machines that lack something."""
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / 'scripts'
TOOLS = ('bash', 'env', 'uname', 'git')


@pytest.fixture
def machine(tmp_path):
    """Return a function that checks a machine which has only the named programs."""
    def check(*programs, python=sys.executable):
        for program in (*TOOLS, *programs):
            if shutil.which(program) is None:
                pytest.skip(f'needs {program}')
            (tmp_path / program).symlink_to(shutil.which(program))
        return subprocess.run(['bash', str(SCRIPTS / 'check_machine.sh'), python], text=True,
                              env={'PATH': str(tmp_path)}, capture_output=True)
    return check


def test_a_machine_without_a_compiler_is_told_what_to_install(machine):
    result = machine()
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.endswith('g++') and 'sudo apt-get install' in line


def test_a_machine_without_python_is_told_what_to_install(machine):
    result = machine('g++', python='python9')
    assert result.returncode == 1
    assert 'sudo apt-get install python3 python3-venv python3-dev' in result.stderr


def test_a_machine_that_has_all_is_told_nothing(machine):
    result = machine('g++')
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')


@pytest.fixture
def build_interfaces():
    spec = importlib.util.spec_from_file_location('build_interfaces',
                                                  SCRIPTS / 'build_interfaces.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_exports_name_this_interpreter_instead_of_the_one_of_the_wheels(build_interfaces,
                                                                        tmp_path):
    np = pytest.importorskip('numpy')
    export = tmp_path / 'share/std_msgs/cmake/export_std_msgs__rosidl_generator_pyExport.cmake'
    export.parent.mkdir(parents=True)
    export.write_text('INCLUDES "/opt/python/cp311-cp311/include/python3.11;/opt/python/cp311-'
                      'cp311/lib/python3.11/site-packages/numpy/_core/include"\n')
    assert build_interfaces.repair_exports(tmp_path) == 1
    include, arrays = export.read_text().split('"')[1].split(';')
    assert Path(include, 'Python.h').is_file()
    assert arrays == np.get_include()
    assert build_interfaces.repair_exports(tmp_path) == 0


def test_a_failing_build_shows_the_end_of_its_log(build_interfaces, tmp_path):
    if shutil.which('cmake') is None:
        pytest.skip('needs cmake')
    (tmp_path / 'CMakeLists.txt').write_text('message(FATAL_ERROR "no such luck")\n')
    with pytest.raises(RuntimeError, match='no such luck'):
        build_interfaces.build(tmp_path, tmp_path / 'build', Path(sys.prefix))
