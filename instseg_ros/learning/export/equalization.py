"""Similar ranges for the channels of activations, so that one 8-bit scale fits all of them.

If a channel is multiplied by a factor, and the weights that read it are divided by it, the network
stays the same, as long as nothing but convolutions, linear operators and ReLUs, leaky or not, are
involved. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
ICCV 2019, equalize the ranges of weights that way. Here weights have a scale for each channel
anyway, and it is the measured ranges of the activations that become similar.
"""
from __future__ import annotations

from typing import Iterable, Mapping, NamedTuple, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from instseg_ros.core.network.network import INPUT

HOMOGENEOUS = ('LeakyRelu', 'Relu', 'MaxPool', 'Resize')
"""Operators that scale their output as their input, channel by channel."""

SHARE = 0.75
"""Exponent of the ranges: 1 makes them equal, 0 leaves them as they are. What is moved from the
activations goes into the weights, which quantize worse then; Xiao et al., "SmoothQuant", ICML
2023, balance the two by such an exponent. The value is ours."""

LEAST_RANGE = 0.05
"""Channels with less than this share of the median range are treated as if they had it: one that
is 0 on the images that ranges are measured on may not be on others."""


class Range(NamedTuple):
    """Smallest and largest value of each channel of a tensor: (C,)."""

    low: np.ndarray
    high: np.ndarray


def equalize(model: onnx.ModelProto, images: Sequence[np.ndarray]) -> None:
    """Scale the weights in place, so that the ranges of channels differ less.

    Parameters
    ----------
    model : ModelProto
        In float32.
    images : sequence of (H, W, 3) uint8
        On which ranges are measured.
    """
    graph = model.graph
    channels = Channels(graph)
    largest = np.zeros(len(channels.root))
    inputs = list(dict.fromkeys(node.input[0] for node in graph.node
                                if node.op_type == 'Conv' and node.input[0] in channels.of))
    for name, (low, high) in channel_ranges(model, inputs, images).items():
        np.maximum.at(largest, channels.root[channels.of[name]], np.maximum(high, -low))
    free = channels.free & (largest > 0)
    if not free.any():
        return
    factors = np.ones_like(largest)
    factors[free] = np.maximum(largest[free], LEAST_RANGE * np.median(largest[free])) ** -SHARE
    tensors = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type == 'Conv':
            _scale(node, tensors, *(factors[channels.root[channels.of[name]]]
                                    if name in channels.of else np.ones(1)
                                    for name in (node.input[0], node.output[0])))


def _scale(node: onnx.NodeProto, tensors: Mapping[str, TensorProto], entering: np.ndarray,
           leaving: np.ndarray) -> None:
    """Divide weights by the factors of the inputs, and multiply them by those of the outputs."""
    weight = numpy_helper.to_array(tensors[node.input[1]])
    by_input = entering[:, None] if weight.shape[1] == 1 else entering[None]
    changed = {node.input[1]: weight / by_input[..., None, None] * leaving[:, None, None, None]}
    if len(node.input) > 2:
        changed[node.input[2]] = numpy_helper.to_array(tensors[node.input[2]]) * leaving
    for name, array in changed.items():
        tensors[name].CopyFrom(numpy_helper.from_array(array.astype(np.float32), name))


def channel_ranges(model: onnx.ModelProto, names: Sequence[str], images: Iterable[np.ndarray]
                   ) -> dict[str, Range]:
    """Return the range of each channel of tensors (N, C, H, W), over all images together."""
    if not names:
        return {}
    measured = onnx.ModelProto()
    measured.CopyFrom(model)
    graph = measured.graph
    del graph.output[:]
    graph.initializer.append(numpy_helper.from_array(np.array([0, 2, 3]), 'measured_axes'))
    for name in names:
        for kind in ('Min', 'Max'):
            graph.node.append(helper.make_node(f'Reduce{kind}', [name, 'measured_axes'],
                                               [f'{name}:{kind}'], keepdims=0))
            graph.output.append(helper.make_tensor_value_info(f'{name}:{kind}', TensorProto.FLOAT,
                                                              None))
    session = onnxruntime.InferenceSession(measured.SerializeToString(),
                                           providers=['CPUExecutionProvider'])
    found = [session.run(None, {INPUT: image[np.newaxis]}) for image in images]
    extremes = [np.array(values) for values in zip(*found)]
    return {name: Range(low.min(0), high.max(0))
            for name, low, high in zip(names, extremes[::2], extremes[1::2])}


class Channels:
    """Which channels of a graph's tensors must have the same factor.

    Attributes
    ----------
    of : dict of str to (C,) int
        Index of each channel of a tensor.
    root : (K,) int
        By index; channels with the same root have the same factor.
    free : (K,) bool
        By root: whether a factor other than 1 is possible.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.of: dict[str, np.ndarray] = {}
        tensors = {item.name: item for item in graph.initializer}
        convolutions = [node for node in graph.node if node.op_type == 'Conv']
        count = sum(tensors[node.input[1]].dims[0] for node in convolutions)
        self.root, self.free = np.arange(count), np.ones(count, bool)
        made = 0
        for node in graph.node:
            if node.op_type == 'Conv':
                outputs, inputs = tensors[node.input[1]].dims[:2]
                if inputs == 1 or _attribute(node, 'group', 1) == 1:
                    self.of[node.output[0]] = np.arange(made, made + outputs)
                else:
                    self._fix(node)
                made += outputs
            elif node.op_type in HOMOGENEOUS and node.input[0] in self.of:
                self.of[node.output[0]] = self.of[node.input[0]]
            elif not self._arranged(node, tensors):
                self._fix(node)
        for output in graph.output:
            if output.name in self.of:
                self.free[self.root[self.of[output.name]]] = False

    def _arranged(self, node: onnx.NodeProto, tensors: Mapping[str, TensorProto]) -> bool:
        """Note the outputs of a node that adds or arranges channels; return whether it does."""
        if node.input and node.input[0] not in self.of:
            return False
        if node.op_type == 'Add' and node.input[1] in self.of:
            for first, second in zip(*(self.of[name] for name in node.input)):
                self._join(self.root[first], self.root[second])
            self.of[node.output[0]] = self.of[node.input[0]]
            return True
        if _attribute(node, 'axis', 0) != 1:
            return False
        if node.op_type == 'Concat' and all(name in self.of for name in node.input):
            self.of[node.output[0]] = np.concatenate([self.of[name] for name in node.input])
        elif node.op_type == 'Gather' and node.input[1] in tensors:
            order = numpy_helper.to_array(tensors[node.input[1]])
            self.of[node.output[0]] = self.of[node.input[0]][order]
        elif node.op_type == 'Split' and all(name in tensors for name in node.input[1:]):
            split, parts = self.of[node.input[0]], len(node.output)
            if len(node.input) > 1:
                ends = np.cumsum(numpy_helper.to_array(tensors[node.input[1]]))[:-1]
            else:  # equal parts, but for the last
                ends = -(-len(split) // parts) * np.arange(1, parts)
            self.of.update(zip(node.output, np.split(split, ends)))
        else:
            return False
        return True

    def _join(self, first: int, second: int) -> None:
        self.free[first] &= self.free[second]
        self.root[self.root == second] = first

    def _fix(self, node: onnx.NodeProto) -> None:
        """Leave the channels that a node reads as they are."""
        for name in node.input:
            if name in self.of:
                self.free[self.root[self.of[name]]] = False


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((item.i for item in node.attribute if item.name == name), default)
