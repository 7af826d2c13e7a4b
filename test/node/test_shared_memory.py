"""The shared memory of Fast DDS: what killed processes leave behind, and too little of it."""
import os
import re
import signal
import subprocess
import sys

import pytest

from instseg_ros.node import shared_memory
from instseg_ros.node.shared_memory import remove_own_segments, remove_stale_segments, shortage

fcntl = pytest.importorskip('fcntl', reason='needs Linux')


@pytest.fixture
def segment(tmp_path):
    """Return a function that makes a segment with its lock file."""
    def make(name, age=3600.0):
        (tmp_path / name).write_bytes(bytes(1000))
        lock = tmp_path / f'{name}_el'
        lock.write_bytes(b'')
        created = os.stat(lock).st_mtime - age
        os.utime(lock, (created, created))
        return lock
    return make


def test_what_nobody_holds_is_removed(tmp_path, segment):
    segment('fastdds_0123456789abcdef')
    segment('fastrtps_0123456789abcdef')
    assert remove_stale_segments(tmp_path) == 2000
    assert list(tmp_path.iterdir()) == []


def test_what_a_process_holds_stays(tmp_path, segment):
    lock = segment('fastdds_0123456789abcdef')
    with open(lock, 'rb') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert remove_stale_segments(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 2
    assert remove_stale_segments(tmp_path) == 1000


@pytest.mark.parametrize('name', ['fastdds_port7411', 'fastdds_0123456789abcdeg', 'other'])
def test_other_files_stay(tmp_path, segment, name):
    segment(name)
    assert remove_stale_segments(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_a_new_file_may_not_be_locked_yet(tmp_path, segment):
    segment('fastdds_0123456789abcdef', age=1.0)
    assert remove_stale_segments(tmp_path) == 0


def test_what_this_process_holds_is_removed_at_its_end(tmp_path, segment):
    lock = segment('fastdds_0123456789abcdef')
    segment('fastdds_fedcba9876543210')
    with open(lock, 'rb'):
        remove_own_segments(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {'fastdds_fedcba9876543210', 'fastdds_fedcba9876543210_el'}


def test_without_the_folder_there_is_nothing_to_do(tmp_path):
    assert remove_stale_segments(tmp_path / 'none') == 0


def test_a_killed_participant_leaves_what_is_removed(rclpy, monkeypatch):
    """With the real middleware."""
    if not os.path.isdir('/dev/shm'):
        pytest.skip('needs /dev/shm')
    before = set(os.listdir('/dev/shm'))
    code = ('import rclpy\nrclpy.init()\nnode = rclpy.create_node("victim")\n'
            'print("up", flush=True)\nrclpy.spin(node)')
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        made = {name for name in set(os.listdir('/dev/shm')) - before
                if shared_memory.LOCK_FILE.fullmatch(name)}
        # Also those of nodes that other tests start at the same time.
        mine = {name for name in made if os.path.join('/dev/shm', name) in open_files(process.pid)}
        if not mine:
            process.kill()
            pytest.skip('this middleware uses no shared memory')
        monkeypatch.setattr(shared_memory, 'LEAST_AGE', 0.0)
        only_mine = '|'.join(name.removesuffix('_el') for name in mine)
        monkeypatch.setattr(shared_memory, 'LOCK_FILE', re.compile(f'({only_mine})_el'))
        remove_stale_segments()
        assert mine <= set(os.listdir('/dev/shm'))
        process.kill()
    assert mine <= set(os.listdir('/dev/shm'))
    assert remove_stale_segments() > 0
    assert not mine & set(os.listdir('/dev/shm'))


def open_files(pid):
    folder = f'/proc/{pid}/fd'
    return {os.readlink(os.path.join(folder, number)) for number in os.listdir(folder)}


@pytest.mark.parametrize('variable', ['FASTDDS_DEFAULT_PROFILES_FILE',
                                      'FASTRTPS_DEFAULT_PROFILES_FILE'])
def test_too_little_room_for_the_profile_is_reported(tmp_path, variable):
    profile = tmp_path / 'profile.xml'
    profile.write_text(f'<segment_size>1024</segment_size><segment_size>{10**15}</segment_size>')
    environment = {variable: str(profile)}
    assert 'needs 1100000000.0 MB: images come over UDP' in shortage(environment, tmp_path)
    profile.write_text('<segment_size>1024</segment_size>')
    assert shortage(environment, tmp_path) == ''


@pytest.mark.parametrize('environment', [
    {}, {'FASTDDS_DEFAULT_PROFILES_FILE': '/none.xml'}, {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}])
def test_where_nothing_is_known_nothing_is_said(tmp_path, environment):
    assert shortage(environment, tmp_path) == ''
    assert shortage(environment, tmp_path / 'none') == ''


SMALL = ('unshare', '--mount', 'sh', '-c',
         'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$@"', 'sh')
"""Runs a command with 1 MB of shared memory, which no other process has."""


def test_images_arrive(graph, start, tiny_model, make_image):
    status = os.statvfs('/dev/shm')
    is_small = status.f_blocks * status.f_frsize == 2 ** 20
    process = start(f'model:={tiny_model}', 'autostart:=true')
    results, camera, image = graph.listen_to_results()['instances'], graph.camera(), make_image()
    graph.spin_until(lambda: camera.publish(image) or results, 'a result')
    _, output = process.end(signal.SIGTERM)
    if 'profile' in output.lower():  # the middleware is Fast DDS
        assert ('the profile of Fast DDS needs 36.9 MB' in output) == is_small, output


def test_with_little_shared_memory_images_arrive_over_udp(rclpy):
    try:
        subprocess.run([*SMALL, 'true'], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f'may not mount a file system of its own: {error}')
    result = subprocess.run(
        [*SMALL, sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider',
         f'{__file__}::{test_images_arrive.__name__}'], capture_output=True, text=True)
    assert result.returncode == 0 and '1 passed' in result.stdout, result.stdout
