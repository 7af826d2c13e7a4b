"""8-bit files: which layers stay in floating point, and files made from other files."""
from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from instseg_ros.core.network.network import INPUT
from instseg_ros.learning.export.onnx_export import quantize
from instseg_ros.learning.export.precision import to_int8


def chain(prefix, count, source):
    """Return a chain of convolutions with ReLUs, its weights, and the name of its output."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for k in range(count):
        name = f'{prefix}{k}'
        weights.append(numpy_helper.from_array(
            rng.normal(size=(3, 3, 3, 3)).astype(np.float32) / 3, f'{name}.weight'))
        nodes += [helper.make_node('Conv', [source, f'{name}.weight'], [f'{name}.y'],
                                   name=f'{name}.conv', pads=[1, 1, 1, 1]),
                  helper.make_node('Relu', [f'{name}.y'], [f'{name}.z'], name=f'{name}.relu')]
        source = f'{name}.z'
    return nodes, weights, source


def write_model(path, *chains, output):
    """Write a graph of chains behind the image, which is in the tensor `nchw`."""
    transpose = [helper.make_node('Cast', [INPUT], ['float'], name='cast', to=TensorProto.FLOAT),
                 helper.make_node('Transpose', ['float'], ['nchw'], name='transpose',
                                  perm=[0, 3, 1, 2])]
    add = helper.make_node('Add', output, ['sum'], name='add')
    graph = helper.make_graph(
        [*transpose, *(node for nodes, _, _ in chains for node in nodes), add], 'model',
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [1, 'h', 'w', 3])],
        [helper.make_tensor_value_info('sum', TensorProto.FLOAT, [1, 3, 'h', 'w'])],
        [tensor for _, weights, _ in chains for tensor in weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)],
                                ir_version=8), path)


def write_two_branches(path):
    """Write a graph with a detector beside a semantic branch."""
    detector = chain('network.encoder.', 4, 'nchw')
    semantic = chain('network.semantic_encoder.', 4, 'nchw')
    write_model(path, detector, semantic, output=[detector[2], semantic[2]])


def quantized(source, target, detector):
    """Quantize a graph, and return the names of the convolutions whose weights are integers."""
    images = [np.random.default_rng(k).integers(0, 256, (32, 32, 3), np.uint8) for k in range(2)]
    to_int8(source, target, images, detector=detector)
    graph = onnx.load(target).graph
    types = {item.name: item.data_type for item in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    return {node.name for node in graph.node if node.op_type == 'Conv'
            if made_by.get(node.input[1]) is not None
            and types[made_by[node.input[1]].input[0]] == TensorProto.INT8}


@pytest.mark.parametrize('detector, parts', [(False, ['semantic_encoder']),
                                             (True, ['semantic_encoder', 'encoder'])])
def test_beside_a_semantic_encoder_the_detector_is_quantized_if_wanted(detector, parts, tmp_path):
    write_two_branches(tmp_path / 'fp32.onnx')
    # All but the first one of each part, which has three inputs.
    assert quantized(tmp_path / 'fp32.onnx', tmp_path / 'int8.onnx', detector) == {
        f'network.{part}.{number}.conv' for part in parts for number in (1, 2, 3)}


def test_with_the_detector_goes_the_decoder_of_classes_on_its_features(tmp_path):
    detector = chain('network.encoder.', 2, 'nchw')
    decoder = chain('network.semantic.levels.8.', 2, detector[2])
    last = chain('network.semantic.last.', 1, decoder[2])
    assignment = chain('network.assignment.enter.', 2, detector[2])
    write_model(tmp_path / 'fp32.onnx', detector, decoder, last, assignment,
                output=[last[2], assignment[2]])
    assert quantized(tmp_path / 'fp32.onnx', tmp_path / 'int8.onnx', True) == {
        'network.encoder.1.conv', 'network.semantic.levels.8.0.conv',
        'network.semantic.levels.8.1.conv'}


def test_only_a_file_in_fp32_is_quantized(tmp_path):
    source = tmp_path / 'bare.onnx'
    write_two_branches(source)

    with pytest.raises(ValueError, match='metadata'):
        quantize(source, tmp_path / 'int8.onnx', [])
    assert not (tmp_path / 'int8.onnx').exists()
