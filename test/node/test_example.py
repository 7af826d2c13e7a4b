"""The consumer node of the documentation, beside the real node and over real DDS."""
import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('tiny_models', reason='needs onnx')
EXAMPLE = Path(__file__).resolve().parents[2] / 'docs' / 'examples' / 'moving_objects_mask.py'


@pytest.fixture
def example(rclpy):
    """Return the module of the example."""
    spec = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def start(graph, tiny_model, example):
    """Return a function that starts both nodes; the example in the given configuration."""
    def start(**parameters):
        from rclpy.parameter import Parameter
        graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable')
        consumer = graph.add(example.MovingObjectsMask(
            context=graph.context, parameter_overrides=[
                Parameter(name, value=value) for name, value in parameters.items()]))
        results = [publisher for publisher in graph.node.publishers if publisher.topic_name
                   in ('/segmenter/instance_image', '/segmenter/instances')]
        assert len(results) == 2
        graph.spin_until(lambda: consumer.class_ids, 'label info')
        graph.spin_until(lambda: all(end.get_publisher_count() for end in consumer.subscriptions)
                         and all(end.get_subscription_count() for end in results),
                         'the connections')
        return consumer
    return start


def mask_of(graph, image):
    from sensor_msgs.msg import Image
    masks, camera = graph.listen(Image, '/moving_objects_mask/mask'), graph.camera()
    camera.publish(image)
    graph.spin_until(lambda: masks, 'a mask')
    (mask,) = masks
    assert mask.header == image.header and mask.encoding == 'mono8'
    return np.frombuffer(mask.data, np.uint8).reshape(mask.height, mask.width)


def test_the_mask_shows_the_objects_of_the_classes(start, graph, scene, make_image):
    import tiny_models
    _, semantic_ids, instance_ids = scene
    start(classes=[tiny_models.CLASS_NAMES[3]])
    expected = np.where((semantic_ids == 3) & (instance_ids > 0), 255, 0)
    np.testing.assert_array_equal(mask_of(graph, make_image(5)), expected)


def test_objects_below_the_score_are_left_out(start, graph, scene, make_image):
    import tiny_models
    _, semantic_ids, _ = scene
    start(classes=[tiny_models.CLASS_NAMES[1], tiny_models.CLASS_NAMES[3]], min_score=0.9)
    np.testing.assert_array_equal(mask_of(graph, make_image(5)),
                                  np.where(semantic_ids == 1, 255, 0))


def test_results_match_by_stamp_in_any_order(rclpy, graph, example):
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header
    from vision_msgs.msg import Detection2DArray
    consumer = graph.add(example.MovingObjectsMask(context=graph.context))
    made = []
    consumer.publish = lambda image, detections: made.append(
        (image.header.stamp.sec, detections.header.stamp.sec))

    def message(kind, second):
        return kind(header=Header(stamp=Time(sec=second)))

    for kind, second in ((Image, 1), (Detection2DArray, 2), (Image, 3), (Detection2DArray, 1),
                         (Image, 2), (Detection2DArray, 3)):
        consumer.on_result(message(kind, second))
    assert sorted(made) == [(1, 1), (2, 2), (3, 3)]
    assert not consumer.results
    for second in range(100):
        consumer.on_result(message(Image, second))
    assert len(consumer.results) <= 5
