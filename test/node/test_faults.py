"""Faults injected into the live node: each is reported, and none ends it or makes it stall."""
import threading

import pytest

from instseg_ros.node.worker import are_running

pytest.importorskip('tiny_models', reason='needs onnx')
node_tools = pytest.importorskip('node_tools')
status_of, values_of, wait_for = node_tools.status_of, node_tools.values_of, node_tools.wait_for
OK, WARN, ERROR = b'\x00', b'\x01', b'\x02'
NODE = 'instseg_ros.node.segmenter_node.SegmenterNode.'


class Broken(Exception):
    """An error of a kind that nothing in the node expects."""


def raising(error):
    def fail(*args, **kwargs):
        raise error('the lamp is off')
    return fail


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Check after each test that no stage goes on in the background."""
    yield
    wait_for(lambda: not are_running())


@pytest.fixture
def active(graph, tiny_model):
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable',
                image_depth=30)
    return graph


class Faulty:
    """A stage of a segmenter that fails while `error` is set."""

    def __init__(self, segmenter, name, monkeypatch):
        self.error, self._work = None, getattr(segmenter, name)
        self.calls = 0
        monkeypatch.setattr(segmenter, name, self)

    def __call__(self, *args, **options):
        self.calls += 1
        if self.error is not None:
            raise self.error('the lamp is off')
        return self._work(*args, **options)


@pytest.mark.parametrize('error', [Broken, SystemExit, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize('stage', ['infer_batch', 'postprocess'])
def test_an_exception_in_a_stage_costs_one_image(active, make_image, monkeypatch, stage, error):
    results, camera, messages = (active.listen_to_results()['instances'], active.camera(),
                                 active.diagnostics())
    faulty = Faulty(active.node._stages.segmenter, stage, monkeypatch)
    faulty.error = error
    camera.publish(make_image(1))
    active.spin_until(lambda: active.statistics.frames_dropped == 1, 'the loss')
    faulty.error = None
    camera.publish(make_image(2))
    active.spin_until(lambda: results, 'a result')
    assert [message.header.stamp.sec for message in results] == [2]
    active.spin_until(lambda: any(
        status_of(message)[0] == ERROR and 'the lamp is off' in values_of(message)[
            'condition.image_lost'] for message in messages if 'condition.image_lost' in values_of(
                message)), 'the report')
    active.spin_until(lambda: messages and status_of(messages[-1])[0] == OK, 'the all-clear')


@pytest.mark.parametrize('stage', ['infer_batch', 'postprocess'])
def test_three_losses_in_a_row_load_the_model_again(active, make_image, monkeypatch, stage):
    results, camera, messages = (active.listen_to_results()['instances'], active.camera(),
                                 active.diagnostics())
    before = active.node._stages.segmenter
    Faulty(before, stage, monkeypatch).error = Broken  # as a session after an error of the GPU
    for number in range(1, 4):
        camera.publish(make_image(number))
    active.spin_until(lambda: active.node._stages.segmenter is not before, 'a new session')
    assert active.statistics.frames_dropped == 3
    active.spin_until(lambda: any('3 images in a row were lost' in status_of(message)[1]
                                  for message in messages), 'the report')
    assert active.state() == 'active'
    camera.publish(make_image(4))
    active.spin_until(lambda: results, 'a result')
    active.spin_until(lambda: messages and status_of(messages[-1])[0] == OK, 'the all-clear')


def test_after_three_more_it_goes_to_the_error_state_and_says_so(active, make_image, monkeypatch,
                                                                 capfd):
    from instseg_ros.core.segmenter import Segmenter
    camera, messages = active.camera(), active.diagnostics()
    events = active.listen_to_transitions()
    node = active.node
    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, 'infer_batch', raising(Broken))
        patch.setattr(Segmenter, 'warm_up', lambda segmenter: None)
        number = 0

        def send():
            nonlocal number
            number += 1
            camera.publish(make_image(number))
            return node._pipeline is None
        active.spin_until(send, 'the error state')
        active.spin_until(lambda: messages and 'unconfigured' in status_of(messages[-1])[1])
    assert active.state() == 'unconfigured'
    assert 'errorprocessing' in [event.goal_state.label for event in events]
    level, text = status_of(messages[-1])
    assert level == ERROR
    assert 'Broken: the lamp is off' in text and 'configure and activate' in text
    assert 'images in a row were lost' in ''.join(capfd.readouterr())
    assert active.change_state('configure') and active.change_state('activate')
    results = active.listen_to_results()['instances']
    active.camera().publish(make_image())
    active.spin_until(lambda: results, 'a result')
    active.spin_until(lambda: messages and status_of(messages[-1])[0] == OK, 'the all-clear')


def test_a_model_that_cannot_be_loaded_again_is_the_error_state_too(active, make_image,
                                                                    monkeypatch, tmp_path):
    camera, messages = active.camera(), active.diagnostics()
    Faulty(active.node._stages.segmenter, 'infer_batch', monkeypatch).error = Broken
    monkeypatch.setattr(active.node, '_model', tmp_path / 'gone.onnx')
    for number in range(1, 4):
        camera.publish(make_image(number))
    active.spin_until(lambda: messages and 'unconfigured' in status_of(messages[-1])[1])
    assert 'could not be loaded again' in status_of(messages[-1])[1]


@pytest.mark.parametrize('name, target', [
    ('report', 'make_reports'), ('parameters', 'read_configs'),
    ('check_parameters', 'reason_to_refuse'), ('image', 'Statistics.frame_arrived')])
@pytest.mark.parametrize('error', [Broken, SystemExit])
def test_an_exception_in_a_callback_is_an_error_until_it_succeeds(
        active, make_image, monkeypatch, capfd, name, target, error):
    camera, conditions = active.camera(), active.node._conditions
    module = 'statistics' if name == 'image' else 'segmenter_node'
    with monkeypatch.context() as patch:
        patch.setattr(f'instseg_ros.node.{module}.{target}', raising(error))
        camera.publish(make_image(1))
        if name in ('parameters', 'check_parameters'):
            reason = active.set_parameter('grouping.center_threshold', 0.9)
            assert ('the lamp is off' in reason) == (name == 'check_parameters')
        active.spin_until(lambda: f'callback.{name}' in conditions.report(), 'the condition')
        assert f'callback {name}, {error.__name__}: the lamp is off' in ''.join(
            capfd.readouterr())
    results, messages = active.listen_to_results()['instances'], active.diagnostics()
    assert active.set_parameter('grouping.center_threshold', 0.8) == ''
    camera.publish(make_image(2))
    active.spin_until(lambda: results and messages and status_of(messages[-1])[0] == OK)


@pytest.mark.parametrize('transition, target', [
    ('configure', NODE + 'load'), ('activate', 'instseg_ros.node.camera.Camera.activate'),
    ('deactivate', 'instseg_ros.node.camera.Camera.deactivate'),
    ('cleanup', 'instseg_ros.node.camera.Camera.release')])
def test_system_exit_in_a_transition_is_told(graph, tiny_model, monkeypatch, capfd, transition,
                                             target):
    before = {'activate': ['configure'], 'deactivate': ['configure', 'activate'],
              'cleanup': ['configure']}.get(transition, [])
    graph.start(*before, model=str(tiny_model))
    messages = graph.diagnostics()
    with monkeypatch.context() as patch:
        patch.setattr(target, raising(SystemExit))
        assert not graph.change_state(transition)
    graph.spin_until(lambda: any(level == ERROR and 'the lamp is off' in text
                                 for level, text in map(status_of, messages)))
    assert not are_running()
    assert 'the lamp is off' in ''.join(capfd.readouterr())
    states = {'activate': 'inactive'}
    assert graph.state() == states.get(transition, 'unconfigured')
    if transition != 'activate':
        assert graph.change_state('configure')
    assert graph.change_state('activate')


@pytest.mark.parametrize('stage, name', [('infer_batch', 'infer'), ('postprocess', 'finish')])
def test_a_stage_that_does_not_return_is_an_error_and_delays_no_transition(
        graph, tiny_model, make_image, monkeypatch, stage, name):
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable',
                stage_timeout=0.1, image_depth=30)
    camera, messages = graph.camera(), graph.diagnostics()
    segmenter, released = graph.node._stages.segmenter, threading.Event()
    with monkeypatch.context() as patch:
        work = getattr(segmenter, stage)

        def hang(*args, **options):
            assert released.wait(node_tools.TIMEOUT)
            return work(*args, **options)
        patch.setattr(segmenter, stage, hang)
        for number in range(1, 4):
            camera.publish(make_image(number))
        graph.spin_until(lambda: messages and status_of(messages[-1])[0] == ERROR, 'the error')
        assert f'in the stage "{name}" for more than 0.1 s' in status_of(messages[-1])[1]
        graph.spin_until(lambda: graph.statistics.frames_in == 3, 'the images')
        assert graph.state() == 'active'
        assert graph.change_state('deactivate') and graph.state() == 'inactive'
    assert 'condition.stuck' not in values_of(messages[-1])
    statistics = graph.statistics
    assert statistics.frames_in + statistics.frames_superseded == 3
    assert statistics.frames_out == 0
    assert statistics.frames_dropped == statistics.frames_in
    results = graph.listen_to_results()['instances']
    assert graph.change_state('activate')
    graph.camera().publish(make_image(4))
    graph.spin_until(lambda: results, 'a result')
    released.set()  # what comes of the old images now is dropped
    graph.camera().publish(make_image(5))
    graph.spin_until(lambda: len(results) == 2, 'a result')
    assert [message.header.stamp.sec for message in results] == [4, 5]
    assert graph.statistics.frames_out == 2


def test_a_slow_stage_is_an_error_only_while_it_lasts(active, make_image, monkeypatch):
    results, camera, messages = (active.listen_to_results()['instances'], active.camera(),
                                 active.diagnostics())
    assert active.set_parameter('stage_timeout', 0.1) == ''
    segmenter, released = active.node._stages.segmenter, threading.Event()
    infer = segmenter.infer_batch
    monkeypatch.setattr(segmenter, 'infer_batch',
                        lambda images: (released.wait(node_tools.TIMEOUT), infer(images))[1])
    camera.publish(make_image())
    active.spin_until(lambda: messages and status_of(messages[-1])[0] == ERROR, 'the error')
    released.set()
    active.spin_until(lambda: results, 'a result')
    active.spin_until(lambda: messages and status_of(messages[-1])[0] == OK, 'the all-clear')
    assert active.statistics.frames_dropped == 0
