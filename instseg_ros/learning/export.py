"""From a checkpoint to the ONNX file that a robot runs."""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from instseg_ros.core.network import INPUT, OUTPUTS
from instseg_ros.core.types import ModelInfo, NetworkOutput
from instseg_ros.files import replacing
from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.comparison import agreement, compare, open_model, smooth_images
from instseg_ros.learning.model import InstanceSegmentationNetwork
from instseg_ros.learning.precision import PRECISIONS, to_half, to_int8

OPSET = 18
IR_VERSION = 8
"""Old enough for the ONNX Runtime releases of the oldest supported distribution."""

PEAK_REACH = 8
"""A center is the strongest pixel as far as this in each direction, in pixels of the input. Ours."""


def peak_window(stride: int) -> int:
    """Return the side of the window of which a center is the strongest pixel, in output pixels."""
    return 2 * (PEAK_REACH // stride) + 1


class ExportedNetwork(nn.Module):
    """The network with all that belongs to it: normalisation, argmax, calibration, peaks.

    Maps `image` (1, H, W, 3) uint8 RGB to the arrays of `core.types.NetworkOutput`, each with a
    leading axis of length 1.
    """

    def __init__(self, network: InstanceSegmentationNetwork, calibration: Calibration) -> None:
        super().__init__()
        self.network = network
        self.calibration = calibration

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        prediction = self.network(image.permute(0, 3, 1, 2).to(torch.float32))
        strongest = prediction.semantic.amax(1, keepdim=True)
        # The largest softmax probability; without dividing all of them.
        confidence = 1.0 / (prediction.semantic - strongest).exp().sum(1)
        semantic_ids = prediction.semantic.argmax(1).to(torch.uint8)
        logits = prediction.center[:, None]
        window = peak_window(self.network.output_stride)
        # First the rows, then the columns: at stride 1 the window is large.
        around = F.max_pool2d(logits, (1, window), 1, (0, window // 2))
        around = F.max_pool2d(around, (window, 1), 1, (window // 2, 0))
        peaks = logits >= around
        heatmap = self.center_confidence(logits)
        heatmap = torch.where(peaks, heatmap, torch.zeros_like(heatmap))[:, 0]
        return semantic_ids, confidence, heatmap, prediction.embedding.permute(0, 2, 3, 1)

    def center_confidence(self, logits: Tensor) -> Tensor:
        """Return calibrated confidences of center logits of any shape."""
        return torch.sigmoid(self.calibration.scale * logits + self.calibration.shift)

    def predict(self, image: np.ndarray) -> NetworkOutput:
        """Run one image (H, W, 3) uint8 and return what ONNX Runtime would."""
        with torch.no_grad():
            return NetworkOutput(*(array[0].numpy()
                                   for array in self(torch.from_numpy(image)[None])))


def export_onnx(network: InstanceSegmentationNetwork, calibration: Calibration, info: ModelInfo,
                path: str | Path, precision: str = 'fp32',
                images: Sequence[np.ndarray] = ()) -> Mapping[str, float]:
    """Write the ONNX file, checked against the network it was made from.

    Parameters
    ----------
    network, calibration, info
        What the file is made of.
    path : path
    precision : str
        fp32, fp16 or int8.
    images : sequence of (H, W, 3) uint8
        For int8: images of the training's kind, to measure the ranges of the activations. Their
        sides are multiples of `info.size_multiple`.

    Returns
    -------
    dict of str to float
        For fp32 and fp16 the largest difference of each output to PyTorch on random images of two
        sizes (`comparison.compare`); for int8 how far they agree on `images`
        (`comparison.agreement`).

    Raises
    ------
    ValueError
        The exported file does not say what the network says.
    """
    if precision not in PRECISIONS:
        raise ValueError(f'precision: expected one of {", ".join(PRECISIONS)}, got {precision!r}')
    if precision == 'int8' and not len(images):
        raise ValueError('precision int8: expected images to measure the ranges of the '
                         'activations on, got none; the training has to hold some out '
                         '(data.calibration_images)')
    module = ExportedNetwork(copy.deepcopy(network).float().cpu(), calibration).eval()
    with replacing(path) as temporary:
        whole = temporary.with_name('whole.onnx')
        onnx.save(_trace(module, info.size_multiple), whole)
        if precision == 'int8':
            to_int8(whole, temporary, images)
            model = onnx.load(temporary)
        else:
            model = onnx.load(whole)
            model = to_half(model) if precision == 'fp16' else model
        del model.metadata_props[:]
        for key, value in info.to_metadata().items():
            model.metadata_props.add(key=key, value=value)
        model.ir_version = min(model.ir_version, IR_VERSION)
        onnx.checker.check_model(model)
        onnx.save(model, temporary)
        exported = open_model(temporary)
        if precision == 'int8':
            return agreement(module.predict, exported, images)
        return compare(module.predict, exported, smooth_images(info.size_multiple), precision)


def _trace(module: ExportedNetwork, multiple: int) -> onnx.ModelProto:
    """Return the graph in float32, without metadata."""
    module = copy.deepcopy(module)
    fold_batch_norms(module)
    example = torch.zeros(1, 4 * multiple, 5 * multiple, 3, dtype=torch.uint8)
    rows, columns = torch.export.Dim('rows', max=256), torch.export.Dim('columns', max=256)
    program = torch.onnx.export(
        module, (example,), input_names=[INPUT], output_names=list(OUTPUTS),
        opset_version=OPSET, dynamo=True, verbose=False,
        dynamic_shapes={'image': {1: multiple * rows, 2: multiple * columns}})
    model = program.model_proto
    # The exporter notes for every node where in whose folders its code stands.
    graph = model.graph
    for item in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input,
                 *graph.output):
        del item.metadata_props[:]
    return model


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every batch normalisation, in place, into the convolution that is defined before it.

    The exporter folds most, but not all; what is left costs time, most of all in integers.
    """
    before, convolution = '', None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(convolution, nn.Conv2d):
            setattr(module, before, fuse_conv_bn_eval(convolution, child))
            setattr(module, name, nn.Identity())
        fold_batch_norms(child)
        before, convolution = name, child


def model_info(network: InstanceSegmentationNetwork, class_names: tuple[str, ...],
               input_size: int, training: Mapping[str, Any]) -> ModelInfo:
    """Return the metadata of a network whose first class is the background."""
    return ModelInfo(
        class_names=tuple(class_names), thing_ids=tuple(range(1, len(class_names))),
        palette=tuple(PALETTE[index % len(PALETTE)] for index in range(len(class_names))),
        output_stride=network.output_stride, size_multiple=network.size_multiple,
        embedding_size=network.embedding.head[-1].out_channels, input_size=input_size,
        training=training)


PALETTE = ((0, 0, 0), (230, 60, 70), (60, 180, 75), (0, 130, 200), (245, 130, 48), (145, 30, 180),
           (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212), (0, 128, 128),
           (220, 190, 255), (170, 110, 40), (255, 250, 200), (128, 0, 0), (170, 255, 195),
           (128, 128, 0), (255, 215, 180), (0, 0, 128), (128, 128, 128))
"""One RGB colour a semantic id, by default."""
