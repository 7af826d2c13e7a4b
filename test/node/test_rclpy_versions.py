"""The node where rclpy is like that of Humble."""
import importlib
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')


@pytest.fixture
def humble(monkeypatch):
    """Hide what rclpy of Humble lacks."""
    from rclpy.node import Node
    from rclpy.subscription import Subscription

    from instseg_ros.node import rclpy_versions
    with monkeypatch.context() as patch:
        patch.delattr(Subscription, 'CallbackType', raising=False)
        importlib.reload(rclpy_versions)
    monkeypatch.delattr(Node, 'add_post_set_parameters_callback', raising=False)
    yield rclpy_versions
    importlib.reload(rclpy_versions)


def test_images_are_taken_without_info_about_the_message(graph, humble, tiny_model, make_image,
                                                         monkeypatch):
    from instseg_ros.node import image_input
    monkeypatch.setattr(image_input, 'image_callback', humble.image_callback)
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable')
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    camera.publish(make_image())
    graph.spin_until(lambda: results, 'a result')
    assert not humble.GIVES_INFO
    assert (graph.statistics.frames_in, graph.statistics.frames_superseded) == (1, 0)


def test_a_change_of_parameters_is_applied_all_the_same(graph, humble, tiny_model):
    node = graph.start('configure', model=str(tiny_model))
    assert not hasattr(node, 'add_post_set_parameters_callback')
    assert graph.set_parameter('refinement.method', 'nearest') == ''
    graph.spin_until(
        lambda: node._stages.segmenter.postprocessor.refinement.method == 'nearest')


def test_a_change_that_another_callback_refuses_is_not_applied(graph, humble, tiny_model):
    from rcl_interfaces.msg import SetParametersResult
    node = graph.start('configure', model=str(tiny_model))
    node.add_on_set_parameters_callback(lambda changes: SetParametersResult(
        successful=changes[0].name != 'refinement.method', reason='not today'))
    assert graph.set_parameter('refinement.method', 'nearest') == 'not today'
    # The call that follows a later change finds what the node has then.
    assert graph.set_parameter('grouping.center_threshold', 0.9) == ''
    graph.spin_until(
        lambda: node._stages.segmenter.postprocessor.grouping.center_threshold == 0.9)
    assert node._stages.segmenter.postprocessor.refinement.method == 'slic'


def test_an_overflow_of_the_middleware_is_no_number_of_lost_images(rclpy):
    from rclpy.qos import QoSProfile

    from instseg_ros.node.rclpy_versions import subscribe
    lost = []
    node = SimpleNamespace(
        create_subscription=lambda *args, event_callbacks, **options: event_callbacks)
    events = subscribe(node, None, '/image', None, QoSProfile(depth=1), on_lost=lost.append)
    for change in (1, 12, 0, 2 ** 31 - 1, 2 ** 31 + 9, 2 ** 64 - 2147483636):
        events.message_lost(SimpleNamespace(total_count_change=change))
    assert lost == [1, 12]
