"""The network as it is exported: from an image's bytes to what the model file promises."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from instseg_ros.core.types import NetworkOutput
from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.model import InstanceSegmentationNetwork, Prediction
from instseg_ros.learning.peaks import find_peaks


class ExportedNetwork(nn.Module):
    """The network with all that belongs to it: normalisation, argmax, calibration, peaks.

    Maps `image` (1, H, W, 3) uint8 RGB to the arrays of `core.types.NetworkOutput`, each with a
    leading axis of length 1.
    """

    def __init__(self, network: InstanceSegmentationNetwork, calibration: Calibration) -> None:
        super().__init__()
        self.network = network
        self.calibration = calibration

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.interpret(self.network(image.permute(0, 3, 1, 2).to(torch.float32)))

    def interpret(self, prediction: Prediction) -> tuple[Tensor, ...]:
        """Return class, center confidence, embedding and class confidence of every pixel."""
        semantic_ids = prediction.semantic.argmax(1).to(torch.uint8)
        highest = prediction.semantic.amax(1, keepdim=True)
        # The largest softmax, without ONNX Runtime's, which is slow over so few classes.
        probability = 1 / (prediction.semantic - highest).exp().sum(1)
        logits = prediction.center[:, None]
        peaks = find_peaks(logits, self.network.output_stride)
        heatmap = self.center_confidence(logits)
        heatmap = torch.where(peaks, heatmap, torch.zeros_like(heatmap))[:, 0]
        embedding = self.network.finish_embedding(prediction, peaks[:, 0])
        return (semantic_ids, heatmap, embedding.permute(0, 2, 3, 1),
                (255 * probability).round().to(torch.uint8))

    def center_confidence(self, logits: Tensor) -> Tensor:
        """Return calibrated confidences of center logits of any shape."""
        return torch.sigmoid(self.calibration.scale * logits + self.calibration.shift)

    def all_confidences(self, image: np.ndarray) -> np.ndarray:
        """Return the center confidence of every pixel (H, W), be it a peak or not."""
        with torch.no_grad():
            pixels = torch.from_numpy(image)[None].permute(0, 3, 1, 2).to(torch.float32)
            return self.center_confidence(self.network(pixels).center)[0].numpy()

    def predict(self, image: np.ndarray) -> NetworkOutput:
        """Run one image (H, W, 3) uint8 and return what ONNX Runtime would."""
        with torch.no_grad():
            pixels = torch.from_numpy(image)[None].permute(0, 3, 1, 2).to(torch.float32)
            return self.output_of(self.network(pixels))

    def output_of(self, prediction: Prediction) -> NetworkOutput:
        """Return what is exported of a prediction for one image."""
        return NetworkOutput(*(array[0].numpy() for array in self.interpret(prediction)))
