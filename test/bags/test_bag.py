"""New rosbag2 files: round trips, and whole or not there."""
import numpy as np
import pytest

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import IMAGE, LABEL_INFO, stamp_of, typestore
from instseg_ros.bags.qos import LATCHED
from instseg_ros.bags.reader import BagReader


def write_bag(path, count=3):
    """Write images on /camera and nothing on /labels."""
    with BagWriter(path) as bag:
        bag.add_topic('/camera', IMAGE)
        bag.add_topic('/labels', LABEL_INFO, qos=[LATCHED])
        for number in range(1, count + 1):
            image = make_image(np.full((4, 6, 3), number, np.uint8), number * 10 ** 9, 'camera')
            bag.write_message('/camera', number * 10 ** 9, image)
    return path


def read_all(path):
    """Return what is on all topics, images parsed."""
    with BagReader(path) as bag:
        return [(message.topic, message.time, bag.parse(message))
                for message in bag.read(bag.topics)]


def test_messages_come_back_in_order(tmp_path):
    path = write_bag(tmp_path / 'new' / 'bag.mcap')
    messages = read_all(path)
    assert [(topic, time) for topic, time, _ in messages] == [
        (('/camera', IMAGE), number * 10 ** 9) for number in (1, 2, 3)]
    assert [int(message.data[0]) for _, _, message in messages] == [1, 2, 3]
    with BagReader(path) as bag:
        assert bag.counts == {('/camera', IMAGE): 3, ('/labels', LABEL_INFO): 0}
        assert list(bag.read([])) == []
        assert (bag.damage, bag.remarks, bag.missing) == ([], [], 0)


def test_serialized_messages_are_kept_byte_by_byte(tmp_path):
    image = make_image(np.zeros((4, 6), np.uint16), 5, 'camera')
    data = bytes(typestore().serialize_cdr(image, IMAGE))
    with BagWriter(tmp_path / 'bag.mcap') as bag:
        bag.add_topic('/camera', IMAGE)
        bag.write('/camera', 77, data)
    with BagReader(tmp_path / 'bag.mcap') as bag:
        (topic, time, back), = bag.read(bag.topics)
    assert (topic.name, time, back) == ('/camera', 77, data)
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
