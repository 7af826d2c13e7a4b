"""The message types of bags are those of ROS."""
import pytest

from instseg_ros.bags.messages import VISION_MSGS, make_header, stamp_of, typestore

HASHES = {  # of vision_msgs 4.2.0
    'Point2D': 'eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247',
    'Pose2D': 'b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648',
    'BoundingBox2D': '008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f',
    'ObjectHypothesis': '51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90',
    'ObjectHypothesisWithPose':
        '41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc',
    'Detection2D': '0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea',
    'Detection2DArray': '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    'VisionClass': '1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a',
    'LabelInfo': '3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
}


def test_every_definition_is_compared():
    assert set(HASHES) == set(VISION_MSGS)


@pytest.mark.parametrize('name', HASHES)
def test_type_hashes_are_those_of_vision_msgs(name):
    assert typestore().hash_rihs01(f'vision_msgs/msg/{name}') == f'RIHS01_{HASHES[name]}'


@pytest.mark.parametrize('stamp', [0, 1, 999_999_999, 1_700_000_000_123_456_789])
@pytest.mark.parametrize('little_endian', [True, False])
def test_the_stamp_is_read_without_parsing(stamp, little_endian):
    message = typestore().types['vision_msgs/msg/LabelInfo'](
        header=make_header(stamp, 'camera'), class_map=[], threshold=0.0)
    data = typestore().serialize_cdr(message, 'vision_msgs/msg/LabelInfo',
                                     little_endian=little_endian)
    assert stamp_of(data) == stamp


def test_a_message_without_header_has_no_stamp():
    with pytest.raises(ValueError, match='expected a serialized message with a header, got 5'):
        stamp_of(b'\0\1\0\0\0')
