"""The lifecycle through the real services."""
import weakref

import pytest
from node_tools import status_of, values_of

from instseg_ros import installed

pytest.importorskip('onnxruntime')
from mock_gpu import CUDNN_8, mock_broken_cuda

tiny_models = pytest.importorskip('tiny_models', reason='needs onnx')
STATES = {'unconfigured': (), 'inactive': ('configure',), 'active': ('configure', 'activate')}


def subscriptions(graph):
    """Return how many of the node's subscriptions to images there are."""
    return graph.observer.count_subscribers('/image')


def test_a_whole_life(graph, tiny_model):
    node = graph.start(model=str(tiny_model))
    assert graph.state() == 'unconfigured'
    for _ in range(2):
        assert graph.change_state('configure') and graph.state() == 'inactive'
        graph.spin_until(lambda: graph.observer.count_publishers('/segmenter/instances') == 1)
        assert subscriptions(graph) == 0
        for _ in range(2):
            assert graph.change_state('activate') and graph.state() == 'active'
            graph.spin_until(lambda: subscriptions(graph) == 1)
            assert graph.change_state('deactivate') and graph.state() == 'inactive'
            graph.spin_until(lambda: subscriptions(graph) == 0)
        assert graph.change_state('cleanup') and graph.state() == 'unconfigured'
        graph.spin_until(lambda: graph.observer.count_publishers('/segmenter/instances') == 0)
    assert node.get_fully_qualified_name() == '/segmenter'


@pytest.mark.parametrize('transition', ['cleanup', 'inactive_shutdown'])
def test_cleanup_and_shutdown_release_the_model(graph, tiny_model, make_image, monkeypatch,
                                                transition):
    """Else two models would need memory while one is swapped for another."""
    node, models = graph.start(model=str(tiny_model), depth__enabled=True), []
    load = node.load

    def watch(path):
        segmenter = load(path)
        models.append(weakref.ref(segmenter.network))
        return segmenter

    monkeypatch.setattr(node, 'load', watch)
    for change in ('configure', 'activate'):
        assert graph.change_state(change)
    works(graph, make_image)
    model, = models
    for change in ('deactivate', transition):
        assert model() is not None
        assert graph.change_state(change)
    assert model() is None


@pytest.mark.parametrize('state', STATES)
def test_shutdown_in_every_state(graph, tiny_model, state):
    graph.start(*STATES[state], model=str(tiny_model))
    assert graph.state() == state
    assert graph.change_state(f'{state}_shutdown')
    assert graph.state() == 'finalized'
    graph.spin_until(lambda: subscriptions(graph) == 0
                     and graph.observer.count_publishers('/segmenter/instances') == 0)


def test_configure_fails_with_the_reason_and_can_be_tried_again(graph, tiny_model, tmp_path,
                                                                capfd):
    missing = tmp_path / 'missing.onnx'
    graph.start(model=str(missing))
    diagnostics = graph.diagnostics()
    assert not graph.change_state('configure')
    assert graph.state() == 'unconfigured'
    graph.spin_until(lambda: any(str(missing) in message.status[0].message
                                 for message in diagnostics))
    assert max(message.status[0].level for message in diagnostics) == b'\x02'
    assert f'cannot configure: {missing}' in ''.join(capfd.readouterr())
    assert graph.set_parameter('model', str(tiny_model)) == ''
    assert graph.change_state('configure')
    assert graph.state() == 'inactive'


@pytest.mark.parametrize('broken', ['no_metadata', 'missing_output', 'truncated', 'empty'])
def test_a_broken_model_does_not_configure(graph, tmp_path, broken, capfd):
    model = tmp_path / 'broken.onnx'
    tiny_models.write_tiny_model(model, broken=broken)
    graph.start(model=str(model))
    assert not graph.change_state('configure')
    assert graph.state() == 'unconfigured'
    assert str(model) in ''.join(capfd.readouterr())


def test_a_provider_that_is_not_there_is_an_error(graph, tiny_model, capfd):
    onnxruntime = pytest.importorskip('onnxruntime')
    if 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        pytest.skip('CUDA is there')
    assert 'has (cpu), got cuda' in failure_to_configure(
        graph, capfd, model=str(tiny_model), network__provider='cuda')


def test_a_provider_with_libraries_of_the_wrong_version_is_an_error(
        graph, tiny_model, capfd, monkeypatch):
    mock_broken_cuda(monkeypatch)
    assert f'cuda is installed but did not start: {CUDNN_8}' in failure_to_configure(
        graph, capfd, model=str(tiny_model), network__provider='cuda')


def failure_to_configure(graph, capfd, **parameters):
    """Return the text of the error in the diagnostics, which is in the log, too."""
    graph.start(**parameters)
    diagnostics = graph.diagnostics()
    assert not graph.change_state('configure')
    assert graph.state() == 'unconfigured'
    graph.spin_until(lambda: any(status_of(message)[0] == b'\x02' for message in diagnostics))
    text = status_of(diagnostics[-1])[1].removeprefix('unconfigured: ')
    assert text in ''.join(capfd.readouterr())
    return text


def test_a_fallback_of_the_automatic_choice_is_a_warning_while_the_model_is_loaded(
        graph, tiny_model, capfd, monkeypatch):
    mock_broken_cuda(monkeypatch)
    graph.start('configure', model=str(tiny_model), network__provider='auto')
    diagnostics = graph.diagnostics()
    graph.spin_until(lambda: diagnostics)
    level, text = status_of(diagnostics[-1])
    assert level == b'\x01' and values_of(diagnostics[-1])['provider'] == 'cpu'
    reason = f'the network runs on the CPU: cuda is installed but did not start: {CUDNN_8}'
    assert reason in text and reason in ''.join(capfd.readouterr())
    assert graph.change_state('cleanup')
    graph.spin_until(lambda: status_of(diagnostics[-1])[0] == b'\x00')


def test_without_a_model_the_installed_one_is_taken(graph, tmp_path, monkeypatch):
    share = tmp_path / 'share'
    (share / 'instseg_ros' / 'models').mkdir(parents=True)
    monkeypatch.setattr(installed, '__file__', str(tmp_path / 'no' / 'sources.py'))
    node = graph.start()
    assert not graph.change_state('configure')
    tiny_models.write_tiny_model(share / 'instseg_ros' / 'models' / 'street.onnx')
    assert graph.change_state('configure')
    assert node.count_publishers('/segmenter/instances') == 1


def test_autostart_makes_it_active(graph, tiny_model):
    node = graph.start(model=str(tiny_model), autostart=True)
    assert node.autostart and node.start()
    assert graph.state() == 'active'


def test_autostart_with_a_missing_model_leaves_it_unconfigured(graph, tmp_path):
    node = graph.start(model=str(tmp_path / 'missing.onnx'), autostart=True)
    assert not node.start()
    assert graph.state() == 'unconfigured'


class Broken(Exception):
    """An error of a kind that nothing in the node expects."""


def fail(*args, **kwargs):
    raise Broken('the lamp is off')


def told(graph, capfd, reason):
    """Wait until diagnostics show a reason, and return whether the log has it, too."""
    messages = graph.diagnostics()
    graph.spin_until(lambda: any(reason in message.status[0].message
                                 and message.status[0].level == b'\x02' for message in messages))
    return reason in ''.join(capfd.readouterr())


def works(graph, make_image):
    results, camera = graph.listen_to_results(), graph.camera()
    camera.publish(make_image())
    graph.spin_until(lambda: all(results.values()), 'results')
    return True


@pytest.mark.parametrize('target', [
    'instseg_ros.node.outputs.TOPICS', 'instseg_ros.node.segmenter_node.find_converter',
    'instseg_ros.core.segmenter.Segmenter.warm_up'])
def test_an_exception_while_configuring_is_told_and_leaves_nothing(graph, tiny_model, monkeypatch,
                                                                   capfd, make_image, target):
    from instseg_ros.node import outputs
    graph.start(model=str(tiny_model), image_reliability='reliable')
    with monkeypatch.context() as patch:
        # Of the topics, the third one can't be made.
        patch.setattr(target, fail if not target.endswith('TOPICS') else {
            name: (kind if number != 2 else 'no type', qos)
            for number, (name, (kind, qos)) in enumerate(outputs.TOPICS.items())})
        assert not graph.change_state('configure')
    assert graph.state() == 'unconfigured'
    assert told(graph, capfd, 'cannot configure: ')
    graph.spin_until(lambda: graph.observer.count_publishers('/segmenter/semantic_image') == 0)
    assert graph.change_state('configure') and graph.change_state('activate')
    assert works(graph, make_image)


@pytest.mark.parametrize('target', [
    'instseg_ros.node.outputs.Outputs.publish_labels', 'instseg_ros.node.segmenter_node.Pipeline',
    'instseg_ros.node.camera.ImageInput.open'])
def test_an_exception_while_activating_is_told_and_can_be_tried_again(
        graph, tiny_model, monkeypatch, capfd, make_image, target):
    graph.start('configure', model=str(tiny_model), image_reliability='reliable')
    with monkeypatch.context() as patch:
        patch.setattr(target, fail)
        assert not graph.change_state('activate')
    assert graph.state() == 'inactive' and subscriptions(graph) == 0
    assert not any(publisher.is_activated for publisher in graph.node.publishers
                   if hasattr(publisher, 'is_activated'))
    assert told(graph, capfd, 'cannot activate: the lamp is off')
    assert graph.change_state('activate')
    assert works(graph, make_image)


@pytest.mark.parametrize('transition, target', [
    ('deactivate', 'instseg_ros.node.pipeline.Pipeline.close'),
    ('deactivate', 'instseg_ros.node.segmenter_node.SegmenterNode.destroy_subscription'),
    ('cleanup', 'instseg_ros.node.outputs.Outputs.destroy')])
def test_an_exception_on_the_way_down_is_told_and_the_node_can_be_configured_anew(
        graph, tiny_model, monkeypatch, capfd, make_image, transition, target):
    before = ('configure', 'activate') if transition == 'deactivate' else ('configure',)
    graph.start(*before, model=str(tiny_model), image_reliability='reliable')
    pipeline = graph.node._pipeline
    with monkeypatch.context() as patch:
        patch.setattr(target, fail)
        assert not graph.change_state(transition)
    if pipeline is not None:
        pipeline.close(timeout=10.0)  # its threads would stay for later tests
    assert graph.state() == 'unconfigured'
    assert told(graph, capfd, 'the lamp is off')
    assert graph.change_state('configure') and graph.change_state('activate')
    messages = graph.diagnostics()
    graph.spin_until(lambda: messages and messages[-1].status[0].level == b'\x00')


def test_an_exception_while_shutting_down_is_told(graph, tiny_model, monkeypatch, capfd):
    graph.start('configure', model=str(tiny_model))
    with monkeypatch.context() as patch:
        patch.setattr('instseg_ros.node.outputs.Outputs.destroy', fail)
        assert graph.change_state('inactive_shutdown')
    assert graph.state() == 'finalized'
    assert told(graph, capfd, 'cannot shut down: the lamp is off')
