"""The launch file with the real launch and launch_ros, where they are."""
import importlib.util
import os
import sys
from pathlib import Path

import pytest

launch = pytest.importorskip('launch', reason='needs launch')
pytest.importorskip('launch_ros', reason='needs launch_ros')
yaml = pytest.importorskip('yaml')
ROOT = Path(__file__).resolve().parents[1]
PATH = ROOT / 'launch' / 'segmenter.launch.py'
ARGUMENTS = {'image', 'cameras', 'depth', 'camera_info', 'model', 'provider', 'params_file',
             'image_transport', 'namespace', 'enclave', 'autostart', 'use_sim_time',
             'fastdds_profile'}


def load():
    spec = importlib.util.spec_from_file_location('segmenter_launch', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_declares_its_arguments_with_a_description():
    arguments = load().generate_launch_description().get_launch_arguments()
    assert {argument.name for argument in arguments} == ARGUMENTS
    assert all(argument.description for argument in arguments)


@pytest.mark.parametrize('distro, given, variable', [
    ('humble', 'true', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
    ('jazzy', 'true', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
    ('kilted', 'true', 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ('kilted', 'false', 'FASTDDS_BUILTIN_TRANSPORTS')])
def test_the_transports_are_set_where_fast_dds_of_the_distribution_reads_them(
        monkeypatch, distro, given, variable):
    monkeypatch.setenv('ROS_DISTRO', distro)
    context = launch.LaunchContext()
    context.launch_configurations['fastdds_profile'] = given
    names = [launch.utilities.perform_substitutions(context, entity.name)
             for entity in load().generate_launch_description().entities
             if isinstance(entity, launch.actions.SetEnvironmentVariable)
             and entity.condition.evaluate(context)]
    assert names == [variable]


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """Return a folder in which the package is installed as ROS 2 tools look for it."""
    (tmp_path / 'share/ament_index/resource_index/packages').mkdir(parents=True)
    (tmp_path / 'share/ament_index/resource_index/packages/instseg_ros').touch()
    (tmp_path / 'share/instseg_ros').mkdir()
    (tmp_path / 'share/instseg_ros/config').symlink_to(ROOT / 'config')
    executable = tmp_path / 'lib/instseg_ros/segmenter'
    executable.parent.mkdir(parents=True)
    executable.write_text(f'#!/bin/sh\nexec {sys.executable} -m instseg_ros.node.main "$@"\n')
    executable.chmod(0o755)
    paths = [str(tmp_path), *filter(None, [os.environ.get('AMENT_PREFIX_PATH')])]
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(paths))
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get('PYTHONPATH')])))
    return tmp_path


def run_launch(words, *entities, **arguments):
    """Launch, interrupt once all processes together have printed `words`, and return the output.

    The output ends with the exit code of the node.
    """
    printed = []

    def watch(event):
        printed.append(event.text.decode())
        if words in ''.join(printed):
            return launch.actions.EmitEvent(event=launch.events.Shutdown())
        return None

    service = launch.LaunchService()
    service.include_launch_description(launch.LaunchDescription([
        *entities,
        launch.actions.RegisterEventHandler(launch.event_handlers.OnProcessIO(
            on_stdout=watch, on_stderr=watch)),
        launch.actions.RegisterEventHandler(launch.event_handlers.OnProcessExit(
            on_exit=lambda event, context: printed.append(f'exit code {event.returncode}'))),
        launch.actions.IncludeLaunchDescription(
            launch.launch_description_sources.PythonLaunchDescriptionSource(str(PATH)),
            launch_arguments=arguments.items())]))
    code = service.run()
    return code, ''.join(printed)


@pytest.fixture
def on_this_machine(ros_domain, monkeypatch):
    pytest.importorskip('rclpy', reason='needs ROS 2')
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain))


@pytest.mark.usefixtures('prefix', 'on_this_machine')
def test_the_enclave_reaches_the_node(tmp_path, monkeypatch):
    (tmp_path / 'keystore' / 'enclaves' / 'arm').mkdir(parents=True)
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', str(tmp_path / 'keystore'))
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    monkeypatch.setenv('ROS_SECURITY_STRATEGY', 'Enforce')
    _, text = run_launch('segmenter: error', enclave='/arm')
    assert 'enclaves/arm' in text


@pytest.mark.usefixtures('prefix', 'on_this_machine')
def test_it_starts_the_node_and_arguments_win_over_the_file(tiny_model):
    _, text = run_launch('waiting for images', model=str(tiny_model), image='/camera/image_raw',
                         namespace='front', depth='/camera/depth', camera_info='info')
    assert str(tiny_model) in text
    assert 'waiting for depth on /camera/depth and calibration on /front/info' in text
    assert 'front.segmenter' in text and 'waiting for images on /camera/image_raw' in text
    assert text.endswith('exit code 0')


@pytest.mark.usefixtures('prefix', 'on_this_machine')
def test_it_starts_the_node_with_depth_for_those_cameras_that_have_it(tiny_model):
    _, text = run_launch('on /side/image', model=str(tiny_model), namespace='robot',
                         cameras='front=front_camera/image, rear=/rear/image, side=/side/image',
                         depth='front=front_camera/depth,rear=/rear/depth',
                         camera_info='rear=/rear/info')
    assert ('waiting for depth on /robot/front_camera/depth and calibration on '
            '/robot/front/camera_info') in text
    assert 'waiting for depth on /rear/depth and calibration on /rear/info' in text
    assert text.count('waiting for depth') == 2
    assert text.endswith('exit code 0')


@pytest.fixture
def start(prefix, tmp_path):
    """Return a function that launches with a parameter file, and returns what the node gets.

    The executable is replaced by one that leaves its arguments, which rclpy then reads.
    """
    rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
    arguments = tmp_path / 'arguments'
    executable = prefix / 'lib/instseg_ros/segmenter'
    executable.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {arguments}\n')

    def run(content, *names, **given):
        path = tmp_path / 'given.yaml'
        path.write_text(yaml.safe_dump(content))
        run_launch('', params_file=str(path), **given)
        context = rclpy.context.Context()
        rclpy.init(context=context, args=arguments.read_text().splitlines())
        try:
            node = rclpy.create_node('any', context=context)
            assert node.get_name() == 'segmenter'
            for name in names:
                if not node.has_parameter(name):
                    node.declare_parameter(name, 'default', dynamic_typing())
            values = {name: node.get_parameter(name).value for name in names}
            node.destroy_node()
            return values
        finally:
            context.try_shutdown()
    return run


def dynamic_typing():
    from rcl_interfaces.msg import ParameterDescriptor
    return ParameterDescriptor(dynamic_typing=True)


SECTIONS = ('/**', 'segmenter', '/segmenter', '/**/segmenter')


@pytest.mark.usefixtures('on_this_machine')
@pytest.mark.parametrize('section', SECTIONS)
@pytest.mark.parametrize('written, given, expected', [
    ({'autostart': False, 'use_sim_time': True}, {}, {'autostart': False, 'use_sim_time': True}),
    ({'autostart': True}, {}, {'autostart': True, 'use_sim_time': False}),
    ({'model': 'a.onnx'}, {}, {'autostart': True, 'use_sim_time': False, 'model': 'a.onnx'}),
    ({'autostart': False, 'use_sim_time': True, 'model': 'a.onnx'},
     {'autostart': 'true', 'use_sim_time': 'false', 'model': 'b.onnx', 'provider': 'cpu',
      'image_transport': 'compressed'},
     {'autostart': True, 'use_sim_time': False, 'model': 'b.onnx', 'network.provider': 'cpu',
      'image_transport': 'compressed'}),
])
def test_the_file_keeps_what_no_argument_replaces(start, section, written, given, expected):
    assert start({section: {'ros__parameters': written}}, *expected, **given) == expected


@pytest.mark.usefixtures('on_this_machine')
def test_autostart_of_another_node_is_not_taken_for_ours(start):
    content = {'lifecycle_manager': {'ros__parameters': {'autostart': False}},
               '/**': {'ros__parameters': {'model': 'a.onnx'}}}
    assert start(content, 'autostart', 'model') == {'autostart': True, 'model': 'a.onnx'}


@pytest.mark.parametrize('outer, namespace, name', [
    ('', '', '/segmenter'), ('', 'front', '/front/segmenter'), ('/robot', '', '/robot/segmenter'),
    ('/robot', 'front', '/robot/front/segmenter'), ('/robot', '/front', '/front/segmenter')])
def test_the_full_name_of_the_node_is_that_of_launch_ros(outer, namespace, name):
    context = launch.LaunchContext()
    context.launch_configurations['ros_namespace'] = outer
    assert load().full_name(context, namespace) == name


@pytest.mark.usefixtures('prefix', 'on_this_machine')
def test_a_parameter_file_that_is_not_there_ends_the_launch(tmp_path, caplog):
    code, text = run_launch('configured', params_file=str(tmp_path / 'gone.yaml'))
    assert code != 0 and text == ''
    assert 'gone.yaml: expected a parameter file, but there is no such file' in caplog.text


@pytest.mark.usefixtures('prefix', 'on_this_machine')
def test_a_parameter_file_for_another_node_ends_the_node(tmp_path):
    path = tmp_path / 'given.yaml'
    path.write_text('camera: {ros__parameters: {model: x}}')
    _, text = run_launch('configured', params_file=str(path))
    assert 'expected parameters of /segmenter, found only those of /camera' in text
    assert text.endswith('exit code 1')


@pytest.mark.usefixtures('on_this_machine')
def test_the_enclave_is_given_to_the_node(start, tmp_path):
    start({'/**': {'ros__parameters': {'autostart': False}}}, enclave='/robot/segmenter')
    given = (tmp_path / 'arguments').read_text().splitlines()
    assert given[given.index('--enclave') + 1] == '/robot/segmenter'
    assert given.index('--ros-args') < given.index('--enclave')
