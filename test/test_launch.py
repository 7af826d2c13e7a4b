"""The launch file with the real launch and launch_ros, where they are."""
import importlib.util
import os
from pathlib import Path

import pytest

launch = pytest.importorskip('launch', reason='needs launch')
pytest.importorskip('launch_ros', reason='needs launch_ros')
PATH = Path(__file__).resolve().parents[1] / 'launch' / 'segmenter.launch.py'
ARGUMENTS = {'image', 'model', 'provider', 'params_file', 'namespace', 'autostart',
             'use_sim_time', 'fastdds_profile'}


def load():
    spec = importlib.util.spec_from_file_location('segmenter_launch', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_declares_its_arguments_with_a_description():
    arguments = load().generate_launch_description().get_launch_arguments()
    assert {argument.name for argument in arguments} == ARGUMENTS
    assert all(argument.description for argument in arguments)


@pytest.mark.parametrize('distro, variable', [
    ('humble', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
    ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE')])
def test_the_profile_is_set_where_fast_dds_of_the_distribution_reads_it(monkeypatch, distro,
                                                                        variable):
    monkeypatch.setenv('ROS_DISTRO', distro)
    entities = load().generate_launch_description().entities
    names = [launch.utilities.perform_substitutions(launch.LaunchContext(), entity.name)
             for entity in entities if isinstance(entity, launch.actions.SetEnvironmentVariable)]
    assert names == [variable]


@pytest.fixture
def installed():
    packages = pytest.importorskip('ament_index_python.packages')
    try:
        prefix = Path(packages.get_package_prefix('instseg_ros'))
    except packages.PackageNotFoundError:
        prefix = Path()
    if not (prefix / 'lib' / 'instseg_ros' / 'segmenter').is_file():
        pytest.skip('needs instseg_ros installed by colcon')


def test_it_starts_the_node_and_arguments_win_over_the_file(installed, tiny_model, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    printed = []

    def watch(event):
        printed.append(event.text.decode())
        if 'waiting for images' in ''.join(printed):
            return launch.actions.EmitEvent(event=launch.events.Shutdown())
        return None

    service = launch.LaunchService()
    service.include_launch_description(launch.LaunchDescription([
        launch.actions.SetLaunchConfiguration('model', str(tiny_model)),
        launch.actions.SetLaunchConfiguration('image', '/camera/image_raw'),
        launch.actions.SetLaunchConfiguration('namespace', 'front'),
        launch.actions.RegisterEventHandler(launch.event_handlers.OnProcessIO(
            on_stdout=watch, on_stderr=watch)),
        launch.actions.RegisterEventHandler(launch.event_handlers.OnProcessExit(
            on_exit=lambda event, context: printed.append(f'exit code {event.returncode}'))),
        launch.actions.IncludeLaunchDescription(
            launch.launch_description_sources.PythonLaunchDescriptionSource(str(PATH)))]))
    service.run()
    text = ''.join(printed)
    assert str(tiny_model) in text
    assert 'front.segmenter' in text and 'waiting for images on /camera/image_raw' in text
    assert text.endswith('exit code 0')
