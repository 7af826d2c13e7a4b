"""Frames by their number, from images, videos, recordings and cameras."""
import threading

import numpy as np
import pytest

pytest.importorskip('rosbags', reason='needs the extra bags')

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import IMAGE
from instseg_ros.media import VideoWriter, write_image
from instseg_ros.view.camera import Camera
from instseg_ros.view.sources import open_source

COUNT = 12
SECOND = 10 ** 9


def gray(value, shape=(32, 48, 3)):
    return np.full(shape, value, np.uint8)


def shade(frame):
    """Return the number that the frame was painted for."""
    return round(float(frame.image.mean()) / 20)


def write_folder(path):
    for number in range(COUNT):
        write_image(path / f'{number:02d}.png', gray(20 * number))
    return path


def write_video(path):
    path = path / 'video.mp4'
    with VideoWriter(path, 10.0) as writer:
        for number in range(COUNT):
            writer.write(gray(20 * number))
    return path


def write_bag(path, *, topics=('/camera',), times=range(COUNT)):
    path = path / 'bag.mcap'
    with BagWriter(path) as bag:
        for topic in topics:
            bag.add_topic(topic, IMAGE)
        for number, time in enumerate(times):
            image = make_image(gray(20 * number), time * SECOND, 'camera')
            for topic in topics:
                bag.write_message(topic, time * SECOND, image)
    return path


@pytest.mark.parametrize('write', [write_folder, write_video, write_bag])
def test_frames_are_read_in_any_order(tmp_path, write):
    source = open_source(str(write(tmp_path)))
    assert source.count == COUNT and not source.is_live
    order = [0, 1, 2, 7, 7, 3, 0, 11, 10]
    assert [shade(source.read(number)) for number in order] == order
    assert source.read(COUNT) is None
    assert shade(source.read(4)) == 4
    source.close()


def test_messages_of_one_time_are_told_apart(tmp_path):
    source = open_source(str(write_bag(tmp_path, times=[1, 2, 2, 2, 3])))
    order = [4, 3, 2, 1, 0, 2, 3]
    assert [shade(source.read(number)) for number in order] == order
    source.close()


def test_one_of_several_topics_is_chosen(tmp_path):
    path = str(write_bag(tmp_path, topics=('/left', '/right')))
    with pytest.raises(ValueError, match='--topic with one of /left, /right'):
        open_source(path)
    source = open_source(path, '/right')
    assert source.name.endswith('/right')
    source.close()


@pytest.mark.parametrize('name, content, text', [
    ('no such', None, 'expected a file, a folder or the index of a camera'),
    ('text.mcap', 'words', 'expected a bag file'),
    ('text.txt', 'words', 'expected a video'),
    ('video.mp4', 'words', 'expected a video'),
])
def test_what_is_no_source_is_named(tmp_path, name, content, text):
    path = tmp_path / name
    if content:
        path.write_text(content)
    with pytest.raises((OSError, ValueError), match=text):
        open_source(str(path))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match='got a folder without any bag file'):
        open_source(str(tmp_path))


def test_an_empty_bag_is_refused(tmp_path):
    with pytest.raises(ValueError, match='no message'):
        open_source(str(write_bag(tmp_path, times=())))


def test_what_is_missing_in_a_bag_is_said(tmp_path):
    path = write_bag(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    source = open_source(str(path))
    assert [shade(source.read(number)) for number in (3, 1)] == [3, 1]
    while source.read(source.count):
        pass
    assert source.remarks and all('bag.mcap' in text for text in source.remarks)
    assert len(set(source.remarks)) == len(source.remarks)
    source.close()


def test_a_missing_camera_is_named():
    with pytest.raises(OSError, match='77: no camera'):
        open_source('77')


class FakeCapture:
    """Gives images whenever `fill` is called, then is unplugged."""

    def __init__(self):
        self.ready, self.taken = threading.Semaphore(0), threading.Semaphore(0)
        self.images, self.released = [], False

    def fill(self, *images):
        for image in images:
            self.images.append(image)
            self.ready.release()
        for _ in images:
            assert self.taken.acquire(timeout=10)

    def unplug(self):
        self.ready.release()

    def read(self):
        self.ready.acquire()
        if not self.images:
            return False, None
        image = self.images.pop(0)
        self.taken.release()
        return True, image

    def release(self):
        self.released = True


def test_a_camera_gives_its_newest_image_and_says_when_it_is_lost():
    capture = FakeCapture()
    camera = Camera('camera 0', capture)
    capture.fill(gray(20), gray(40), gray(60))
    frames = [camera.read(0)]
    while shade(frames[-1]) != 3:  # the last one was taken, but may not be the newest yet
        frames.append(camera.read(0))
    assert len(frames) <= 3 and camera.is_live
    capture.unplug()
    with pytest.raises(OSError, match='camera 0: the camera gives no more images'):
        camera.read(1)
    camera.close()
    assert capture.released
