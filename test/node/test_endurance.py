"""The node over time: the same things often, and an end at any time.

The counts are small here; INSTSEG_ENDURANCE=10, for example, multiplies them.
"""
import ctypes
import gc
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from instseg_ros.installed import fast_dds_settings

pytest.importorskip('tiny_models', reason='needs onnx')
TIMEOUT = pytest.importorskip('node_tools').TIMEOUT
CAMERA = Path(__file__).with_name('camera_process.py')
FACTOR = int(os.environ.get('INSTSEG_ENDURANCE', '1'))

CAMERA_PATIENCE = 45.0
"""Seconds without a result after which the camera is started anew, as the documentation says."""

CHANGES = 100 * FACTOR
CYCLES = 10 * FACTOR
KILLS = 2 * FACTOR
SETTLED = 3  # cycles after which nothing should grow


class Usage(NamedTuple):
    """What this process has.

    Attributes
    ----------
    heap : float
        MiB that are in use of what C libraries allocated.
    objects : int
        Allocated blocks of Python.
    references : int
        Entities in the callback group of the node.
    threads, files : int
    resident : float
        MiB in RAM.
    """

    heap: float
    objects: int
    references: int
    threads: int
    files: int
    resident: float


GROWTH = Usage(heap=0.5, objects=5000, references=0, threads=0, files=0, resident=4.0)
"""What may be added by all cycles together: caches and the allocator's arenas fill a little."""


class Mallinfo2(ctypes.Structure):
    """The structure of malloc.h."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        'arena', 'ordblks', 'smblks', 'hblks', 'hblkhd', 'usmblks', 'fsmblks', 'uordblks',
        'fordblks', 'keepcost')]


def usage(node):
    """Return what this process has at this time, without what waits to be collected."""
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Mallinfo2
    info = libc.mallinfo2()
    with open('/proc/self/statm') as file:
        pages = int(file.read().split()[1])
    threads, files = (len(os.listdir(f'/proc/self/{name}')) for name in ('task', 'fd'))
    return Usage(heap=(info.uordblks + info.hblkhd) / 2 ** 20, objects=sys.getallocatedblocks(),
                 references=len(node.default_callback_group.entities), threads=threads,
                 files=files, resident=pages * os.sysconf('SC_PAGE_SIZE') / 2 ** 20)


def has_mallinfo2():
    """Return whether the C library is glibc 2.33 or later, on Linux."""
    return os.path.isdir('/proc/self/task') and hasattr(ctypes.CDLL(None), 'mallinfo2')


def test_parameters_change_often_under_load(graph, tiny_model, make_image, record_property):
    """Images come ten times as often as parameters change; some changes are refused."""
    node = graph.start('configure', 'activate', model=str(tiny_model), image_depth=5)
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    values = {'grouping.center_threshold': [0.7, 0.9, 0.5], 'max_rate': [0.0, 500.0],
              'refinement.method': ['nearest', 'bilateral', 'slic'], 'stage_timeout': [10.0, 20.0],
              'selection.classes': ['', 'person, car'], 'tracking.enabled': [True, False]}
    names, image = list(values), make_image()
    for number in range(CHANGES):
        for _ in range(10):
            camera.publish(image)
        name = names[number % len(names)]
        value = values[name][number // len(names) % len(values[name])]
        assert graph.set_parameter(name, value) == ''
        assert node.get_parameter(name).value == value
        if number % 10 == 0:
            assert graph.set_parameter('network.threads', 3)
            assert graph.set_parameter('selection.classes', 'zebra')
    for name in names:
        assert graph.set_parameter(name, values[name][0]) == ''
    before = len(results)
    graph.spin_until(lambda: camera.publish(image) or len(results) > before, 'a result')
    statistics = graph.statistics
    assert statistics.frames_dropped == 0
    record_property('results', statistics.frames_out)
    print(f'{CHANGES} changes, {statistics.frames_out} results, {statistics.frames_superseded} '
          f'superseded, {statistics.frames_skipped} skipped, 0 dropped')


@pytest.mark.skipif(not has_mallinfo2(), reason='needs glibc 2.33')
def test_cycles_of_the_life_cycle_leave_nothing_behind(graph, tiny_model, make_image):
    from vision_msgs.msg import Detection2DArray
    node = graph.start(model=str(tiny_model), image_reliability='reliable')
    results = None
    seen = []
    for number in range(SETTLED + CYCLES):
        assert graph.change_state('configure') and graph.change_state('activate')
        if results is None:
            results = graph.listen(Detection2DArray, '/segmenter/instances')
        camera = graph.camera()
        graph.spin_until(lambda: camera.publish(make_image()) or results, 'a result')
        assert graph.change_state('deactivate') and graph.change_state('cleanup')
        graph.observer.destroy_publisher(camera)
        results.clear()
        if number >= SETTLED - 1:
            seen.append(usage(node))
    print(f'{CYCLES} cycles:', ', '.join(
        f'{name} {first:.6g} to {last:.6g}'
        for name, first, last in zip(Usage._fields, seen[0], seen[-1])))
    grown = Usage(*(last - first for first, last in zip(seen[0], seen[-1])))
    assert [name for name, value, limit in zip(Usage._fields, grown, GROWTH)
            if value > limit] == []


class CameraProcess:
    """A camera that publishes an image with the time as stamp.

    It has this package's profile of Fast DDS, as a camera of a robot should. Even so, a killed
    subscriber may leave it silent or stuck for good (docs/how-to/troubleshooting.md).
    """

    def __init__(self, image):
        self._command = [sys.executable, str(CAMERA), str(image), '/image']
        self.starts = 0
        self._process = None

    def start(self):
        """Start it, or start it anew."""
        self.stop()
        self._process = subprocess.Popen(
            self._command, env={**os.environ, **fast_dds_settings(os.environ)})
        self.starts += 1

    def stop(self):
        if self._process:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def camera_process(rclpy, scene, tmp_path):
    np.save(tmp_path / 'image.npy', scene[0])
    camera = CameraProcess(tmp_path / 'image.npy')
    camera.start()
    yield camera
    camera.stop()


def test_a_killed_node_starts_again(graph, start, camera_process, tiny_model):
    """SIGKILL while images come; then a new process, until its first result."""
    results, seconds = None, []
    for _ in range(KILLS + 1):
        began, stamp, patience = time.monotonic(), time.time(), CAMERA_PATIENCE
        process = start(f'model:={tiny_model}', 'autostart:=true')
        if results is None:
            results = graph.listen_to_results()['instances']
        del results[:]

        def is_back():
            nonlocal patience
            if time.monotonic() > began + patience:
                camera_process.start()
                patience += CAMERA_PATIENCE
            return any(message.header.stamp.sec + message.header.stamp.nanosec / 1e9 > stamp
                       for message in results)

        graph.spin_until(is_back, 'a result')
        seconds.append(time.monotonic() - began)
        process.kill()
    print(f'{KILLS} restarts after SIGKILL: {min(seconds[1:]):.1f} to {max(seconds[1:]):.1f} s '
          f'until the first result; the camera was started {camera_process.starts} times')


class Watched:
    """A node in a process of its own and the clients of its life cycle."""

    def __init__(self, graph, start):
        self._graph = graph
        self._older = {str(path) for path in Path('/dev/shm').glob('fast*')}
        self.process = start()

    def go_to(self, state):
        for transition in {'unconfigured': [], 'inactive': ['configure'],
                           'active': ['configure', 'activate'],
                           'finalized': ['unconfigured_shutdown']}[state]:
            assert self._graph.change_state(transition)
        assert self._graph.state() == state

    def begin(self, transition):
        """Ask for a transition without waiting for it."""
        from lifecycle_msgs.msg import Transition
        client = self._graph.client('change_state')
        client.call_async(client.srv_type.Request(transition=Transition(
            id=getattr(Transition, f'TRANSITION_{transition.upper()}'))))
        self._graph.executor.spin_once(timeout_sec=0)

    def end(self, number, words=''):
        """Send a signal; return the seconds until the process has ended, as it should.

        The process says these words.
        """
        from instseg_ros.node.main import uses_fast_dds
        segments = shared_memory(self.process.pid) - self._older
        assert segments or not uses_fast_dds()
        began = time.monotonic()
        code, output = self.process.end(number)
        seconds = time.monotonic() - began
        assert code == 0, output
        assert 'Traceback' not in output and words in output
        assert [path for path in segments if os.path.exists(path)] == []
        return seconds


def shared_memory(pid):
    """Return the files of shared memory that a process uses, each of one participant of DDS."""
    maps = Path(f'/proc/{pid}/maps').read_text()
    return set(re.findall(r'/dev/shm/(?:fastrtps|fastdds)_[0-9a-f]{16}\b', maps))


@pytest.fixture
def watched(graph, start, tiny_model):
    return Watched(graph, lambda: start(f'model:={tiny_model}'))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('state', ['unconfigured', 'inactive', 'active', 'finalized'])
def test_a_signal_ends_it_in_every_state(watched, state, number):
    watched.go_to(state)
    print(f'{signal.Signals(number).name} while {state}: ended after {watched.end(number):.2f} s')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('state, transition', [
    ('unconfigured', 'configure'), ('inactive', 'activate'), ('inactive', 'cleanup'),
    ('active', 'deactivate'), ('active', 'active_shutdown')])
def test_a_signal_ends_it_during_every_transition(watched, state, transition, number):
    watched.go_to(state)
    watched.begin(transition)
    print(f'{signal.Signals(number).name} during {transition}: ended after '
          f'{watched.end(number):.2f} s')


@pytest.fixture
def patch_process(tmp_path, monkeypatch):
    """Return a function that lets each process that is started run some code first."""
    def patch(code):
        (tmp_path / 'sitecustomize.py').write_text(code)
        monkeypatch.setenv('PYTHONPATH', os.pathsep.join(
            filter(None, [str(tmp_path), os.environ.get('PYTHONPATH')])))
    return patch


def test_a_signal_ends_it_while_a_stage_does_not_return(graph, start, tiny_model, make_image,
                                                        patch_process):
    patch_process('import threading\nimport instseg_ros.core.segmenter as module\n'
                  'module.Segmenter.postprocess = lambda *args, **kwargs: '
                  'threading.Event().wait()\n')
    watched = Watched(graph, lambda: start(
        f'model:={tiny_model}', 'autostart:=true', 'image_reliability:=reliable',
        'stage_timeout:=0.2', 'lazy:=false'))
    diagnostics, camera = graph.diagnostics(), graph.camera()
    image = make_image()
    graph.spin_until(lambda: camera.publish(image) or any(
        re.search('in the stage "finish"', message.status[0].message)
        for message in diagnostics), 'the error')
    watched.end(signal.SIGTERM)


def test_what_does_not_end_after_a_signal_is_ended(graph, start, tiny_model, patch_process):
    patch_process('import threading\nimport instseg_ros.node.pipeline as module\n'
                  'module.Pipeline.close = lambda *args: threading.Event().wait()\n')
    from instseg_ros.node.signals import END_LIMIT
    watched = Watched(graph, lambda: start(f'model:={tiny_model}', 'autostart:=true'))
    graph.spin_until(lambda: graph.state() == 'active', 'activation')
    watched.end(signal.SIGINT, f'did not end within {END_LIMIT:g} s')
