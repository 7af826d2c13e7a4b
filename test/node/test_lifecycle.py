"""The life cycle through the real services."""
import pytest

from instseg_ros import installed

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
    graph.start(model=str(tiny_model), network__provider='cuda')
    diagnostics = graph.diagnostics()
    assert not graph.change_state('configure')
    assert graph.state() == 'unconfigured'
    graph.spin_until(lambda: any('cuda was asked for' in message.status[0].message
                                 for message in diagnostics))
    assert max(message.status[0].level for message in diagnostics) == b'\x02'
    assert 'cuda was asked for' in ''.join(capfd.readouterr())


def test_without_a_model_the_installed_one_is_taken(graph, tmp_path, monkeypatch):
    share = tmp_path / 'share'
    (share / 'ament_index' / 'resource_index' / 'packages').mkdir(parents=True)
    (share / 'ament_index' / 'resource_index' / 'packages' / 'instseg_ros').touch()
    (share / 'instseg_ros' / 'models').mkdir(parents=True)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    monkeypatch.setattr(installed, '__file__', str(tmp_path / 'no' / 'sources.py'))
    monkeypatch.setattr(installed.sys, 'prefix', str(tmp_path / 'python'))
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
