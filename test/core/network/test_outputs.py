"""Impossible outputs are refused: in the trial run, and in every image."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_models import tiny_info, write_tiny_model

from instseg_ros.core.model_info import ModelError
from instseg_ros.core.network import Network, trial_run
from instseg_ros.core.network.model_file import seal
from instseg_ros.core.segmenter import Segmenter


def named(nodes, output):
    """Return the node that computes an output."""
    return next(node for node in nodes if output in node.output)


def write(path, *, multiply=None, add=None, output='center_heatmap'):
    """Write a tiny model with an output that is scaled and shifted, sealed."""
    write_tiny_model(path, tiny_info(input_size=64))
    model = onnx.load(path)
    nodes = model.graph.node
    named(nodes, output).output[0] = 'before'
    kind = next(value for value in model.graph.output if value.name == output).type
    for name, value in (('factor', multiply), ('summand', add)):
        model.graph.initializer.append(helper.make_tensor(
            name, kind.tensor_type.elem_type, [], [value]))
    nodes.extend([helper.make_node('Mul', ['before', 'factor'], ['scaled']),
                  helper.make_node('Add', ['scaled', 'summand'], [output])])
    path.write_bytes(seal(model.SerializeToString()))
    return path


@pytest.mark.parametrize('output, multiply, add, message', [
    ('center_heatmap', 1, np.nan, 'center_heatmap: expected confidences from 0 to 1, got nan'),
    ('center_heatmap', 1, np.inf, 'center_heatmap: expected confidences .* got inf to inf'),
    ('center_heatmap', 5, 0, 'center_heatmap: expected confidences .* got 0 to '),
    ('center_heatmap', 1, -0.1, 'center_heatmap: expected confidences .* got -0.1 to '),
    ('embedding', 1, np.nan, 'embedding: expected finite numbers'),
    ('embedding', 1, np.inf, 'embedding: expected finite numbers'),
])
def test_impossible_values_are_found_in_the_trial_run(tmp_path, output, multiply, add, message):
    path = write(tmp_path / 'model.onnx', output=output, multiply=multiply, add=add)
    with pytest.raises(ModelError, match=f'model.onnx: output {message}'):
        Network(path)


def test_a_graph_with_more_classes_than_names_is_refused(tmp_path):
    path = tmp_path / 'model.onnx'
    write_tiny_model(path)
    model = onnx.load(path)
    entry = tiny_info(class_names=('background', 'person'), thing_ids=(1,),
                      palette=((0, 0, 0), (1, 1, 1))).to_metadata()
    model.metadata_props[0].value = entry['instseg_ros']
    path.write_bytes(seal(model.SerializeToString()))
    with pytest.raises(ModelError, match='semantic_ids: expected ids below 2, the number of class '
                                         'names in the metadata, got 4'):
        Network(path)


@pytest.fixture
def unlimited_trial(monkeypatch):
    """Let a network behave in its trial run, that is with a dark image."""
    monkeypatch.setattr('instseg_ros.core.network.network.trial_image', lambda side: np.zeros(
        (1, side, side, 3), np.uint8))


def test_impossible_values_are_found_in_every_image(tmp_path, unlimited_trial):
    segmenter = Segmenter.from_onnx(write(tmp_path / 'model.onnx', multiply=1.5, add=0))
    image = np.full((64, 64, 3), (63, 0, 0), np.uint8)
    assert not segmenter.segment(image).instances
    image[9, 9, 1] = 160  # a confidence of 0.94
    assert len(segmenter.segment(image).instances) == 1
    image[9, 9, 1] = 200  # a confidence of 1.18
    with pytest.raises(ModelError, match='center_heatmap: expected confidences .* to 1.176'):
        segmenter.segment(image)


def test_a_confidence_may_be_above_1_by_rounding(tmp_path):
    segmenter = Segmenter.from_onnx(write(tmp_path / 'model.onnx', multiply=1 + 2e-6, add=0))
    image = np.full((64, 64, 3), 63, np.uint8)
    image[9, 9, 1] = 255
    instance, = segmenter.segment(image).instances
    assert instance.score == 1


def with_loop(path, trips):
    """Write a tiny model that first counts, to no purpose, and returns its path."""
    write_tiny_model(path)
    model = onnx.load(path)
    value = helper.make_tensor_value_info
    step = helper.make_tensor('one', TensorProto.FLOAT, [], [1])
    body = helper.make_graph(
        [helper.make_node('Identity', ['go_on_in'], ['go_on_out']),
         helper.make_node('Add', ['sum_in', 'one'], ['sum_out'])], 'body',
        [value('trip', TensorProto.INT64, []), value('go_on_in', TensorProto.BOOL, []),
         value('sum_in', TensorProto.FLOAT, [])],
        [value('go_on_out', TensorProto.BOOL, []), value('sum_out', TensorProto.FLOAT, [])],
        [step])
    graph = model.graph
    graph.initializer.extend([helper.make_tensor('trips', TensorProto.INT64, [], [trips]),
                              helper.make_tensor('go_on', TensorProto.BOOL, [], [True]),
                              helper.make_tensor('nothing', TensorProto.FLOAT, [], [0])])
    nodes = list(graph.node)
    named(nodes, 'embedding').output[0] = 'embedding_before'
    del graph.node[:]
    graph.node.extend([
        helper.make_node('Loop', ['trips', 'go_on', 'nothing'], ['count'], body=body), *nodes,
        helper.make_node('Min', ['count', 'nothing'], ['no_trips']),
        helper.make_node('Add', ['embedding_before', 'no_trips'], ['embedding'])])
    path.write_bytes(seal(model.SerializeToString()))
    return path


def test_a_graph_that_ends_is_fine(tmp_path):
    assert Network(with_loop(tmp_path / 'model.onnx', 5)).provider == 'cpu'


def test_a_graph_that_never_ends_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trial_run, 'TIME_LIMITS', {'cpu': 0.2})
    monkeypatch.setattr(trial_run, 'GRACE', 60.0)
    path = with_loop(tmp_path / 'model.onnx', 2 ** 62)
    with pytest.raises(ModelError, match='within 0.2 s .* takes too long, or never ends'):
        Network(path)


def test_an_error_of_onnx_runtime_is_a_model_error(tmp_path, unlimited_trial):
    path = tmp_path / 'model.onnx'
    write_tiny_model(path)
    model = onnx.load(path)
    model.graph.initializer.append(helper.make_tensor('rows', TensorProto.INT64, [4],
                                                      [1, 16, 16, 4]))
    named(model.graph.node, 'embedding').output[0] = 'before'
    model.graph.node.append(helper.make_node('Reshape', ['before', 'rows'], ['embedding']))
    path.write_bytes(seal(model.SerializeToString()))
    network = Network(path)
    assert network.run(np.zeros((64, 64, 3), np.uint8)).embedding.shape == (16, 16, 4)
    with pytest.raises(ModelError, match='the network failed on an image of 64 x 96 pixels'):
        network.run(np.zeros((64, 96, 3), np.uint8))
