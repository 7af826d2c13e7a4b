"""The network: one encoder, three decoders."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Sequence

import torch
from torch import Tensor, nn

from instseg_ros.learning.decoders import CenterDecoder, EmbeddingDecoder, SemanticDecoder
from instseg_ros.learning.encoders import Encoder

if TYPE_CHECKING:
    from instseg_ros.learning.detector.heads import Detections


class Prediction(NamedTuple):
    """Raw outputs of the network at the output stride.

    semantic : (N, C, H, W) class logits
    center : (N, H, W) logits of being a center
    embedding : (N, E, H, W)
    detections : dict of int to Detections, optional
        Of a network that starts from a detector: its outputs, by stride.
    corrected : (N, E, H, W), optional
        Of such a network: the embedding by which pixels are assigned to centers, if it is another.
    """

    semantic: Tensor
    center: Tensor
    embedding: Tensor
    detections: Mapping[int, Detections] | None = None
    corrected: Tensor | None = None


class InstanceSegmentationNetwork(nn.Module):
    """Encoder with a semantic, a center and an embedding decoder.

    Parameters
    ----------
    encoder : Encoder
    classes : int
        Number of semantic classes.
    embedding_size : int
        Length of a pixel's embedding.
    widths : dict of int to int
        Stride and channels of the decoders' levels; the smallest stride is the output stride.
    dropout : float
        Share of the decoders' channels that training switches off.
    position : bool
        Whether the pixel's position is added to its embedding.
    """

    def __init__(self, *, encoder: Encoder, classes: int, embedding_size: int,
                 widths: Mapping[int, int], dropout: float = 0.0, position: bool = True) -> None:
        super().__init__()
        self.encoder = encoder
        self.output_stride = min(widths)
        self.size_multiple = max(32, 2 * max(encoder.channels))
        parts: dict[str, Any] = {
            'channels': encoder.channels, 'widths': widths, 'dropout': dropout}
        self.semantic = SemanticDecoder(classes=classes, **parts)
        self.center = CenterDecoder(**parts)
        self.embedding = EmbeddingDecoder(size=embedding_size, position=position, **parts)
        self.register_buffer('mean', torch.tensor(encoder.mean).view(1, 3, 1, 1))
        self.register_buffer('std', torch.tensor(encoder.std).view(1, 3, 1, 1))

    @property
    def pretrained(self) -> tuple[nn.Module, ...]:
        """The parts that start from trained weights."""
        return (self.encoder,)

    @property
    def embedding_size(self) -> int:
        """Length of a pixel's embedding."""
        return self.embedding.head[-1].out_channels

    def forward(self, image: Tensor) -> Prediction:
        """Predict from RGB images (N, 3, H, W) with values in [0, 255]."""
        features = self.encoder((image - self.mean) / self.std)
        return Prediction(self.semantic(features), self.center(features)[:, 0],
                          self.embedding(features))

    def finish_embedding(self, prediction: Prediction, peaks: Tensor) -> Tensor:
        """Return the embedding as it is exported, given where centers may be (N, H, W)."""
        return prediction.embedding

    def load_initial_weights(self, path: str | Path, class_names: Sequence[str]) -> list[str]:
        """See `load_initial_weights`."""
        rest = self.encoder.load_weights(path)
        if 'logits.weight' not in rest or len(rest['logits.weight']) != len(VOC_CLASSES):
            return []
        if 'logits.bias' not in rest:
            raise ValueError(f'{path}: expected logits.bias beside logits.weight, got none')
        known = [name for name in class_names if name in VOC_CLASSES]
        coarse = self.semantic.coarse
        inputs = rest['logits.weight'].shape[1]
        with torch.no_grad():
            # What no class of ours explains is left to the decoder's residual, which starts near
            # 0.
            coarse.weight.zero_()
            coarse.bias.zero_()
            for name in known:
                mine, theirs = list(class_names).index(name), VOC_CLASSES.index(name)
                coarse.weight[mine, -inputs:] = rest['logits.weight'][theirs]
                coarse.bias[mine] = rest['logits.bias'][theirs]
        return known


VOC_CLASSES = ('background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat',
               'chair', 'cow', 'diningtable', 'dog', 'horse', 'motorcycle', 'person',
               'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor')
"""Classes of the `logits` tensors of weights that were trained on PASCAL VOC."""


def load_initial_weights(network: InstanceSegmentationNetwork, path: str | Path,
                         class_names: Sequence[str]) -> list[str]:
    """Start the encoder, and where it fits the classifier or the detector, from a file of weights.

    Returns
    -------
    list of str
        Names of the classes whose classifier was taken over.
    """
    return network.load_initial_weights(path, class_names)
