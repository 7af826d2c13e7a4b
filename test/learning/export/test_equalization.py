"""Similar ranges of channels: the network stays the same."""
from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from instseg_ros.core.network.network import INPUT
from instseg_ros.learning.export import equalization
from instseg_ros.learning.export.equalization import channel_ranges, equalize

IMAGES = [np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8) for seed in range(3)]


class Graph:
    """A graph in the making; its layers have weights of very different sizes."""

    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.nodes = [
            helper.make_node('Cast', [INPUT], ['bytes'], to=TensorProto.FLOAT),
            helper.make_node('Transpose', ['bytes'], ['pixels'], perm=[0, 3, 1, 2])]
        self.tensors = []

    def constant(self, name, array):
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, kind, inputs, *outputs, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[0]

    def conv(self, source, name, inputs, outputs, depthwise=False):
        """Add a convolution and a leaky ReLU."""
        shape = (outputs, 1 if depthwise else inputs, 3, 3)
        sizes = 10.0 ** self.rng.uniform(-1, 1, (outputs, 1, 1, 1))
        weight = self.constant(f'{name}.weight', (self.rng.normal(size=shape) / inputs * sizes
                                                  ).astype(np.float32))
        bias = self.constant(f'{name}.bias', self.rng.normal(size=outputs).astype(np.float32))
        self.add('Conv', [source, weight, bias], f'{name}.y', pads=[1, 1, 1, 1],
                 group=inputs if depthwise else 1)
        return self.add('LeakyRelu', [f'{name}.y'], name, alpha=0.1)

    def model(self, *outputs):
        graph = helper.make_graph(
            self.nodes, 'test',
            [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [1, 16, 16, 3])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8)


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=['CPUExecutionProvider'])
    return [session.run(None, {INPUT: image[np.newaxis]}) for image in IMAGES]


def copy(model):
    return onnx.load_from_string(model.SerializeToString())


def shuffled_blocks():
    """Return a graph with all that stands between the convolutions of a detector."""
    graph = Graph()
    first = graph.conv('pixels', 'first', 3, 8)
    pooled = graph.add('MaxPool', [first], 'pooled', kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    order = graph.constant('order', np.array([0, 4, 1, 5, 2, 6, 3, 7]))
    graph.add('Gather', [pooled, order], 'shuffled', axis=1)
    sizes = graph.constant('sizes', np.array([3, 5]))
    graph.add('Split', ['shuffled', sizes], 'left', 'right', axis=1)
    left = graph.conv(graph.conv('left', 'wide', 3, 6, depthwise=False), 'deep', 6, 6, True)
    right = graph.conv('right', 'right_conv', 5, 6)
    graph.add('Add', [left, right], 'sum')
    graph.add('Concat', ['sum', 'right'], 'both', axis=1)
    # Without sizes, the parts are equal but for the last.
    graph.add('Split', ['both'], 'half', 'rest', axis=1, num_outputs=2)
    return graph, graph.add('Add', [graph.conv('half', 'of_half', 6, 4),
                                    graph.conv('rest', 'of_rest', 5, 4)], 'last')


def test_outputs_stay_the_same():
    graph, last = shuffled_blocks()
    model = graph.model(last, 'first', 'sum')
    equal = copy(model)

    equalize(equal, IMAGES)

    for before, after in zip(run(model), run(equal)):
        for first, second in zip(before, after):
            np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-4 * np.abs(first).max())


def test_channels_between_convolutions_get_equal_ranges(monkeypatch):
    monkeypatch.setattr(equalization, 'SHARE', 1.0)
    graph, last = shuffled_blocks()
    model = graph.model(last)

    equalize(model, IMAGES)

    ranges = {name: np.maximum(high, -low) for name, (low, high) in channel_ranges(
        model, ['wide', 'left', 'right', 'both'], IMAGES).items()}
    assert ranges['wide'] == pytest.approx(1, rel=1e-3)
    # A channel that is read twice, or added to another, has one factor and the larger range.
    assert all(array.max() <= 1 + 1e-3 for array in ranges.values())
    assert ranges['both'][:6] == pytest.approx(1, rel=1e-3)


def test_what_another_operator_reads_stays_as_it_is():
    graph = Graph()
    hidden = graph.conv('pixels', 'hidden', 3, 8)
    graph.add('Sigmoid', [hidden], 'scores')
    last = graph.conv(hidden, 'last', 8, 4)
    model = graph.model(last, 'scores')
    equal = copy(model)

    equalize(equal, IMAGES)

    assert equal == model
