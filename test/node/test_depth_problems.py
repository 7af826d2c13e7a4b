"""Depth that is missing, does not fit or fails: what is told, and that the rest goes on."""
import threading

import numpy as np
import pytest
from depth_rig import Rig, depth_image
from node_tools import ros_image, status_of, values_of

pytest.importorskip('tiny_models', reason='needs onnx')
OK, WARN, ERROR = b'\x00', b'\x01', b'\x02'


def test_without_depth_there_are_results_in_the_image_and_a_warning_that_ends(
        graph, tiny_model, scene, make_image, monkeypatch):
    from instseg_ros.node import depth
    monkeypatch.setattr(depth, 'PATIENCE', 0.0)
    rig = Rig(graph, tiny_model)
    reports = graph.diagnostics()

    def warned(text):
        reports.clear()
        graph.spin_until(lambda: reports and text in values_of(reports[-1]).get(
            'condition.depth', ''), f'the warning {text}')
        assert status_of(reports[-1])[0] == WARN

    rig.send(make_image(1), None)
    warned('no depth image on /depth (remap "depth")')
    rig.send(make_image(2), depth_image(scene[2]))
    warned('no calibration on /camera_info')
    rig.calibrate()
    rig.send(make_image(3), depth_image(scene[2]), delay=100_000_000)
    warned('no depth image within 0.02 s of the stamp')
    rig.send(make_image(4), depth_image(scene[2])[:100])
    warned('depth image: expected the size of the image, 160x120, or the same view')
    rig.send(make_image(5), depth_image(scene[2]).astype(np.uint8), encoding='mono8')
    warned("expected a depth image of 16UC1 or 32FC1, got 'mono8'")
    rig.send(make_image(6), depth_image(scene[2]), frame_id='depth_camera')
    warned("the depth image is in the frame 'depth_camera' and the image in 'front_camera'")
    assert not rig.objects and not rig.points
    rig.send(make_image(7), depth_image(scene[2]), delay=10_000_000)
    assert rig.wait()[0].header.stamp.sec == 7
    reports.clear()
    graph.spin_until(lambda: reports and 'condition.depth' not in values_of(reports[-1]),
                     'the end of the warning')
    assert status_of(reports[-1])[0] == OK
    graph.spin_until(lambda: values_of(reports[-1])['frames_without_depth'] == '6',
                     'the count of images without depth')
    assert len(rig.flat) == 7 == graph.statistics.frames_out


def test_no_image_is_lost_from_the_count_when_its_results_fail_at_once(graph, tiny_model,
                                                                       make_image, monkeypatch):
    from instseg_ros.node import depth

    class PromptWorker(depth.NewestWorker):
        """Finishes an item before `submit` returns, as may happen between two threads."""

        def submit(self, item):
            self._work(item)
            return 0

    monkeypatch.setattr(depth, 'NewestWorker', PromptWorker)
    rig, reports = Rig(graph, tiny_model), graph.diagnostics()
    rig.send(make_image(1), None)
    graph.spin_until(lambda: reports and values_of(reports[-1])['frames_without_depth'] == '1',
                     'the image in the count')


@pytest.mark.parametrize('kind, topic, reliability, reason', [
    ('CompressedImage', 'depth', 'RELIABLE', '/stranger publishes sensor_msgs/msg/CompressedImage,'
     ' expected sensor_msgs/msg/Image'),
    ('Image', 'depth', 'BEST_EFFORT', 'the quality of service of /stranger does not fit'),
    ('CameraInfo', 'camera_info', 'BEST_EFFORT', 'of /stranger does not fit')])
def test_depth_and_calibration_that_can_not_arrive_are_told_with_the_reason(
        graph, tiny_model, scene, make_image, monkeypatch, kind, topic, reliability, reason):
    import sensor_msgs.msg
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    from instseg_ros.node import depth
    monkeypatch.setattr(depth, 'PATIENCE', 0.0)
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable',
                depth__enabled=True, depth__wait=0.0)
    graph.stranger().create_publisher(getattr(sensor_msgs.msg, kind), f'/{topic}', QoSProfile(
        depth=5, reliability=ReliabilityPolicy[reliability]))
    if topic == 'camera_info':
        graph.camera(topic='/depth').publish(
            ros_image(make_image(1).header, depth_image(scene[2]), '16UC1'))
    reports, camera = graph.diagnostics(), graph.camera()
    graph.listen(sensor_msgs.msg.PointCloud2, '/segmenter/points')

    def is_told():
        camera.publish(make_image(1))
        return reports and reason in values_of(reports[-1]).get('condition.depth', '')
    graph.spin_until(is_told, 'the reason')


def test_the_graph_is_asked_once_a_second_while_depth_is_missing(graph, tiny_model, scene,
                                                                 make_image, monkeypatch):
    from instseg_ros.node import depth
    monkeypatch.setattr(depth, 'PATIENCE', 0.0)
    rig = Rig(graph, tiny_model)
    asked, ask = [], graph.node.get_publishers_info_by_topic
    monkeypatch.setattr(graph.node, 'get_publishers_info_by_topic',
                        lambda topic: asked.append(topic) or ask(topic))
    reports = graph.diagnostics()
    for number in range(1, 21):
        rig.send(make_image(number), None)
    graph.spin_until(lambda: reports and 'condition.depth' in values_of(reports[-1]), 'a warning')
    checks = asked.count('/image')  # the camera's own check asks each time
    assert 1 <= asked.count('/depth') <= checks


def test_an_exception_costs_only_the_results_in_space(graph, tiny_model, scene, make_image,
                                                      monkeypatch):
    from instseg_ros.node import depth

    def fail(*args):
        raise RuntimeError('no more memory')

    rig, reports = Rig(graph, tiny_model), graph.diagnostics()
    rig.calibrate()
    with monkeypatch.context() as patch:
        patch.setattr(depth, 'object_boxes', fail)
        rig.send(make_image(1), depth_image(scene[2]))
        graph.spin_until(lambda: reports and 'no more memory' in values_of(reports[-1]).get(
            'condition.depth', ''), 'the error')
    assert status_of(reports[-1])[0] == ERROR
    rig.send(make_image(2), depth_image(scene[2]))
    assert rig.wait()[0].header.stamp.sec == 2


def test_deactivation_does_not_wait_for_ever(graph, tiny_model, scene, make_image, monkeypatch,
                                             capfd):
    """Results in space that never return cost their thread, and the node goes on."""
    from instseg_ros.node import depth
    begun, go = threading.Event(), threading.Event()
    rig = Rig(graph, tiny_model, stage_timeout=0.1)
    rig.calibrate()
    with monkeypatch.context() as patch:
        patch.setattr(depth, 'object_boxes', lambda *args: begun.set() or go.wait())
        rig.send(make_image(1), depth_image(scene[2]))
        graph.spin_until(begun.is_set, 'results in space')
        assert graph.change_state('deactivate') and graph.state() == 'inactive'
    go.set()
    assert 'the results in space of an image have not returned' in ''.join(capfd.readouterr())
    assert graph.change_state('activate')
    rig.calibrate()
    rig.send(make_image(2), depth_image(scene[2]))
    graph.spin_until(lambda: rig.objects and rig.objects[-1].header.stamp.sec == 2, 'results')


def test_no_thread_stays_behind(graph, tiny_model):
    from rclpy.lifecycle import TransitionCallbackReturn
    rig = Rig(graph, tiny_model)
    before = threading.active_count()
    for _ in range(10):
        for transition in ('deactivate', 'cleanup', 'configure', 'activate'):
            assert getattr(rig.graph.node, f'trigger_{transition}')() == \
                TransitionCallbackReturn.SUCCESS
    assert threading.active_count() == before
