"""The executable in a process of its own: how it ends."""
import os
import signal
import subprocess
import sys

import pytest

TIMEOUT = pytest.importorskip('node_tools').TIMEOUT


@pytest.mark.parametrize('numbers', [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 2])
def test_a_signal_while_images_come_ends_it_with_code_0(graph, start, tiny_model, make_image,
                                                        numbers):
    process = start(f'model:={tiny_model}', 'autostart:=true', 'image_reliability:=reliable')
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    image = make_image()
    # The first ones may come before both processes know all of each other.
    graph.spin_until(lambda: camera.publish(image) or results, 'a result')
    for _ in range(30):
        camera.publish(image)
    code, output = process.end(*numbers)
    assert code == 0, output
    assert 'Traceback' not in output


def run_main(code, *arguments, **environment):
    """Run a script and then the executable in one process."""
    return subprocess.run(
        [sys.executable, '-c', f'import sys\n{code}\nfrom instseg_ros.node.main import main\n'
         'sys.exit(main())', *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env={**os.environ, **environment}, timeout=TIMEOUT)


@pytest.mark.parametrize('given', [{}, {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}])
def test_fast_dds_has_room_for_large_images_unless_the_user_has_chosen(rclpy, given):
    """Also without a launch file."""
    if not rclpy.utilities.get_rmw_implementation_identifier().startswith('rmw_fastrtps'):
        pytest.skip('needs Fast DDS')
    result = run_main("""
import os, rclpy
rclpy.spin = lambda *args: print(os.environ.get('FASTDDS_DEFAULT_PROFILES_FILE'))
""", ROS_DISTRO='', FASTDDS_DEFAULT_PROFILES_FILE='', FASTRTPS_DEFAULT_PROFILES_FILE='', **given)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().rpartition('/')[2] == ('' if given else 'fastdds.xml')
    assert ('to give Fast DDS room for large images' in result.stderr) == (not given)


@pytest.mark.parametrize('error, is_ours', [
    ('ValueError("the lamp is off")', True), ('RuntimeError("the lamp is off")', True),
    ('rclpy.executors.ExternalShutdownException()', False),
    ('rclpy.impl.implementation_singleton.rclpy_implementation.RCLError("gone")', False)])
def test_only_the_end_of_the_context_excuses_an_exception(rclpy, error, is_ours):
    result = run_main(f"""
import rclpy, rclpy.executors, rclpy.impl.implementation_singleton

def spin(*args):
    rclpy.shutdown()
    raise {error}

rclpy.spin = spin
""")
    assert (result.returncode != 0) == is_ours, result.stderr
    assert ('the lamp is off' in result.stderr) == is_ours


def test_a_mistake_that_no_user_can_fix_is_not_dressed_up(rclpy):
    result = run_main("""
from instseg_ros.node.segmenter_node import SegmenterNode

def break_down(node):
    raise KeyError('lamp')

SegmenterNode.start = break_down
""", '--ros-args', '-p', 'autostart:=true')
    assert result.returncode == 1
    assert 'Traceback' in result.stderr and 'KeyError' in result.stderr


def test_a_signal_before_it_is_configured_ends_it_as_well(graph, start):
    process = start()
    diagnostics = graph.diagnostics()
    graph.spin_until(lambda: diagnostics)
    assert diagnostics[-1].status[0].message.startswith('unconfigured')
    code, output = process.end(signal.SIGINT)
    assert code == 0, output
    assert 'Traceback' not in output


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_is_as_good(number):
    code = f"""
import os, sys

class Signal:
    def find_spec(self, name, path=None, target=None):
        if name == 'rclpy':
            os.kill(os.getpid(), {int(number)})

sys.meta_path.insert(0, Signal())
from instseg_ros.node.main import main
sys.exit(main())
"""
    result = subprocess.run([sys.executable, '-c', code], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')


def test_a_signal_that_an_import_would_swallow_ends_it_all_the_same(rclpy):
    result = run_main(f"""
import os

class Signal:
    def find_spec(self, name, path=None, target=None):
        if name == 'rclpy':
            try:
                os.kill(os.getpid(), {int(signal.SIGINT)})
            except KeyboardInterrupt:
                pass

sys.meta_path.insert(0, Signal())
""")
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')


def test_a_signal_that_the_compiler_swallows_ends_the_compilation(rclpy, tiny_model, tmp_path):
    """The cache is empty; the signal comes with the third kernel."""
    result = run_main(f"""
import os
from numba.core import event

class Signal(event.Listener):
    def on_start(self, event):
        global kernels
        kernels += event.data['dispatcher'].__module__.startswith('instseg_ros')
        if kernels == 3:
            try:
                os.kill(os.getpid(), {int(signal.SIGINT)})
            except KeyboardInterrupt:
                pass

    def on_end(self, event):
        pass

kernels = 0
event.register('numba:compile', Signal())
""", '--ros-args', '-p', 'autostart:=true', '-p', f'model:={tiny_model}',
                      NUMBA_CACHE_DIR=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert 'Traceback' not in result.stderr
    assert 2 <= result.stderr.count('compiling kernels') <= 4


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_ends_changes_nothing(rclpy, number):
    code = f"""
import os, sys
import rclpy
from instseg_ros.node.main import main
from instseg_ros.node.segmenter_node import SegmenterNode

def send_signal(*args):
    os.kill(os.getpid(), {int(number)})

def destroy_node(node, destroy_node=SegmenterNode.destroy_node):
    send_signal(node)
    destroy_node(node)
    print('destroyed')

rclpy.spin, SegmenterNode.destroy_node = send_signal, destroy_node
sys.exit(main())
"""
    result = subprocess.run([sys.executable, '-c', code], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, 'destroyed\n')
    assert 'Traceback' not in result.stderr


def test_a_wrong_parameter_is_one_sentence_and_code_1(start):
    code, output = start('image_reliability:=maybe').end()
    assert code == 1
    assert 'segmenter: error: image_reliability: expected one of' in output
    assert 'Traceback' not in output


@pytest.mark.parametrize('parameter', ['image_depth:=0', 'grouping.center_threshold:=high'])
def test_a_value_of_the_wrong_type_or_range_is_one_sentence_too(rclpy, parameter, capsys):
    from instseg_ros.node.main import run
    assert run(['segmenter', '--ros-args', '-p', parameter]) == 1
    error = capsys.readouterr().err
    assert error.startswith('segmenter: error: ')
    assert parameter.partition(':')[0] in error


@pytest.mark.parametrize('arguments', [['--params-file', '/no/such/file.yaml'],
                                       ['-r', 'image:=//twice'], ['-p', 'model:=[half']])
def test_arguments_that_ros_cannot_read_are_one_sentence_too(rclpy, arguments, capsys):
    from instseg_ros.node.main import run
    assert run(['segmenter', '--ros-args', *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith('segmenter: error: ')
    assert ' '.join(arguments) in error


@pytest.mark.parametrize('content, words', [
    ('camera: {ros__parameters: {model: x}}',
     'expected parameters of /segmenter, found only those of /camera'),
    ('segmenter: {ros__parameters: {grouping: {centre_threshold: 0.5}}}',
     'has no parameter grouping.centre_threshold; did you mean grouping.center_threshold?'),
    ('segmenter: {ros__parameters: {lamp: on}}', 'has no parameter lamp; it has autostart, '),
])
def test_a_parameter_file_that_has_no_effect_is_one_sentence_too(rclpy, tmp_path, capsys, content,
                                                                 words):
    from instseg_ros.node.main import run
    path = tmp_path / 'parameters.yaml'
    path.write_text(content)
    assert run(['segmenter', '--ros-args', '--params-file', str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f'segmenter: error: {path}: ')
    assert words in error


def test_a_misspelt_parameter_of_the_command_line_is_one_sentence_too(rclpy, capsys):
    from instseg_ros.node.main import run
    assert run(['segmenter', '--ros-args', '-p', 'image_dept:=3']) == 1
    assert 'did you mean image_depth?' in capsys.readouterr().err


def test_without_keys_an_enforced_security_is_an_error(rclpy, tmp_path):
    """The node never starts without the security that it should have."""
    (tmp_path / 'enclaves' / 'segmenter').mkdir(parents=True)
    result = run_main('', '--ros-args', '--enclave', '/segmenter',
                      ROS_SECURITY_KEYSTORE=str(tmp_path), ROS_SECURITY_ENABLE='true',
                      ROS_SECURITY_STRATEGY='Enforce')
    assert result.returncode == 1
    assert 'segmenter: error:' in result.stderr and 'Traceback' not in result.stderr
