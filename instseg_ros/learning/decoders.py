"""Decoders: from the encoder's feature maps to maps at the output stride."""
from __future__ import annotations

from typing import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def upsample(x: Tensor, like: Tensor, factor: int) -> Tensor:
    """Scale `x` bilinearly to the height and width of `like`, which is about `factor` times.

    Where it is exactly so, as in all exported networks, the factor is said rather than the size:
    ONNX Runtime has a faster layer for it.
    """
    if (factor * x.shape[2], factor * x.shape[3]) == (like.shape[2], like.shape[3]):
        return F.interpolate(x, scale_factor=float(factor), mode='bilinear', align_corners=False)
    return F.interpolate(x, size=like.shape[2:], mode='bilinear', align_corners=False)


class PointBlock(nn.Sequential):
    """1x1 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
                         nn.ReLU(inplace=True))


class SeparableBlock(nn.Sequential):
    """3x3 depthwise convolution, then 1x1 convolution, batch normalisation and ReLU.

    A dense 3x3 convolution takes some eight times the multiplications. (Depthwise separable
    decoders are those of Cheng et al., "Panoptic-DeepLab", CVPR 2020.)
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
                         *PointBlock(inputs, outputs))


class Decoder(nn.Module):
    """U-Net-like decoder: coarse to fine, joined with the encoder's map at every stride.

    Parameters
    ----------
    channels : dict of int to int
        The encoder's strides and channels.
    widths : dict of int to int
        Stride of each level, coarse to fine, and the decoder's channels there. The last one is
        the output stride.
    outputs : int
        Channels of the result.
    dropout : float
        Share of channels that training switches off before the last layers.
    """

    def __init__(self, *, channels: Mapping[int, int], widths: Mapping[int, int], outputs: int,
                 dropout: float) -> None:
        super().__init__()
        self.strides = tuple(sorted(widths, reverse=True))
        first, *finer = self.strides
        above = widths[first]
        self.enter = PointBlock(channels[first], above)
        self.narrow, self.skips, self.joins = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for stride in finer:
            width, key = widths[stride], str(stride)
            skip = min(channels[stride], width // 2)
            # Channels are reduced before they are scaled up: 1/4 of the work, the same result.
            self.narrow[key] = nn.Conv2d(above, width, 1)
            self.skips[key] = nn.Conv2d(channels[stride], skip, 1)
            self.joins[key] = SeparableBlock(width + skip, width)
            above = width
        self.head = nn.Sequential(nn.Dropout2d(dropout), SeparableBlock(above, above),
                                  nn.Dropout2d(dropout), nn.Conv2d(above, outputs, 1))

    def forward(self, features: Mapping[int, Tensor]) -> Tensor:
        x = self.enter(features[self.strides[0]])
        for above, stride in zip(self.strides, self.strides[1:]):
            key = str(stride)
            skip = self.skips[key](features[stride])
            x = upsample(self.narrow[key](x), skip, above // stride)
            x = self.joins[key](torch.cat([x, skip], 1))
        return self.head(x)


class SemanticDecoder(nn.Module):
    """Class logits: a coarse guess from the deepest features, and what the decoder adds to it.

    The coarse guess is a plain 1x1 classifier, which can start from the classifier of a trained
    segmentation network; the decoder learns the residual.
    """

    def __init__(self, *, channels: Mapping[int, int], widths: Mapping[int, int],
                 classes: int, dropout: float) -> None:
        super().__init__()
        self.deepest = max(channels)
        self.coarse = nn.Conv2d(channels[self.deepest], classes, 1)
        self.residual = Decoder(channels=channels, widths=widths, outputs=classes,
                                dropout=dropout)
        # Training starts from the coarse guess alone.
        nn.init.zeros_(self.residual.head[-1].weight)
        nn.init.zeros_(self.residual.head[-1].bias)

    @property
    def class_layers(self) -> tuple[str, ...]:
        """Names of the convolutions that have an output for each class."""
        return 'coarse', f'residual.head.{len(self.residual.head) - 1}'

    def forward(self, features: Mapping[int, Tensor]) -> Tensor:
        residual = self.residual(features)
        coarse = self.coarse(features[self.deepest])
        return residual + upsample(coarse, residual, self.deepest // self.residual.strides[-1])


class CenterDecoder(Decoder):
    """One logit a pixel: the confidence to be the center of an instance."""

    def __init__(self, *, channels: Mapping[int, int], widths: Mapping[int, int],
                 dropout: float) -> None:
        super().__init__(channels=channels, widths=widths, outputs=1, dropout=dropout)
        # Centers are rare: start from a low prior, as in Lin et al., "Focal Loss for Dense Object
        # Detection", ICCV 2017, section 4.1, so that the background doesn't swamp the first steps.
        nn.init.constant_(self.head[-1].bias, -4.0)


class EmbeddingDecoder(Decoder):
    """Embedding of every pixel: learned features, plus the pixel's position.

    The first two channels get s * (x, y) / `position_unit`, with s learned and x, y in pixels of
    the network's input, so that distances mean the same at every output stride. A convolutional
    network can't tell two equal objects at different places apart by itself; the position does,
    and the learned features move the pixels of one object together. (Ours; as an input of the
    decoder, positions had no effect.)
    """

    position_unit = 32.0

    def __init__(self, *, channels: Mapping[int, int], widths: Mapping[int, int],
                 size: int, dropout: float, position: bool = True) -> None:
        super().__init__(channels=channels, widths=widths, outputs=size, dropout=dropout)
        self.position_scale = nn.Parameter(torch.tensor(0.7)) if position else None

    def forward(self, features: Mapping[int, Tensor]) -> Tensor:
        learned = super().forward(features)
        if self.position_scale is None:
            return learned
        height, width = learned.shape[2:]
        step = (self.position_scale * (self.strides[-1] / self.position_unit)).to(learned.dtype)
        x = torch.arange(width, device=learned.device, dtype=learned.dtype) * step
        y = torch.arange(height, device=learned.device, dtype=learned.dtype) * step
        position = torch.stack([x[None, :].expand(height, width),
                                y[:, None].expand(height, width)])
        return torch.cat([learned[:, :2] + position, learned[:, 2:]], 1)
