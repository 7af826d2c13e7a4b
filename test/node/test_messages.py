"""The node and bags make the same messages, bit for bit."""
import numpy as np
import pytest

tiny_models = pytest.importorskip('tiny_models', reason='needs onnx')
pytest.importorskip('rosbags')


@pytest.mark.parametrize('name', [
    'semantic_image', 'instance_image', 'confidence_image', 'panoptic_image', 'color_labels',
    'color_labels/compressed', 'overlay', 'semantic_image/compressed', 'overlay/compressed',
    'instances'])
def test_a_message_is_the_same_live_and_in_a_bag(rclpy, name, tiny_model, scene):
    from builtin_interfaces.msg import Time
    from rclpy.serialization import deserialize_message, serialize_message
    from std_msgs.msg import Header

    from instseg_ros import Segmenter
    from instseg_ros.bags.messages import make_header
    from instseg_ros.messages.results import OUTPUTS, Result
    from instseg_ros.node.message_types import MESSAGE_TYPES, message_type
    from instseg_ros.recorded.outputs import encode
    segmenter = Segmenter.from_onnx(tiny_model)
    segmentation = segmenter.segment(scene[0], confidence=True)
    parts = np.ascontiguousarray(scene[0]), segmentation, segmenter.model_info
    live = OUTPUTS[name].make(MESSAGE_TYPES, Result(
        Header(stamp=Time(sec=5, nanosec=7), frame_id='front'), *parts))
    recorded = encode(Result(make_header(5_000_000_007, 'front'), *parts), name)
    kind = message_type(OUTPUTS[name].type)
    # The padding between fields may have any value, so not the bytes are compared.
    sent = serialize_message(live)
    assert deserialize_message(recorded, kind) == deserialize_message(sent, kind)
