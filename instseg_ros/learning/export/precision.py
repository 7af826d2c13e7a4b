"""Smaller arithmetic for an exported graph: 16-bit floats, or 8-bit integers.

Both leave the inputs and outputs of the file as they are. Nodes before the first convolution
(normalisation) and after the last one (positions, softmax, peaks, calibration) stay in float32:
they take little time, and with coarse values equal neighbours would turn one center into several.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import Iterable

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from tqdm import tqdm

from instseg_ros.core.network.network import INPUT
from instseg_ros.learning.export.equalization import channel_ranges, equalize

PRECISIONS = ('fp32', 'fp16', 'int8')

QUANTIZED = ('Conv', 'Clip', 'Relu', 'LeakyRelu', 'Add', 'Concat', 'Gather', 'Split', 'Resize')
"""Operators for which ONNX Runtime has fast 8-bit kernels, among those between convolutions."""

ACTIVATIONS = ('Clip', 'Relu', 'LeakyRelu')

SEMANTIC_ENCODER = 'network.semantic_encoder.'
"""Beginning of the names of the weights of a semantic encoder beside a detector."""

FIRST_BLOCK = 'network.semantic_encoder.blocks.0.'
"""Beginning of the names of the weights of its first block, at half the size of the image. If the
detector is quantized, it stays in float32: its output has half as many channels as its input, and
is quantized faster. Beside a detector in float32 the street model had a better AP50 with it in
integers, by 0.006."""

DETECTOR = re.compile(r'network\.(encoder\.|heads\.(?!.*\.output\.)'
                      r'|semantic\.(levels|context|narrow|from_\d|joins)\.)')
"""Names of the weights of the detector, and of a semantic decoder on its features, without those
of their outputs."""

NEGATIVE = 5.0
"""Before a leaky ReLU, values below minus this many times the largest one are clipped: afterwards
they are a tenth. Ours."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with weights and arithmetic in 16-bit floats.

    For GPUs. On CPUs ONNX Runtime has hardly any such kernels and casts to and fro.
    """
    inside = _inner_nodes(model)
    outside = [node.name for node in model.graph.node if node.name not in inside]
    half = OnnxModel(convert_float_to_float16(model, keep_io_types=True, node_block_list=outside))
    half.topological_sort()  # the casts were added at the end
    return half.model


def to_int8(source: Path, target: Path, images: Iterable[np.ndarray], *, detector: bool = False
            ) -> None:
    """Write the model with weights and arithmetic in 8-bit integers (QDQ format).

    Parameters
    ----------
    source, target : path
        ONNX files.
    images : iterable of (H, W, 3) uint8
        On which the range of every activation is measured. Not images that quality is measured on.
    detector : bool
        Of a network with a semantic encoder beside a detector, only that encoder is quantized,
        or, if true, the detector, too. Of a network whose classes are decoded from the detector's
        features, that decoder is with it. Of all other networks, everything is.

    Notes
    -----
    The method is that of ONNX Runtime's static quantization: weights symmetric with a scale for
    every output channel, activations with a scale and a zero point for every tensor, from the
    smallest to the largest value that occurs. Weights use 7 of the 8 bits, so that sums don't
    overflow on x86 CPUs without VNNI; that cost nothing measurable. The first convolution stays in
    float32: with three input channels it is faster so than in integers. So do the last ones:
    in integers, centers and embeddings lost more than their speed was worth
    (docs/measurements/precision.md).

    A detector has leaky ReLUs, and depthwise convolutions with nothing behind them, whose channels
    have very different ranges. So the ranges of its channels are made more alike
    first (`equalization`), and before a leaky ReLU most of the 8 bits are for positive values.
    """
    images = list(images)
    prepared = target.with_name('prepared.onnx')
    # Infers shapes. Its optimization would tie the file to this version of ONNX Runtime.
    quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
    model = onnx.load(prepared)
    options = {}
    if detector:
        equalize(model, images)
        onnx.save(model, prepared)
        options['TensorQuantOverrides'] = _clipped_ranges(model, images)
    names = _quantized(model, detector)
    quantize_static(
        prepared, target, _Images(tqdm(images, desc='measuring ranges', unit='img')),
        quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=list(QUANTIZED), nodes_to_quantize=sorted(names),
        calibrate_method=CalibrationMethod.MinMax, extra_options=options)


def _clipped_ranges(model: onnx.ModelProto, images: Iterable[np.ndarray]
                    ) -> dict[str, list[dict[str, np.float32]]]:
    """Return the ranges of what enters leaky ReLUs, as ONNX Runtime's overrides of its own."""
    convolved = {node.output[0] for node in model.graph.node if node.op_type == 'Conv'}
    names = [node.input[0] for node in model.graph.node
             if node.op_type == 'LeakyRelu' and node.input[0] in convolved]
    overrides = {}
    for name, (low, high) in channel_ranges(model, names, images).items():
        largest = max(high.max(), 0.0)
        smallest = min(max(low.min(), -NEGATIVE * largest), 0.0)
        overrides[name] = [{'rmin': np.float32(smallest), 'rmax': np.float32(largest)}]
    return overrides


class _Images(CalibrationDataReader):
    """Images in the interface of ONNX Runtime's calibration."""

    def __init__(self, images: Iterable[np.ndarray]) -> None:
        self.images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.images, None)
        return None if image is None else {INPUT: image[np.newaxis]}


def _inner_nodes(model: onnx.ModelProto) -> set[str]:
    """Return the names of the convolutions and of what stands between them."""
    return _between(model, _convolutions(model)) | _convolutions(model)


def _convolutions(model: onnx.ModelProto) -> set[str]:
    """Return the names of all convolutions."""
    return {node.name for node in model.graph.node if node.op_type == 'Conv'}


def _quantized(model: onnx.ModelProto, detector: bool) -> set[str]:
    """Return the names of the nodes that are quantized.

    Convolutions of the parts that are to be, but for the first ones of a part, the activations
    behind them, and what stands between them.
    """
    nodes = list(model.graph.node)
    weights = {node.name: node.input[1] for node in nodes if node.op_type == 'Conv'}
    parts = {name for name, weight in weights.items() if weight.startswith(SEMANTIC_ENCODER)}
    if detector:
        parts = {name for name, weight in weights.items() if DETECTOR.match(weight)
                 or (name in parts and not weight.startswith(FIRST_BLOCK))}
    if not parts:  # neither a detector nor a second encoder: all but the last ones
        parts = set(weights) & _reached(nodes, set(weights), forward=False)
    chosen = parts & _reached(nodes, parts, forward=True)
    convolved = {node.output[0] for node in nodes if node.name in chosen}
    activations = {node.name for node in nodes
                   if node.op_type in ACTIVATIONS and node.input[0] in convolved}
    return chosen | activations | _between(model, parts) - set(weights)


def _between(model: onnx.ModelProto, names: set[str]) -> set[str]:
    """Return the names of the nodes that have one of `names` before, and one behind them."""
    nodes = list(model.graph.node)
    return _reached(nodes, names, forward=True) & _reached(nodes, names, forward=False)


def _reached(nodes: list[onnx.NodeProto], names: set[str], forward: bool) -> set[str]:
    """Return the names of the nodes behind (or, not `forward`, before) one of `names`."""
    tensors: set[str] = set()
    found = set()
    for node in nodes if forward else reversed(nodes):  # ONNX keeps nodes in order
        come, go = (node.input, node.output) if forward else (node.output, node.input)
        reached = not tensors.isdisjoint(come)
        if reached:
            found.add(node.name)
        if reached or node.name in names:
            tensors.update(name for name in go if name)
    return found
