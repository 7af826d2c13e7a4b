"""The node where rclpy is like that of Humble."""
import importlib
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy.event_handler', reason='needs rclpy newer than that of Humble')


@pytest.fixture
def humble(monkeypatch):
    """Hide what rclpy of Humble lacks and show what it has instead."""
    from instseg_ros.node import rclpy_versions
    from rclpy import event_handler
    from rclpy.subscription import Subscription
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, 'rclpy.event_handler', None)
        patch.setitem(sys.modules, 'rclpy.qos_event', SimpleNamespace(
            PublisherEventCallbacks=event_handler.PublisherEventCallbacks,
            SubscriptionEventCallbacks=event_handler.SubscriptionEventCallbacks))
        patch.delattr(Subscription, 'CallbackType')
        importlib.reload(rclpy_versions)
    yield rclpy_versions
    importlib.reload(rclpy_versions)


def test_images_are_taken_without_info_about_the_message(graph, humble, tiny_model, make_image,
                                                         monkeypatch):
    from instseg_ros.node import segmenter_node
    monkeypatch.setattr(segmenter_node, 'image_callback', humble.image_callback)
    node = graph.start('configure', 'activate', model=str(tiny_model),
                       image_reliability='reliable')
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    camera.publish(make_image())
    graph.spin_until(lambda: results, 'a result')
    assert not humble.GIVES_INFO
    assert (node._statistics.frames_in, node._statistics.frames_superseded) == (1, 0)
