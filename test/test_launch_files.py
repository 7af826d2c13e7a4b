"""The launch files beside segmenter.launch.py with the real launch and launch_ros."""
import importlib.metadata
import os
import sys
from pathlib import Path

import pytest

launch = pytest.importorskip('launch', reason='needs launch')
pytest.importorskip('launch_ros.actions', reason='needs launch_ros')
ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'launch'
FORWARDED = {'model', 'provider', 'params_file', 'namespace', 'autostart', 'fastdds_profile'}
"""Arguments of segmenter.launch.py that the others forward as they are."""

PROGRAM = """\
import os, sys
print({name!r} + ':', sys.argv[1:], os.environ.get('FASTDDS_DEFAULT_PROFILES_FILE'), flush=True)
{rest}
"""


XML = """\
<launch>
  <group>
    <push-ros-namespace namespace="robot"/>
    <include file="{file}"><arg name="rear" value="/back/image"/></include>
  </group>
</launch>
"""
YAML = """\
launch:
- group:
  - push_ros_namespace: {{namespace: robot}}
  - include:
      file: {file}
      arg:
      - {{name: rear, value: /back/image}}
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put programs that print their arguments in the places of the node, ros2 and rviz2."""
    monkeypatch.setenv('ROS_DISTRO', 'kilted')
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    for package, name, rest in [
            ('instseg_ros', 'segmenter', "print('waiting for images on', '/image', flush=True)"),
            ('rviz2', 'rviz2', ''), ('', 'ros2', "print('the end')")]:
        folder = tmp_path / 'lib' / package if package else tmp_path / 'bin'
        folder.mkdir(parents=True)
        (folder / f'{name}.py').write_text(PROGRAM.format(name=name, rest=rest))
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {folder}/{name}.py "$@"\n')
        (folder / name).chmod(0o755)
        if package:
            index = tmp_path / 'share/ament_index/resource_index/packages'
            index.mkdir(parents=True, exist_ok=True)
            (index / package).touch()
            (tmp_path / 'share' / package).mkdir(parents=True)
    for name in ('config', 'launch'):
        (tmp_path / 'share/instseg_ros' / name).symlink_to(ROOT / name)
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(
        [str(tmp_path), *filter(None, [os.environ.get('AMENT_PREFIX_PATH')])]))
    monkeypatch.setenv('PATH', f'{tmp_path}/bin{os.pathsep}{os.environ["PATH"]}')


def run(description, until):
    """Launch until all of these words were printed or all processes ended; return the output."""
    printed = []

    def watch(event):
        printed.append(event.text.decode())
        if all(words in ''.join(printed) for words in until):
            return launch.actions.EmitEvent(event=launch.events.Shutdown())
        return None

    service = launch.LaunchService()
    service.include_launch_description(launch.LaunchDescription([
        launch.actions.RegisterEventHandler(launch.event_handlers.OnProcessIO(
            on_stdout=watch, on_stderr=watch)), description]))
    service.run()
    return ''.join(printed)


def include(name, **arguments):
    return launch.actions.IncludeLaunchDescription(
        launch.launch_description_sources.AnyLaunchDescriptionSource(str(FOLDER / name)),
        launch_arguments=arguments.items())


@pytest.mark.parametrize('name, own', [
    ('cameras.launch.py', {'front', 'rear', 'front_depth', 'rear_depth', 'front_camera_info',
                           'rear_camera_info'}),
    ('replay.launch.py', {'bag', 'rate', 'loop', 'rviz'})])
@pytest.mark.usefixtures('programs')
def test_the_arguments_are_listed_with_those_of_the_segmenter(name, own):
    source = launch.launch_description_sources.PythonLaunchDescriptionSource(str(FOLDER / name))
    description = source.get_launch_description(launch.LaunchContext())
    arguments = description.get_launch_arguments()
    assert {argument.name for argument in arguments} >= own | FORWARDED
    assert all(argument.description for argument in arguments)


@pytest.mark.usefixtures('programs')
def test_two_cameras_share_a_node_in_the_namespace_of_the_robot():
    text = run(include('cameras.launch.py', namespace='robot', rear='/back/image',
                       provider='cpu'), ['waiting'])
    assert '__ns:=/robot' in text
    assert 'front/image:=front_camera/image_raw' in text and 'rear/image:=/back/image' in text


@pytest.mark.usefixtures('programs')
def test_each_of_two_cameras_has_its_own_depth_or_none():
    text = run(include('cameras.launch.py', rear_depth='/back/depth',
                       rear_camera_info='/back/info'), ['waiting'])
    assert 'rear/depth:=/back/depth' in text and 'rear/camera_info:=/back/info' in text
    assert 'front/depth' not in text
    assert 'front/camera_info:=front_camera/camera_info' in text


@pytest.mark.usefixtures('programs')
@pytest.mark.parametrize('depth, message', [
    ('/depth', "depth: expected NAME=TOPIC for each camera, got '/depth'"),
    ('side=/depth', 'depth: expected cameras of the argument "cameras" (front), got \'side\'')])
def test_depth_that_belongs_to_no_camera_is_refused(depth, message, caplog):
    assert run(include('segmenter.launch.py', cameras='front=/front/image', depth=depth),
               ['waiting']) == ''
    assert message in caplog.text


@pytest.mark.usefixtures('programs')
@pytest.mark.parametrize('text', ['front', '=topic', 'front='])
def test_a_camera_without_name_or_topic_is_refused(text, caplog):
    assert run(include('segmenter.launch.py', cameras=text), ['waiting']) == ''
    assert f'cameras: expected NAME=TOPIC for each camera, got {text!r}' in caplog.text


@pytest.mark.usefixtures('programs')
def test_a_replay_plays_the_bag_to_the_node_and_rviz_in_the_time_of_the_recording():
    text = run(include('replay.launch.py', bag='drive.mcap', loop='true', rate='0.5',
                       image='/front/image_raw'), ['the end', "'rviz2'"])
    assert "['bag', 'play', 'drive.mcap', '--clock', '--rate', '0.5', '--loop']" in text
    assert '/camera/image_raw:=/front/image_raw' in text and 'instseg.rviz' in text
    assert text.count('config/fastdds.xml') == 3  # for the node, the player and rviz
    assert text.index('waiting for images') < text.index("['bag'")


@pytest.mark.usefixtures('programs')
def test_a_replay_needs_no_rviz(caplog):
    text = run(include('replay.launch.py', bag='drive', rviz='false'), ['the end'])
    assert "['bag', 'play', 'drive', '--clock', '--rate', '1.0']" in text and 'rviz2' not in text


@pytest.mark.usefixtures('programs')
@pytest.mark.parametrize('suffix, module, content', [
    ('xml', 'launch_xml', XML), ('yaml', 'launch_yaml', YAML)])
def test_launch_files_in_xml_and_yaml_include_them(tmp_path, suffix, module, content):
    pytest.importorskip(module, reason=f'needs {module}')
    parsers = {entry.name for entry in importlib.metadata.entry_points(
        group='launch.frontend.parser')}
    if suffix not in parsers:
        pytest.skip(f'needs an installed {module}')
    path = tmp_path / f'robot.launch.{suffix}'
    path.write_text(content.format(file=FOLDER / 'cameras.launch.py'))
    sources = importlib.import_module(f'{module}.launch_description_sources')
    source = getattr(sources, f'{suffix.upper()}LaunchDescriptionSource')(str(path))
    text = run(launch.actions.IncludeLaunchDescription(source), ['waiting'])
    assert '__ns:=/robot' in text and 'rear/image:=/back/image' in text
