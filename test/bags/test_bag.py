"""rosbag2 files: round trips, and damaged ones as one clear error."""
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin, Writer

from instseg_ros.bags.bag import BagError, BagReader, BagWriter
from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import IMAGE, LABEL_INFO, stamp_of, typestore


def write_bag(path, count=3):
    """Write images on /camera and nothing on /labels."""
    with BagWriter(path) as bag:
        bag.add_topic('/camera', IMAGE)
        bag.add_topic('/labels', LABEL_INFO, latched=True)
        for number in range(1, count + 1):
            image = make_image(np.full((4, 6, 3), number, np.uint8), number * 10 ** 9, 'camera')
            bag.write_message('/camera', number * 10 ** 9, image)
    return path


def read_all(path):
    """Return what is on all topics, images parsed."""
    with BagReader(path) as bag:
        return [(topic, stamp, bag.parse(topic, data))
                for topic, stamp, data in bag.read(list(bag.topics))]


def test_messages_come_back_in_order(tmp_path):
    path = write_bag(tmp_path / 'new' / 'bag.mcap')
    messages = read_all(path)
    assert [(topic, stamp) for topic, stamp, _ in messages] == [
        ('/camera', number * 10 ** 9) for number in (1, 2, 3)]
    assert [int(message.data[0]) for _, _, message in messages] == [1, 2, 3]
    with BagReader(path) as bag:
        assert bag.topics == {'/camera': IMAGE, '/labels': LABEL_INFO}
        assert bag.counts == {'/camera': 3, '/labels': 0}
        assert list(bag.read([])) == []


def test_serialized_messages_are_kept_byte_by_byte(tmp_path):
    image = make_image(np.zeros((4, 6), np.uint16), 5, 'camera')
    data = bytes(typestore().serialize_cdr(image, IMAGE))
    with BagWriter(tmp_path / 'bag.mcap') as bag:
        bag.add_topic('/camera', IMAGE)
        bag.write('/camera', 77, data)
    with BagReader(tmp_path / 'bag.mcap') as bag:
        (topic, stamp, back), = bag.read(['/camera'])
    assert (topic, stamp, bytes(back)) == ('/camera', 77, data)
    assert stamp_of(back) == 5


def test_label_images_shrink(tmp_path):
    with BagWriter(tmp_path / 'bag.mcap') as bag:
        bag.add_topic('/ids', IMAGE)
        bag.write_message('/ids', 1, make_image(np.zeros((1000, 1000), np.uint16), 1, 'camera'))
    assert (tmp_path / 'bag.mcap').stat().st_size < 20_000


def test_an_exception_leaves_no_bag(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with BagWriter(tmp_path / 'bag.mcap') as bag:
            bag.add_topic('/camera', IMAGE)
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_old_bag_is_replaced(tmp_path):
    path = write_bag(tmp_path / 'bag.mcap', count=5)
    write_bag(path, count=2)
    assert len(read_all(path)) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ['bag.mcap']


@pytest.mark.parametrize('plugin', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_folders_as_ros2_bag_record_makes_them_are_read(tmp_path, plugin):
    with Writer(tmp_path / 'bag', version=9, storage_plugin=plugin) as writer:
        camera = writer.add_connection('/camera', IMAGE, typestore=typestore())
        message = make_image(np.full((4, 6), 8, np.uint8), 3, 'camera')
        writer.write(camera, 3, typestore().serialize_cdr(message, IMAGE))
    (topic, stamp, back), = read_all(tmp_path / 'bag')
    assert (topic, stamp, back.encoding) == ('/camera', 3, 'mono8')


def test_the_topic_of_a_type_is_found(tmp_path):
    with BagReader(write_bag(tmp_path / 'bag.mcap')) as bag:
        assert bag.topic_of_type(IMAGE) == '/camera'
        assert bag.topic_of_type(IMAGE, '/camera') == '/camera'
        with pytest.raises(BagError, match='a topic /rear of type sensor_msgs.*got /camera'):
            bag.topic_of_type(IMAGE, '/rear')
        with pytest.raises(BagError, match='one topic of type std_msgs/msg/String, got none'):
            bag.topic_of_type('std_msgs/msg/String')


def test_two_topics_of_a_type_must_be_told_apart(tmp_path):
    with BagWriter(tmp_path / 'bag.mcap') as bag:
        bag.add_topic('/left', IMAGE)
        bag.add_topic('/right', IMAGE)
    with BagReader(tmp_path / 'bag.mcap') as bag:
        with pytest.raises(BagError, match='expected one topic .* got /left, /right'):
            bag.topic_of_type(IMAGE)
        assert bag.topic_of_type(IMAGE, '/right') == '/right'


def test_what_is_no_bag_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.mcap: no such file or folder'):
        BagReader(tmp_path / 'gone.mcap')
    (tmp_path / 'notes.txt').write_text('milk, bread')
    (tmp_path / 'notes.mcap').write_text('milk, bread')
    (tmp_path / 'empty.mcap').touch()
    (tmp_path / 'folder').mkdir()
    sqlite3.connect(tmp_path / 'other.db3').close()
    for name in ('notes.txt', 'notes.mcap', 'empty.mcap', 'folder', 'other.db3'):
        with pytest.raises(BagError, match=f'{name}: expected a rosbag2 file or folder'):
            BagReader(tmp_path / name)


@pytest.fixture(scope='module')
def good_bag(tmp_path_factory):
    """Return the path of a bag of three images."""
    return write_bag(tmp_path_factory.mktemp('good') / 'bag.mcap')


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_damage_is_a_clear_error_or_goes_unnoticed(good_bag, data):
    folder, good = good_bag.parent, good_bag.read_bytes()
    position = data.draw(st.integers(0, len(good) - 1))
    if data.draw(st.booleans()):
        bad = good[:position]
    else:
        bad = good[:position] + bytes([data.draw(st.integers(0, 255))]) + good[position + 1:]
    (folder / 'bad.mcap').write_bytes(bad)
    try:
        messages = read_all(folder / 'bad.mcap')
    except BagError as error:
        assert str(folder / 'bad.mcap') in str(error)  # noqa: PT017 - it may also be read
    else:
        assert len(bad) == len(good) and len(messages) <= 3
