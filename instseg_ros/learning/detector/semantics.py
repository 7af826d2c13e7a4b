"""Semantic decoders on the detector's features."""
from __future__ import annotations

from typing import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from instseg_ros.learning.decoders import SeparableBlock, upsample
from instseg_ros.learning.detector.grids import to_output_grid
from instseg_ros.learning.detector.heads import Detections

SEMANTIC_STRIDE = 4
"""Stride of the class logits, from which they are scaled to the output stride."""


class DetectorSemanticDecoder(nn.Module):
    """Class logits at stride 4 from the neck and the detector's scores, and fine backbone maps.

    Context from stride 32 flows down to stride 8 on the neck's grids. The result goes to stride 4,
    where the backbone's maps of strides 2 and 4 join it.

    Parameters
    ----------
    channels : dict of int to int
        The encoder's strides and channels.
    detector_classes : int
    width, fine_width : int
        Channels at strides 32 to 8, and at stride 4.
    classes : int
    dropout : float
        Share of channels that training switches off before the last layer.
    beside : int
        Channels of maps at stride 4 that join the others; 0: none.
    """

    class_layers = ('last',)
    """Names of the convolutions that have an output for each class."""

    def __init__(self, *, channels: Mapping[int, int], detector_classes: int, width: int,
                 fine_width: int, classes: int, dropout: float,
                 beside: int = 0) -> None:
        super().__init__()
        self.context = nn.Conv2d(channels[32], width, 1)
        self.levels = nn.ModuleDict({
            str(stride): SeparableBlock(channels[stride] + detector_classes
                                        + (width if stride < 32 else 0), width)
            for stride in (32, 16, 8)})
        self.narrow = nn.Conv2d(width, fine_width, 1)
        # Centered between the pixels 4 i + 1 and 4 i + 3 of the input.
        self.from_2 = nn.Conv2d(channels[2], fine_width // 2, 3, 2, bias=False)
        self.from_4 = nn.Conv2d(channels[4], fine_width // 2, 2, bias=False)
        self.joins = nn.Sequential(
            SeparableBlock(2 * (fine_width // 2) + fine_width + beside, fine_width),
            SeparableBlock(fine_width, fine_width), nn.Dropout2d(dropout))
        self.last = nn.Conv2d(fine_width, classes, 1)

    def forward(self, features: Mapping[int, Tensor], detections: Mapping[int, Detections],
                *beside: Tensor) -> Tensor:
        x = None
        for stride in (32, 16, 8):
            level = [features[stride], detections[stride].classes.sigmoid()]
            if x is not None:
                level.append(upsample(x, features[stride], 2))
            x = self.levels[str(stride)](torch.cat(level, 1))
            if stride == 32:
                x = x + self.context(features[32].mean((2, 3), keepdim=True))
        size = tuple(features[4].shape[2:])
        x = to_output_grid(self.narrow(x), 8, SEMANTIC_STRIDE, size)
        fine = [self.from_2(F.pad(features[2], (0, 1, 0, 1))),
                self.from_4(F.pad(features[4], (0, 1, 0, 1)))]
        return self.last(self.joins(torch.cat([x, *fine, *beside], 1)))


def to_output_stride(logits: Tensor, output_stride: int) -> Tensor:
    """Scale class logits (N, C, h, w) of stride 4 to another stride, by bilinear interpolation."""
    if output_stride == SEMANTIC_STRIDE:
        return logits
    if output_stride > SEMANTIC_STRIDE:
        return F.avg_pool2d(logits, output_stride // SEMANTIC_STRIDE)
    return F.interpolate(logits, scale_factor=float(SEMANTIC_STRIDE // output_stride),
                         mode='bilinear', align_corners=False)


class BackgroundDecoder(nn.Module):
    """Divides the background among the classes that the semantic encoder's decoder doesn't know.

    Parameters
    ----------
    channels, semantic_channels : dict of int to int
        Strides and channels of the detector's encoder, and of the semantic encoder.
    detector_classes : int
    known : int
        Number of classes that are known, with the background.
    parts : int
        Number of parts of the background: what is left of it, and the other classes.
    width : int
        Channels at strides 32 to 8; half of them at stride 4.
    dropout : float
    """

    def __init__(self, *, channels: Mapping[int, int], semantic_channels: Mapping[int, int],
                 detector_classes: int, known: int, parts: int, width: int,
                 dropout: float) -> None:
        super().__init__()
        self.deepest = max(semantic_channels)
        self.context = nn.Conv2d(semantic_channels[self.deepest], width // 2, 1)
        self.decoder = DetectorSemanticDecoder(
            channels=channels, detector_classes=detector_classes, width=width,
            fine_width=width // 2, classes=parts, dropout=dropout, beside=width // 2 + known)

    def forward(self, features: Mapping[int, Tensor], semantic_features: Mapping[int, Tensor],
                detections: Mapping[int, Detections], known: Tensor) -> Tensor:
        """Return the logits of all classes (N, C, H, W), given those of the known (N, K, H, W)."""
        context = self.context(semantic_features[self.deepest])
        context = upsample(context, known, self.deepest // SEMANTIC_STRIDE)
        parts = self.decoder(features, detections, context, known)
        return torch.cat([parts[:, :1], known[:, 1:], parts[:, 1:]], 1)


def keep_background(logits: Tensor, background: Tensor, known: int) -> Tensor:
    """Return the logits with those of the background's parts moved together.

    The most probable part gets the logit that the whole background had: what is background, and
    what is one of the known objects, is decided as it was without parts.

    Parameters
    ----------
    logits : (N, C, H, W)
    background : (N, 1, H, W)
    known : int
        The parts are the first class, and all from this one on.
    """
    parts = torch.cat([logits[:, :1], logits[:, known:]], 1)
    parts = background + parts - parts.detach().amax(1, keepdim=True)
    return torch.cat([parts[:, :1], logits[:, 1:known], parts[:, 1:]], 1)
