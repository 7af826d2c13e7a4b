"""Damaged bags of ROS 1."""
import pytest
from damaged_recordings import damaged, read
from rosbags.rosbag1 import Writer as Ros1Writer

from instseg_ros.bags.messages import ros1_typestore
from instseg_ros.bags.types import BagError


@pytest.fixture
def path(tmp_path):
    writer = Ros1Writer(tmp_path / 'a.bag')
    types = ros1_typestore()
    with writer:
        text = writer.add_connection('/text', 'std_msgs/msg/String', typestore=types)
        for number in range(5):
            data = types.serialize_ros1(types.types['std_msgs/msg/String'](f'{number}' * 999),
                                        'std_msgs/msg/String')
            writer.write(text, number, data)
    return tmp_path / 'a.bag'


def test_a_killed_one_names_what_repairs_it(path):
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(BagError, match='rosbag reindex'):
        read(path)


def test_messages_that_cannot_be_read_are_counted(path):
    whole = path.read_bytes()
    damaged(path, whole.index(b'2222') - 60, whole.index(b'2222') + 10)
    messages, damage, missing = read(path)
    assert len(messages) + missing == 5
    assert missing > 0
    assert 'missing on /text' in damage[-1]
