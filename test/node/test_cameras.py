"""One node with several cameras, over real DDS: each is served, counted and reported by itself."""
import numpy as np
import pytest

pytest.importorskip('tiny_models', reason='needs onnx')
node_tools = pytest.importorskip('node_tools')
wait_for = node_tools.wait_for
WARN = b'\x01'


def start(graph, model, names, **parameters):
    """Make the active node and return publisher and received instance images of each camera."""
    from sensor_msgs.msg import Image
    graph.start('configure', 'activate', model=str(model), image_reliability='reliable',
                cameras=names, **parameters)
    cameras = {name: graph.camera(topic=f'/{name}/image') for name in names}
    results = {name: graph.listen(Image, f'/segmenter/{name}/instance_image') for name in names}
    return cameras, results


def stamps(messages):
    return [message.header.stamp.sec for message in messages]


def counts(node):
    """Return frames in, out, dropped and superseded of each camera."""
    return {camera.name: (camera.statistics.frames_in, camera.statistics.frames_out,
                          camera.statistics.frames_dropped, camera.statistics.frames_superseded)
            for camera in node._cameras}


def statuses(messages):
    """Return the statuses of the last diagnostics message by name."""
    return {status.name: status for status in messages[-1].status}


def value(status, key):
    return next(entry.value for entry in status.values if entry.key == key)


def test_each_camera_has_results_with_its_own_headers(graph, tiny_model, scene, make_image):
    cameras, results = start(graph, tiny_model, ['front', 'rear'])
    empty = np.zeros((50, 70, 3), np.uint8)
    cameras['front'].publish(make_image(1, frame_id='front_optical'))
    cameras['rear'].publish(make_image(2, frame_id='rear_optical', pixels=empty))
    graph.spin_until(lambda: all(results.values()), 'results of both cameras')
    front, rear = results['front'][0], results['rear'][0]
    assert (front.header.frame_id, rear.header.frame_id) == ('front_optical', 'rear_optical')
    assert (stamps([front]), stamps([rear])) == ([1], [2])
    np.testing.assert_array_equal(
        np.frombuffer(front.data, np.uint16).reshape(120, 160), scene[2])
    assert (rear.height, rear.width, any(rear.data)) == (50, 70, False)
    topics = dict(graph.observer.get_topic_names_and_types())
    assert '/segmenter/rear/label_info' in topics and '/segmenter/semantic_image' not in topics


def test_a_stalled_and_a_flooding_camera_delay_no_other(graph, tiny_model, make_image,
                                                        monkeypatch):
    """While each image is in the network one camera sends ten, two send one, and one none."""
    names = ['stalled', 'flooding', 'left', 'right']
    cameras, results = start(graph, tiny_model, names)
    segmenter, node = graph.node._stages.segmenter, graph.node
    infer, rounds = segmenter.infer, 20
    sent = dict.fromkeys(names, 0)

    def send(name):
        sent[name] += 1
        cameras[name].publish(make_image(sent[name], frame_id=name))

    def is_counted():
        return all(counts(node)[name][0] + counts(node)[name][3] == sent[name] for name in names)

    served = []

    def slow_infer(image):
        served.append(1)
        if len(served) <= rounds:
            for _ in range(10):
                send('flooding')
            for name in ('left', 'right'):
                send(name)
            wait_for(is_counted)
        return infer(image)
    for name in names:  # images lost on the way are only counted after the first one
        send(name)
        graph.spin_until(lambda: results[name], f'a result of {name}')
    monkeypatch.setattr(segmenter, 'infer', slow_infer)
    send('left')
    graph.spin_until(lambda: all(stamps(results[name])[-1:] == [sent[name]] for name in names)
                     and len(served) > rounds, 'the newest image of each camera')
    assert stamps(results['stalled']) == [1]
    for name in ('left', 'right'):
        # Every third image that the network takes is this camera's, and the newest then.
        assert len(results[name]) >= rounds // 3
        assert max(np.diff(stamps(results[name]))) <= 3
    assert abs(len(results['flooding']) - len(results['left'])) <= 1
    graph.spin_until(lambda: all(counts(node)[name][1] == len(results[name]) for name in names))
    for name, (arrived, out, dropped, superseded) in counts(node).items():
        assert (arrived, out, dropped) == (len(results[name]), len(results[name]), 0)
        assert arrived + superseded == sent[name]


@pytest.mark.parametrize('max_batch, batches', [(1, [1, 1, 1, 1]), (2, [2, 1, 1]), (8, [3, 1])])
def test_images_of_one_size_that_wait_together_are_batched(graph, tiny_model, scene, make_image,
                                                           monkeypatch, max_batch, batches):
    """Images of four cameras wait for one in the network; one of them has another size."""
    names = ['front', 'rear', 'left', 'odd']
    cameras, results = start(graph, tiny_model, names, network__max_batch=max_batch)
    sizes = {name: (128, 32) if name == 'odd' else (120, 160) for name in names}
    pixels = {name: np.resize(scene[0], (*sizes[name], 3)) for name in names}

    def send(name, number):
        cameras[name].publish(make_image(number, frame_id=name, pixels=pixels[name]))

    def are_done(count):
        return all(len(messages) == count for messages in results.values())
    for name in names:  # sizes are known only after the first image
        send(name, 1)
    graph.spin_until(lambda: are_done(1), 'the first results')
    segmenter = graph.node._stages.segmenter
    infer_batch, seen = segmenter.infer_batch, []

    def slow_infer_batch(images):
        seen.append(len(images))
        if len(seen) == 1:
            for name in names:
                send(name, 3)
            wait_for(lambda: all(camera.statistics.frames_in == 3 - (name != 'front')
                                 for name, camera in zip(names, graph.node._cameras)))
        return infer_batch(images)
    monkeypatch.setattr(segmenter, 'infer_batch', slow_infer_batch)
    send('front', 2)
    graph.spin_until(lambda: len(results['odd']) == 2 and len(results['front']) == 3)
    graph.spin_until(lambda: len(results['rear']) == len(results['left']) == 2)
    assert sorted(seen[1:], reverse=True) == batches
    for name, messages in results.items():
        assert stamps(messages) == ([1, 2, 3] if name == 'front' else [1, 3])
        assert {message.header.frame_id for message in messages} == {name}
        first, *others = [np.frombuffer(message.data, np.uint16) for message in messages]
        assert all(np.array_equal(first, other) for other in others)


def test_the_diagnostics_have_a_status_for_each_camera(graph, tiny_model, make_image):
    cameras, results = start(graph, tiny_model, ['front', 'rear'])
    messages = graph.diagnostics()
    bad = make_image(1)
    bad.encoding = 'paisley'
    cameras['rear'].publish(bad)
    cameras['front'].publish(make_image(2))
    graph.spin_until(lambda: results['front'], 'a result')
    graph.spin_until(lambda: any(status.name == '/segmenter/rear' and status.level == WARN
                                 for message in messages for status in message.status),
                     'a warning of the rear camera')
    graph.spin_until(lambda: value(statuses(messages)['/segmenter/front'], 'frames_out') == '1')
    found = statuses(messages)
    assert list(found) == ['/segmenter', '/segmenter/front', '/segmenter/rear']
    assert value(found['/segmenter'], 'model') == str(tiny_model)
    assert value(found['/segmenter/rear'], 'frames_dropped') == '1'
    assert 'paisley' in value(found['/segmenter/rear'], 'last_error')
    assert [value(found[name], 'last_error') for name in ('/segmenter', '/segmenter/front')] == [
        '', '']
    for message in messages:
        assert {status.level for status in message.status
                if status.name != '/segmenter/rear'} == {b'\x00'}


@pytest.mark.parametrize('names, reason', [
    ([], 'at least one name, got an empty list'),
    (['front', ''], "got an empty one in ['front', '']"),
    (['', ''], 'a name for each of several cameras'),
    (['front', 'rear', 'front'], "different names, got 'front' twice"),
    (['front camera'], "letters, digits and underscores that begin with a letter, got 'front ca"),
    (['2nd'], "got '2nd'"),
    (['front/left'], "got 'front/left'"),
    (['é'], "got 'é'"),
])
def test_names_that_cannot_be_are_refused(graph, names, reason):
    from rclpy.parameter import Parameter
    graph.start()
    answer, = graph.node.set_parameters([Parameter('cameras', Parameter.Type.STRING_ARRAY, names)])
    assert not answer.successful
    assert answer.reason.startswith('cameras: expected') and reason in answer.reason


def test_cameras_change_when_the_node_is_configured_anew(graph, tiny_model, make_image):
    start(graph, tiny_model, ['front', 'rear'])
    assert 'deactivate and clean up' in graph.set_parameter('cameras', ['front'])
    assert graph.set_parameter('cameras', ['front', 'rear']) == ''
    assert graph.change_state('deactivate') and graph.change_state('cleanup')
    assert graph.set_parameter('cameras', ['']) == ''
    assert graph.change_state('configure') and graph.change_state('activate')
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    camera.publish(make_image())
    graph.spin_until(lambda: results, 'a result')
    graph.spin_until(lambda: graph.observer.count_publishers('/segmenter/rear/instances') == 0)
