"""The environment of the demo's two processes."""
import os

import pytest

transport = pytest.importorskip('instseg_ros.demo.transport', reason='needs ROS 2')


@pytest.fixture
def environment(monkeypatch):
    """Return a function that sets the distribution where no profile is set."""
    for name in transport.PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return lambda distro: monkeypatch.setenv('ROS_DISTRO', distro)


@pytest.mark.parametrize('distro, variable', [
    ('humble', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
    ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE')])
def test_the_profile_is_set_where_fast_dds_of_the_distribution_reads_it(environment, tmp_path,
                                                                        distro, variable):
    environment(distro)
    before = dict(os.environ)
    with transport.isolated(7, tmp_path):
        assert {name for name in transport.PROFILE_VARIABLES if name in os.environ} == {variable}
        assert os.environ['ROS_DOMAIN_ID'] == '7'
    assert dict(os.environ) == before


@pytest.mark.parametrize('variable', transport.PROFILE_VARIABLES)
def test_a_profile_of_the_user_stays(environment, tmp_path, monkeypatch, variable):
    environment('kilted')
    monkeypatch.setenv(variable, 'own.xml')
    with transport.isolated(7, tmp_path):
        assert [os.environ.get(name) for name in transport.PROFILE_VARIABLES].count(None) == 1
        assert os.environ[variable] == 'own.xml'
