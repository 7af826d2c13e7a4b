"""The process of the node, its environment, and how it ends."""
import os

import pytest

from instseg_ros.demo import node_process
from instseg_ros.errors import UserError
from instseg_ros.installed import FAST_DDS_VARIABLES


@pytest.fixture
def environment(monkeypatch):
    """Return a function that sets the distribution where no profile is set."""
    for name in FAST_DDS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return lambda distro: monkeypatch.setenv('ROS_DISTRO', distro)


@pytest.mark.parametrize('distro, variable', [
    ('humble', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
    ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE')])
def test_the_profile_is_set_where_fast_dds_of_the_distribution_reads_it(environment, tmp_path,
                                                                        distro, variable):
    environment(distro)
    before = dict(os.environ)
    with node_process.isolated(7, tmp_path):
        assert [name for name in FAST_DDS_VARIABLES
                if name in os.environ] == [variable]
        assert os.environ['ROS_DOMAIN_ID'] == '7'
    assert dict(os.environ) == before


@pytest.mark.parametrize('variable', FAST_DDS_VARIABLES)
def test_a_profile_of_the_user_stays(environment, tmp_path, monkeypatch, variable):
    environment('kilted')
    monkeypatch.setenv(variable, 'own.xml')
    with node_process.isolated(7, tmp_path):
        assert [name for name in FAST_DDS_VARIABLES if name in os.environ] == [variable]
        assert os.environ[variable] == 'own.xml'


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Return a function that starts a process like the node, which runs the given code."""
    def start_process(code):
        (tmp_path / 'played_node.py').write_text(
            'import signal, sys\n' + code)
        monkeypatch.setenv('PYTHONPATH', str(tmp_path))
        monkeypatch.setattr(node_process, 'MODULE', 'played_node')
        return node_process.NodeProcess({}, {}, tmp_path)
    return start_process


def played(code):
    return ('print("lamp on", flush=True)\n'
            f'signal.signal(signal.SIGINT, lambda *_: sys.exit({code}))\n'
            'print("ready", flush=True)\nsignal.pause()\n')


def wait_until_ready(process):
    while 'ready' not in process.log.read_text():
        process.check()


def test_a_node_that_ends_well_is_no_error(start):
    with start(played(0)) as process:
        wait_until_ready(process)
        assert process.stop() == ''


def test_a_node_that_ends_with_another_code_is_an_error_with_its_log(start):
    with start(played(3)) as process:
        wait_until_ready(process)
        problem = process.stop()
    assert problem.startswith('the node ended with code 3; ') and '\n  lamp on' in problem


def test_a_node_that_does_not_end_is_an_error(start, monkeypatch):
    monkeypatch.setattr(node_process, 'SECONDS_TO_END', 0.2)
    code = 'signal.signal(signal.SIGINT, signal.SIG_IGN)\nprint("ready", flush=True)\n' \
           'while True:\n    signal.pause()\n'
    with start(code) as process:
        wait_until_ready(process)
        assert process.stop().startswith('the node did not end within 0.2 s')


def test_a_node_that_ends_too_early_is_noticed(start):
    with start('sys.exit(4)') as process, pytest.raises(UserError, match='by itself with code 4'):
        while True:
            process.check()
