"""From a checkpoint to the ONNX file that a robot runs."""
from __future__ import annotations

import copy
import os
import tempfile
from pathlib import Path
from typing import Any, Mapping

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from instseg_ros.core.types import ModelInfo, NetworkOutput
from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.model import InstanceSegmentationNetwork

OPSET = 18
IR_VERSION = 8
"""Old enough for the ONNX Runtime releases of the oldest supported distribution."""

PEAK_WINDOW = 5
"""A center is the strongest pixel of a window of this side."""

OUTPUTS = ('semantic_ids', 'semantic_confidence', 'center_heatmap', 'embedding')


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
        peaks = logits >= F.max_pool2d(logits, PEAK_WINDOW, 1, PEAK_WINDOW // 2)
        heatmap = self.center_confidence(logits)
        heatmap = torch.where(peaks, heatmap, torch.zeros_like(heatmap))[:, 0]
        return semantic_ids, confidence, heatmap, prediction.embedding.permute(0, 2, 3, 1)

    def center_confidence(self, logits: Tensor) -> Tensor:
        """Return calibrated confidences of center logits of any shape."""
        return torch.sigmoid(self.calibration.scale * logits + self.calibration.shift)

    def predict(self, image: Tensor) -> NetworkOutput:
        """Run one image (H, W, 3) uint8 and return what ONNX Runtime would."""
        with torch.no_grad():
            return NetworkOutput(*(array[0].numpy() for array in self(image[None])))


def export_onnx(network: InstanceSegmentationNetwork, calibration: Calibration, info: ModelInfo,
                path: str | Path) -> Mapping[str, float]:
    """Write the ONNX file, checked against the network it was made from.

    Returns
    -------
    dict of str to float
        For each output the largest difference between ONNX Runtime and PyTorch on random images
        of two sizes; for `semantic_ids` the share of pixels that differ.

    Raises
    ------
    ValueError
        The exported file does not say what the network says.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    module = ExportedNetwork(copy.deepcopy(network).float().cpu(), calibration).eval()
    side = info.size_multiple * 4
    example = torch.zeros(1, side, side + info.size_multiple, 3, dtype=torch.uint8)
    handle, temporary = tempfile.mkstemp(suffix='.onnx', dir=path.parent)
    os.close(handle)
    try:
        multiple = info.size_multiple
        rows, columns = torch.export.Dim('rows', max=256), torch.export.Dim('columns', max=256)
        program = torch.onnx.export(
            module, (example,), input_names=['image'], output_names=list(OUTPUTS),
            opset_version=OPSET, dynamo=True, verbose=False,
            dynamic_shapes={'image': {1: multiple * rows, 2: multiple * columns}})
        program.save(temporary)
        model = onnx.load(temporary)
        model.ir_version = min(model.ir_version, IR_VERSION)
        for key, value in info.to_metadata().items():
            model.metadata_props.add(key=key, value=value)
        onnx.checker.check_model(model)
        onnx.save(model, temporary)
        differences = compare(module, temporary, info)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return differences


TOLERANCES: Mapping[str, float] = {'semantic_ids': 1e-3, 'semantic_confidence': 1e-3,
                                   'center_heatmap': 1e-3, 'embedding': 1e-2}
"""Largest accepted difference of each output: float32 rounding through some 60 layers."""

def compare(module: ExportedNetwork, path: str | Path, info: ModelInfo) -> dict[str, float]:
    """Run both on random images of two sizes; see `export_onnx`."""
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    rng = np.random.default_rng(0)
    worst: dict[str, float] = dict.fromkeys(OUTPUTS, 0.0)
    for rows, columns in ((5, 4), (3, 7)):
        # Smooth images: on noise, equally strong neighbours would make the peaks ambiguous.
        coarse = rng.integers(0, 256, (1, 3, rows, columns)).astype(np.float32)
        size = (rows * info.size_multiple, columns * info.size_multiple)
        smooth = F.interpolate(torch.from_numpy(coarse), size=size, mode='bicubic')
        image = smooth.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        with torch.no_grad():
            expected = module(image)
            confidence = module.center_confidence(
                module.network(image.permute(0, 3, 1, 2).float()).center)[0].numpy()
        for name, want, got in zip(OUTPUTS, expected, session.run(None, {'image': image.numpy()})):
            if got.dtype != want.numpy().dtype or got.shape != tuple(want.shape):
                raise ValueError(f'export: {name} became {got.dtype} {got.shape}, expected '
                                 f'{want.numpy().dtype} {tuple(want.shape)}')
            worst[name] = max(worst[name], _difference(name, want.numpy(), got, confidence))
    for name, difference in worst.items():
        if not difference <= TOLERANCES[name]:
            raise ValueError(f'export: {name} differs by {difference:.3g} between ONNX Runtime '
                             f'and PyTorch, accepted is {TOLERANCES[name]:.3g}')
    return worst


def _difference(name: str, want: np.ndarray, got: np.ndarray, confidence: np.ndarray) -> float:
    if name == 'semantic_ids':
        return float(np.mean(got != want))
    if name == 'center_heatmap':
        return _peak_difference(confidence, got[0])
    return float(np.abs(got - want).max())


def _peak_difference(confidence: np.ndarray, heatmap: np.ndarray) -> float:
    """Return by how much the peaks of a heatmap are not those of a map of confidences.

    Between (nearly) equally strong neighbours rounding decides which is the peak. So a peak may
    be weaker than its neighbours, and one may be missing, by as much as is returned.
    """
    margin = PEAK_WINDOW // 2
    padded = np.pad(confidence, margin, constant_values=-1.0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (PEAK_WINDOW, PEAK_WINDOW))
    others = np.delete(windows.reshape(*confidence.shape, -1), PEAK_WINDOW ** 2 // 2, axis=2)
    lead = confidence - others.max(axis=2)
    peaks = heatmap > 0
    return float(max(np.abs(heatmap - confidence)[peaks].max(initial=0.0),
                     (-lead)[peaks].max(initial=0.0), lead[~peaks].max(initial=0.0)))


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
