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


def write_two_branches(path):
    """Write a graph with a detector beside a semantic branch."""
    transpose = [helper.make_node('Cast', [INPUT], ['float'], name='cast', to=TensorProto.FLOAT),
                 helper.make_node('Transpose', ['float'], ['nchw'], name='transpose',
                                  perm=[0, 3, 1, 2])]
    detector = chain('network.encoder.', 4, 'nchw')
    semantic = chain('network.semantic_encoder.', 4, 'nchw')
    add = helper.make_node('Add', [detector[2], semantic[2]], ['sum'], name='add')
    graph = helper.make_graph(
        [*transpose, *detector[0], *semantic[0], add], 'two', [helper.make_tensor_value_info(
            INPUT, TensorProto.UINT8, [1, 'h', 'w', 3])],
        [helper.make_tensor_value_info('sum', TensorProto.FLOAT, [1, 3, 'h', 'w'])],
        [*detector[1], *semantic[1]])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)],
                                ir_version=8), path)


@pytest.mark.parametrize('detector, parts', [(False, ['semantic_encoder']),
                                             (True, ['semantic_encoder', 'encoder'])])
def test_beside_a_semantic_encoder_the_detector_is_quantized_if_wanted(detector, parts, tmp_path):
    source, target = tmp_path / 'fp32.onnx', tmp_path / 'int8.onnx'
    write_two_branches(source)
    images = [np.random.default_rng(k).integers(0, 256, (32, 32, 3), np.uint8) for k in range(2)]

    to_int8(source, target, images, detector=detector)

    graph = onnx.load(target).graph
    types = {item.name: item.data_type for item in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    in_integers = {
        node.name for node in graph.node if node.op_type == 'Conv'
        if made_by.get(node.input[1]) is not None
        and types[made_by[node.input[1]].input[0]] == TensorProto.INT8}
    # All but the first one of each part, which has three inputs.
    assert in_integers == {f'network.{part}.{number}.conv' for part in parts
                           for number in (1, 2, 3)}


def test_only_a_file_in_fp32_is_quantized(tmp_path):
    source = tmp_path / 'bare.onnx'
    write_two_branches(source)

    with pytest.raises(ValueError, match='metadata'):
        quantize(source, tmp_path / 'int8.onnx', [])
    assert not (tmp_path / 'int8.onnx').exists()
