"""Control at run time: pause, single images, the limit of the rate, and another model."""
from types import SimpleNamespace

import pytest

tiny_models = pytest.importorskip('tiny_models', reason='needs onnx')
node_tools = pytest.importorskip('node_tools')
status_of, values_of = node_tools.status_of, node_tools.values_of
COUNTS = ('frames_in', 'frames_out', 'frames_dropped', 'frames_superseded', 'frames_skipped')


@pytest.fixture
def active(graph, tiny_model):
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable',
                image_depth=30)
    return graph


def stamps(messages):
    return [message.header.stamp.sec for message in messages]


def counts(graph):
    return [getattr(graph.statistics, name) for name in COUNTS]


def ask(graph):
    """Call ~/segment; return the future of its answer once the call has arrived."""
    requests = graph.node._cameras.requests['']
    before = len(requests._waiting)
    answer = graph.client('segment').call_async(graph.client('segment').srv_type.Request())
    graph.spin_until(lambda: len(requests._waiting) > before or answer.done(), 'the call')
    return answer


def test_a_pause_skips_images_and_keeps_the_model(active, make_image):
    results, camera, messages = (active.listen_to_results()['instances'], active.camera(),
                                 active.diagnostics())
    segmenter = active.node._stages.segmenter
    for number, data in enumerate([True, False, False, True, True], start=1):
        answer = active.call('enable', data=data)
        assert answer.success and ('paused' in answer.message) == (not data)
        camera.publish(make_image(number))
        active.spin_until(lambda: sum(counts(active)[1:]) == number, 'the image')
    active.spin_until(lambda: len(results) == 3, 'results')
    assert stamps(results) == [1, 4, 5]
    assert counts(active) == [3, 3, 0, 0, 2]
    for data, state in ((False, 'active, paused: '), (True, 'active: ')):
        assert active.call('enable', data=data).success
        active.spin_until(lambda: messages and status_of(messages[-1])[1].startswith(state))
    assert values_of(messages[-1])['frames_skipped'] == '2'
    assert active.node._stages.segmenter is segmenter and active.state() == 'active'


def test_a_pause_outlasts_transitions(graph, tiny_model, make_image):
    graph.start(model=str(tiny_model), image_reliability='reliable')
    assert graph.call('enable', data=False).success
    assert graph.change_state('configure') and graph.change_state('activate')
    camera = graph.camera()
    camera.publish(make_image())
    graph.spin_until(lambda: graph.statistics.frames_skipped == 1, 'the image')
    assert counts(graph) == [0, 0, 0, 0, 1]


def test_a_single_image_is_segmented_during_a_pause(active, make_image):
    results, camera = active.listen_to_results(), active.camera()
    assert active.call('enable', data=False).success
    camera.publish(make_image(1))
    active.spin_until(lambda: active.statistics.frames_skipped == 1, 'the image')
    answer = ask(active)
    for number in (2, 3):
        camera.publish(make_image(number))
    active.spin_until(answer.done, 'the answer')
    assert answer.result().success
    assert answer.result().message == '2 objects in the image with the stamp 2.000002000'
    active.spin_until(lambda: all(results.values()) and active.statistics.frames_skipped == 2)
    for messages in results.values():
        assert stamps(messages) == [2]


def test_several_calls_may_wait_for_the_same_image(active, make_image):
    active.listen_to_results()
    camera = active.camera()
    answers = [ask(active) for _ in range(3)]
    camera.publish(make_image(7))
    active.spin_until(lambda: all(answer.done() for answer in answers), 'the answers')
    assert {answer.result().message for answer in answers} == {
        '2 objects in the image with the stamp 7.000007000'}


def test_a_call_whose_image_is_lost_says_why(active, make_image):
    camera = active.camera()
    bad = make_image()
    bad.data = bad.data[:9]
    answer = ask(active)
    camera.publish(bad)
    active.spin_until(answer.done, 'the answer')
    assert not answer.result().success and 'ImageError: data: expected' in answer.result().message


def test_a_call_without_an_image_ends_as_well(active, monkeypatch):
    from instseg_ros.node import requests
    answer = ask(active)
    monkeypatch.setattr(requests, 'PATIENCE', 0.0)
    active.spin_until(answer.done, 'the answer')
    assert not answer.result().success and 'no result within' in answer.result().message


@pytest.mark.parametrize('transitions', [['deactivate'], ['active_shutdown']])
def test_a_call_that_waits_at_the_end_is_refused(active, transitions):
    answer = ask(active)
    for transition in transitions:
        assert active.change_state(transition)
    active.spin_until(answer.done, 'the answer')
    assert not answer.result().success
    assert answer.result().message == 'the node was deactivated'
    active.call('get_state')  # the executor lives


@pytest.mark.parametrize('states', [(), ('configure',)])
def test_a_call_to_a_node_that_is_not_active_is_refused(graph, tiny_model, states):
    graph.start(*states, model=str(tiny_model))
    answer = graph.call('segment')
    assert not answer.success and answer.message == 'the node is not active'


def test_every_camera_has_the_service(graph, tiny_model, make_image):
    from sensor_msgs.msg import Image
    from std_srvs.srv import Trigger
    node = graph.start('configure', 'activate', model=str(tiny_model),
                       image_reliability='reliable', cameras=['front', 'rear'])
    client = graph.observer.create_client(Trigger, '/segmenter/rear/segment')
    graph.spin_until(client.service_is_ready, 'the service')
    assert graph.call('enable', data=False).success
    cameras = {name: graph.observer.create_publisher(Image, f'/{name}/image', 10)
               for name in ('front', 'rear')}
    graph.spin_until(lambda: all(camera.get_subscription_count() for camera in cameras.values()))
    answer = client.call_async(Trigger.Request())
    graph.spin_until(lambda: node._cameras.requests['rear']._waiting, 'the call')

    def is_done():
        for camera in cameras.values():  # until both ends know of each other
            camera.publish(make_image(1))
        return answer.done()
    graph.spin_until(is_done, 'the answer')
    assert answer.result().success
    front, rear = (camera.statistics for camera in node._cameras)
    assert (front.frames_out, rear.frames_out) == (0, 1)


def test_the_rate_is_limited_from_the_next_image_on(active, make_image, monkeypatch):
    results, camera = active.listen_to_results()['instances'], active.camera()
    now = 1000.0
    # The name in that module only: the rest of the process goes on in real time.
    monkeypatch.setattr('instseg_ros.node.camera.time', SimpleNamespace(monotonic=lambda: now))
    for number, rate in enumerate([0.0, 10.0, 10.0, 10.0, 0.0, 0.0], start=1):
        assert active.set_parameter('max_rate', rate) == ''
        now += 0.01
        camera.publish(make_image(number))
        active.spin_until(lambda: sum(counts(active)[1:]) == number, 'the image')
    active.spin_until(lambda: len(results) == 4, 'results')
    assert stamps(results) == [1, 2, 5, 6]
    assert counts(active) == [4, 4, 0, 0, 2]


def test_the_model_is_swapped_on_the_running_node(active, make_image, tmp_path):
    messages = active.diagnostics()
    other = tmp_path / 'other.onnx'
    info = tiny_models.tiny_info(class_names=('road', 'dog', 'cat', 'cow', 'horse'))
    tiny_models.write_tiny_model(other, info)
    before = active.node._stages.segmenter.network.checksum
    for transition in ('deactivate', 'cleanup'):
        assert active.change_state(transition)
    assert active.set_parameter('model', str(other)) == ''
    for transition in ('configure', 'activate'):
        assert active.change_state(transition)
    results, camera = active.listen_to_results()['instances'], active.camera()
    camera.publish(make_image(1))
    active.spin_until(lambda: results, 'a result')
    assert active.node._stages.segmenter.model_info.class_names == info.class_names
    active.spin_until(lambda: messages and values_of(messages[-1])['model'] == str(other))
    assert values_of(messages[-1])['model_sha256'] not in ('', before)
