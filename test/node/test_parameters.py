"""Parameters: declared once, described, checked, and changed only when that can take effect."""
from pathlib import Path

import pytest

yaml = pytest.importorskip('yaml')
CONFIG = Path(__file__).resolve().parents[2] / 'config' / 'segmenter.yaml'


def flatten(tree, prefix=''):
    flat = {}
    for key, value in tree.items():
        flat.update(flatten(value, f'{prefix}{key}.') if isinstance(value, dict)
                    else {prefix + key: value})
    return flat


def test_the_parameter_file_holds_every_parameter_with_its_default(rclpy):
    from instseg_ros.node.options import parameter_options
    from instseg_ros.node.parameters import ros_value
    written = flatten(yaml.safe_load(CONFIG.read_text())['/**']['ros__parameters'])
    # The launch file and the start decide about autostart; the file only mentions it.
    assert '# autostart: false' in CONFIG.read_text()
    assert {**written, 'autostart': False} == {
        name: ros_value(item.default) for name, item in parameter_options()}


def test_every_parameter_is_described_with_its_range(graph):
    from instseg_ros.node.options import parameter_options
    graph.start()
    options = dict(parameter_options())
    answer = graph.call('describe_parameters', names=list(options))
    for descriptor, item in zip(answer.descriptors, options.values()):
        assert item.help in descriptor.description
        assert descriptor.additional_constraints
        if item.choices is not None:
            assert all(str(choice) in descriptor.additional_constraints for choice in item.choices)
        elif item.type in (int, float):
            ranges = descriptor.integer_range or descriptor.floating_point_range
            assert (ranges[0].from_value, ranges[0].to_value) == (item.minimum, item.maximum)
    values = graph.call('get_parameters', names=['grouping.center_threshold', 'model']).values
    assert (values[0].double_value, values[1].string_value) == (0.7, '')


@pytest.mark.parametrize('name, value, reason', [
    ('grouping.center_threshold', 1.5, '1.5'),
    ('grouping.center_threshold', 'high', 'type'),
    ('refinement.method', 'magic', 'refinement.method: expected one of slic'),
    ('image_depth', 0, '0'),
    ('image_reliability', 'sometimes', 'image_reliability: expected one of best_effort'),
    ('network.input_size', -1, '-1'),
    ('no.such.parameter', 1, 'undeclared'),
    ('autostart', True, 'only when the node starts'),
])
def test_a_value_that_is_not_allowed_is_refused_with_a_reason(graph, name, value, reason):
    graph.start()
    assert reason in graph.set_parameter(name, value)


@pytest.mark.parametrize('transitions, name, value, reason', [
    ((), 'model', 'other.onnx', ''),
    ((), 'network.provider', 'cpu', ''),
    (('configure',), 'model', 'other.onnx', 'clean up the node first'),
    (('configure',), 'network.input_size', 320, 'clean up the node first'),
    (('configure',), 'image_depth', 3, ''),
    (('configure', 'activate'), 'image_depth', 3, 'deactivate the node first'),
    (('configure', 'activate'), 'network.threads', 1, 'deactivate and clean up'),
    (('configure', 'activate'), 'grouping.center_threshold', 0.9, ''),
    (('configure', 'activate'), 'refinement.method', 'nearest', ''),
])
def test_a_change_is_only_taken_when_it_can_take_effect(graph, tiny_model, transitions, name,
                                                        value, reason):
    graph.start(*transitions, model=str(tiny_model))
    answer = graph.set_parameter(name, value)
    assert reason in answer and bool(reason) == bool(answer)


def test_thresholds_count_from_the_next_image_on(graph, tiny_model, make_image):
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable')
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    for number, (threshold, count) in enumerate([(0.7, 2), (0.9, 1), (0.5, 2)], start=1):
        assert graph.set_parameter('grouping.center_threshold', threshold) == ''
        camera.publish(make_image(number))
        graph.spin_until(lambda: len(results) == number, 'a result')
        assert len(results[-1].detections) == count


def test_classes_are_filtered_from_the_next_image_on(graph, tiny_model, make_image):
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable')
    results, camera = graph.listen_to_results(), graph.camera()
    for number, (classes, kept) in enumerate([('person', {1}), ('car, person', {1, 3}),
                                              ('bicycle', set()), ('', {1, 3})], start=1):
        assert graph.set_parameter('selection.classes', classes) == ''
        camera.publish(make_image(number))
        graph.spin_until(lambda: all(len(messages) == number for messages in results.values()))
        assert {int(item.results[0].hypothesis.class_id)
                for item in results['instances'][-1].detections} == kept
        assert set(results['semantic_image'][-1].data) == kept | {0}


@pytest.mark.parametrize('transitions', [('configure',), ('configure', 'activate')])
def test_a_class_that_the_loaded_model_lacks_is_refused(graph, tiny_model, transitions):
    graph.start(*transitions, model=str(tiny_model))
    assert 'did you mean person?' in graph.set_parameter('selection.classes', 'car, persn')
    assert graph.set_parameter('selection.classes', 'person') == ''


def test_a_class_that_the_model_lacks_fails_configure(graph, tiny_model):
    graph.start(model=str(tiny_model))
    assert graph.set_parameter('selection.classes', 'persn') == ''
    assert not graph.change_state('configure')
    assert 'did you mean person?' in graph.node._conditions.last_error


def test_the_refinement_changes_while_it_runs(graph, tiny_model, make_image):
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable',
                network__threads=1)
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    for number, method in enumerate(['nearest', 'bilateral', 'slic'], start=1):
        assert graph.set_parameter('refinement.method', method) == ''
        postprocessor = graph.node._stages.segmenter.postprocessor
        assert (postprocessor.refinement.method, postprocessor.threads) == (method, 1)
        camera.publish(make_image(number))
        graph.spin_until(lambda: len(results) == number, 'a result')
        assert len(results[-1].detections) == 2


def test_ids_become_stable_while_it_runs(graph, tiny_model, scene, make_image):
    from tiny_models import paint_scene, tiny_info
    _, semantic_ids, instance_ids = scene
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable')
    results = graph.listen_to_results()
    camera, boxes = graph.camera(), []
    for number in range(1, 7):
        if number == 3:
            assert graph.set_parameter('tracking.enabled', True) == ''
        stronger = 1 + number % 2  # changes in each image, and with it the order of the objects
        image = paint_scene(semantic_ids, instance_ids, tiny_info(),
                            confidence={stronger: 1.0, 3 - stronger: 0.8})
        camera.publish(make_image(number, pixels=image))
        graph.spin_until(lambda: len(results['instances']) == number, 'a result')
        boxes.append({item.bbox.center.position.x: item.id
                      for item in results['instances'][-1].detections})
    assert boxes[0] != boxes[1]
    assert boxes[2] == boxes[3] == boxes[4] == boxes[5]
    assert len(set(boxes[2].values())) == 2


def test_refused_changes_change_nothing(graph, tiny_model):
    node = graph.start('configure', model=str(tiny_model))
    before = node._configs
    assert graph.set_parameter('refinement.method', 'magic')
    assert node._configs == before
    assert node.get_parameter('refinement.method').value == 'slic'


@pytest.mark.parametrize('is_first', [True, False])
def test_a_change_that_another_callback_refuses_is_not_applied(graph, tiny_model, make_image,
                                                               is_first):
    from rcl_interfaces.msg import SetParametersResult

    def refuse(changes):
        return SetParametersResult(successful=False, reason='not today')
    node = graph.start('configure', 'activate', model=str(tiny_model),
                       image_reliability='reliable')
    node.add_on_set_parameters_callback(refuse)
    if not is_first:  # rclpy calls the callback that was added last first
        node.remove_on_set_parameters_callback(node._parameter_check)
        node.add_on_set_parameters_callback(node._parameter_check)
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    assert graph.set_parameter('grouping.center_threshold', 0.9) == 'not today'
    camera.publish(make_image())
    graph.spin_until(lambda: results, 'a result')
    assert len(results[0].detections) == 2  # one of them only has a confidence of 0.8


@pytest.mark.parametrize('transitions', [(), ('configure',), ('configure', 'activate')])
def test_the_shipped_file_can_be_loaded_completely_in_every_state(graph, transitions):
    """With the client behind `ros2 param load`."""
    client_module = pytest.importorskip('rclpy.parameter_client', reason='needs Iron or later')
    graph.start(*transitions)
    client = client_module.AsyncParameterClient(graph.observer, 'segmenter')
    graph.spin_until(client.services_are_ready, 'the parameter services')
    answer = client.load_parameter_file(str(CONFIG), use_wildcard=True)
    graph.spin_until(answer.done, 'an answer')
    results = answer.result().results
    assert len(results) > 10 and [result.reason for result in results if not result.successful] \
        == []


def test_unchanged_values_are_accepted(graph, tiny_model):
    graph.start('configure', 'activate', model=str(tiny_model))
    for name, value in [('model', str(tiny_model)), ('image_depth', 1), ('network.threads', 0),
                        ('autostart', False)]:
        assert graph.set_parameter(name, value) == ''


def test_a_change_beside_unchanged_values_is_still_refused(graph, tiny_model):
    graph.start('configure', model=str(tiny_model))
    from rclpy.parameter import Parameter
    result = graph.call('set_parameters_atomically', parameters=[
        Parameter(name, value=value).to_parameter_msg() for name, value in [
            ('model', str(tiny_model)), ('network.input_size', 320)]]).result
    assert 'network.input_size takes effect at configuration' in result.reason


def test_a_wrong_value_at_the_start_is_told_by_name(graph):
    with pytest.raises(ValueError, match='network.provider: expected one of .* got .magic.'):
        graph.start(network__provider='magic')
