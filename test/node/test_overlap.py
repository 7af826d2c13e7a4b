"""Several images at once in the node: order, losses, and what may happen to it meanwhile."""
import threading

import numpy as np
import pytest

tiny_models = pytest.importorskip('tiny_models', reason='needs onnx')
node_tools = pytest.importorskip('node_tools')
values_of, wait_for = node_tools.values_of, node_tools.wait_for


@pytest.fixture
def active(graph, tiny_model):
    """Return the graph with an active node that loses nothing on the way, nor in a burst."""
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable',
                image_depth=30)
    return graph


@pytest.fixture
def hold(monkeypatch):
    """Return a function that makes a stage of a segmenter wait for a condition before each image.

    That returns the images or inferences for which the stage was begun.
    """
    def hold_stage(segmenter, name, condition):
        begun, work = [], getattr(segmenter, name)

        def held(frame, **options):
            begun.append(frame)
            wait_for(condition)
            return work(frame, **options)
        monkeypatch.setattr(segmenter, name, held)
        return begun
    return hold_stage


def stamps(messages):
    return [message.header.stamp.sec for message in messages]


def stage_threads():
    return [thread for thread in threading.enumerate() if '_stage' in thread.name]


def test_an_image_is_in_the_network_while_the_one_before_is_refined(active, make_image, hold):
    results, camera = active.listen_to_results()['instances'], active.camera()
    segmenter = active.node._stages.segmenter
    inferred = hold(segmenter, 'infer', lambda: True)
    processed = hold(segmenter, 'postprocess', lambda: len(inferred) > len(processed))
    camera.publish(make_image(1))
    active.spin_until(lambda: processed, 'the first image between the stages')
    assert len(inferred) == 1 and not results
    camera.publish(make_image(2))
    # Only the second image in the network lets the first one go on.
    active.spin_until(lambda: results, 'the first result')
    camera.publish(make_image(3))
    active.spin_until(lambda: len(results) == 2, 'the second result')
    assert stamps(results) == [1, 2]
    inferred.append('no further image will come')


def test_a_burst_comes_back_in_order_without_its_bad_images(active, scene, make_image):
    results, camera, diagnostics = (active.listen_to_results(), active.camera(),
                                    active.diagnostics())
    bad = {4, 5, 13}
    for number in range(1, 21):
        message = make_image(number)
        if number in bad:
            message.data = message.data[:100]
        camera.publish(message)
    good = [number for number in range(1, 21) if number not in bad]
    for messages in results.values():
        active.spin_until(lambda: len(messages) == len(good), 'results')
        assert stamps(messages) == good
    active.spin_until(lambda: diagnostics and values_of(diagnostics[-1])['frames_out'] == '17')
    values = values_of(diagnostics[-1])
    assert (values['frames_in'], values['frames_dropped'], values['frames_superseded']) == (
        '20', '3', '0')
    for message in results['instance_image']:
        np.testing.assert_array_equal(
            np.frombuffer(message.data, np.uint16).reshape(120, 160), scene[2])


def test_deactivating_publishes_what_was_begun_and_nothing_else(active, make_image, hold):
    node = active.node
    results, camera = active.listen_to_results(), active.camera()
    diagnostics = active.diagnostics()
    segmenter, pipeline = node._stages.segmenter, node._pipeline
    # Until deactivation begins, the first image stays in the one stage, the second in the other.
    released = threading.Event()

    def may_go_on():
        if pipeline._is_closed:
            released.set()
        return released.is_set()
    inferred = hold(segmenter, 'infer', lambda: len(inferred) < 2 or may_go_on())
    hold(segmenter, 'postprocess', may_go_on)
    for number in range(1, 6):
        camera.publish(make_image(number))
    active.spin_until(lambda: len(inferred) == 2 and active.statistics.frames_in == 5)
    assert active.change_state('deactivate')
    assert active.state() == 'inactive' and not stage_threads()
    active.spin_until(lambda: diagnostics and values_of(diagnostics[-1])['frames_out'] == '2')
    values = values_of(diagnostics[-1])
    assert (values['frames_in'], values['frames_dropped'], values['frames_superseded']) == (
        '2', '0', '3')
    assert active.change_state('activate')
    camera = active.camera()
    camera.publish(make_image(6))
    for messages in results.values():
        active.spin_until(lambda: len(messages) == 3, 'results')
        assert stamps(messages) == [1, 2, 6]


@pytest.mark.parametrize('end', [lambda graph: graph.change_state('active_shutdown'),
                                 lambda graph: graph.node.destroy_node() is None])
def test_no_thread_outlives_the_node(active, make_image, hold, end):
    camera, node = active.camera(), active.node
    begun = hold(node._stages.segmenter, 'postprocess', lambda: node._pipeline is None)
    for number in range(1, 6):
        camera.publish(make_image(number))
    active.spin_until(lambda: begun, 'an image in the second stage')
    assert len(stage_threads()) == 2
    assert end(active)
    assert not stage_threads()


def test_an_image_meets_either_the_old_or_the_new_parameters(active, make_image, hold):
    results, camera = active.listen_to_results()['instances'], active.camera()
    changed = threading.Event()
    begun = hold(active.node._stages.segmenter, 'postprocess', changed.is_set)
    camera.publish(make_image(1))
    active.spin_until(lambda: begun, 'the first image in the second stage')
    assert active.set_parameter('grouping.center_threshold', 0.9) == ''
    assert active.set_parameter('refinement.method', 'nearest') == ''
    changed.set()
    camera.publish(make_image(2))
    active.spin_until(lambda: len(results) == 2, 'results')
    assert [len(message.detections) for message in results] == [2, 1]


def test_parameters_may_change_with_every_image(active, make_image):
    results, camera = active.listen_to_results()['instances'], active.camera()
    for number, method in enumerate(['nearest', 'bilateral', 'slic'] * 3, start=1):
        camera.publish(make_image(number))
        assert active.set_parameter('refinement.method', method) == ''
    active.spin_until(lambda: len(results) == 9, 'results')
    assert stamps(results) == list(range(1, 10))
    assert {len(message.detections) for message in results} == {2}
    assert active.statistics.frames_dropped == 0


def test_two_nodes_share_a_process(graph, rclpy, tiny_model, scene, make_image):
    from rclpy.parameter import Parameter
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import Image

    from instseg_ros.node.segmenter_node import SegmenterNode
    parameters = {'model': str(tiny_model), 'image_reliability': 'reliable', 'image_depth': 30}
    results, cameras = {}, {}
    for name in ('left', 'right'):
        node = graph.add(SegmenterNode(
            context=graph.context, namespace=name, parameter_overrides=[
                Parameter(key, value=value) for key, value in parameters.items()]))
        assert node.start()
        results[name] = graph.listen(Image, f'/{name}/segmenter/instance_image')
        cameras[name] = graph.observer.create_publisher(
            Image, f'/{name}/image', QoSProfile(depth=50))
        output, = (publisher for publisher in node.publishers
                   if publisher.topic_name == f'/{name}/segmenter/instance_image')
        image, = (subscription for subscription in node.subscriptions
                  if subscription.topic_name == f'/{name}/image')
        graph.spin_until(lambda: cameras[name].get_subscription_count()
                         and image.get_publisher_count() and output.get_subscription_count())
    for number in range(1, 11):
        for name, camera in cameras.items():
            camera.publish(make_image(number, frame_id=name))
    for name, messages in results.items():
        graph.spin_until(lambda: len(messages) == 10, f'results of {name}')
        assert stamps(messages) == list(range(1, 11))
        for message in messages:
            assert message.header.frame_id == name
            np.testing.assert_array_equal(
                np.frombuffer(message.data, np.uint16).reshape(120, 160), scene[2])


def test_instances_beyond_the_limit_are_counted_and_warned_about(active, make_image, capfd):
    results, camera, diagnostics = (active.listen_to_results()['instances'], active.camera(),
                                    active.diagnostics())
    assert active.set_parameter('grouping.max_instances', 1) == ''
    for number in (1, 2):
        camera.publish(make_image(number))
    active.spin_until(lambda: len(results) == 2, 'results')
    assert [len(message.detections) for message in results] == [1, 1]
    active.spin_until(
        lambda: diagnostics and values_of(diagnostics[-1])['instances_dropped'] == '2')
    assert max(message.status[0].level for message in diagnostics) == b'\x01'
    assert 'grouping.max_instances' in values_of(diagnostics[-1])['last_error']
    assert '1 instances of an image dropped' in ''.join(capfd.readouterr())


def test_the_age_is_told_where_stamps_are_of_the_same_clock(active, make_image):
    results, camera, diagnostics = (active.listen_to_results()['instances'], active.camera(),
                                    active.diagnostics())

    def age(message, count):
        camera.publish(message)
        active.spin_until(lambda: values_of(diagnostics[-1])['frames_out'] == str(count))
        return values_of(diagnostics[-1])['age_ms']
    active.spin_until(lambda: diagnostics)
    now = make_image()
    now.header.stamp = active.node.get_clock().now().to_msg()
    assert float(age(now, 1)) > 0
    assert age(make_image(1), 2) == ''
    strange = make_image()
    strange.header.stamp.sec = -5
    assert age(strange, 3) == ''
    assert len(results) == 3
