"""Encoders: networks that turn an image into feature maps at several strides.

Every encoder is an `Encoder`, chosen by name with `build_encoder`. The decoders only know its
`channels`, so another backbone needs no change anywhere else.
"""
from __future__ import annotations

from pathlib import Path
from typing import Mapping

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F


class Encoder(nn.Module):
    """Interface of all encoders.

    Attributes
    ----------
    channels : dict of int to int
        Stride of each feature map that `forward` returns, and its number of channels.
    mean, std : tuple of 3 floats
        Normalisation of RGB values in [0, 255]: (x - mean) / std.
    """

    channels: dict[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Return the feature maps of normalised images (N, 3, H, W), by stride."""
        raise TypeError(f'{type(self).__name__} has to define forward')

    def load_weights(self, path: str | Path) -> dict[str, Tensor]:
        """Load initial weights and return the tensors of the file that are no part of it."""
        raise TypeError(f'{type(self).__name__} has to define load_weights')

    def freeze(self, stages: int) -> None:
        """Exclude the first `stages` stages from training."""
        raise TypeError(f'{type(self).__name__} has to define freeze')


class EncoderConv2d(nn.Conv2d):
    """Convolution that keeps the size, or halves an even one and lets the caller choose the phase.

    Parameters
    ----------
    late : bool
        At stride 2, output pixel i is centered on input pixel 2 i + 1 if true (TensorFlow's SAME
        padding: bottom and right) and on 2 i if false (top and left); the ideal is in between.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1,
                 dilation: int = 1, groups: int = 1, late: bool = True) -> None:
        padding = 0 if stride == 2 else dilation * (kernel - 1) // 2
        super().__init__(inputs, outputs, kernel, stride, padding, dilation, groups)
        self.stride_padding = (0, 1, 0, 1) if late else (1, 0, 1, 0)

    def forward(self, x: Tensor, phases_apart: bool = False) -> Tensor:
        if self.stride == (2, 2):
            return super().forward(F.pad(x, self.stride_padding))
        if phases_apart:  # see `space_to_batch`
            return F.conv2d(x, self.weight, self.bias, padding=1, groups=self.groups)
        return super().forward(x)


def space_to_batch(x: Tensor) -> Tensor:
    """Make four images of every image (N, C, 2 h, 2 w): one of each phase of its pixels.

    A convolution with dilation 2 is one without dilation there; 1x1 convolutions are the same.
    """
    n, c, height, width = x.shape
    x = x.reshape(n, c, height // 2, 2, width // 2, 2).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(4 * n, c, height // 2, width // 2).contiguous(
        memory_format=torch.channels_last)


def batch_to_space(x: Tensor) -> Tensor:
    """Undo `space_to_batch`."""
    n, c, height, width = x.shape
    x = x.reshape(n // 4, 2, 2, c, height, width).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n // 4, c, 2 * height, 2 * width).contiguous(
        memory_format=torch.channels_last)


class InvertedResidual(nn.Module):
    """Expand, filter depthwise, project; with a shortcut where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int,
                 dilation: int, late: bool) -> None:
        super().__init__()
        hidden = inputs * expansion
        if expansion != 1:
            self.expand = EncoderConv2d(inputs, hidden, 1)
        self.depthwise = EncoderConv2d(hidden, hidden, 3, stride, dilation, hidden, late)
        self.project = EncoderConv2d(hidden, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor, phases_apart: bool = False) -> Tensor:
        y = F.relu6(self.expand(x), inplace=True) if hasattr(self, 'expand') else x
        y = self.project(F.relu6(self.depthwise(y, phases_apart), inplace=True))
        return x + y if self.shortcut else y


class MobileNetV2(Encoder):
    """MobileNetV2 1.0 at output stride 16, with the context head of DeepLabV3.

    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018; a residual
    network whose blocks are thin at the ends and filter depthwise in between. Batch normalisation
    is folded into the convolutions. Its last feature map is the concatenation of the last block's
    (320 channels) and of the context head's (256).

    Notes
    -----
    The weights were trained with SAME padding, which centers cell i of stride s on the image's
    pixel s i + (s - 1): at stride 16, 7.5 pixels off the middle of the cell. The decoders would
    see every object shifted to the top left, by another amount at each stride. Padding at
    alternating sides samples the same features at other phases, centered on 4 i + 1, 8 i + 5 and
    16 i + 5: at most 2.5 pixels off.
    """

    channels = {4: 24, 8: 32, 16: 576}
    mean = (128.0, 128.0, 128.0)
    std = (128.0, 128.0, 128.0)

    # (expansion, outputs, number of blocks, stride of the first, dilation of the others)
    _stages = ((1, 16, 1, 1, 1), (6, 24, 2, 2, 1), (6, 32, 3, 2, 1), (6, 64, 4, 2, 1),
               (6, 96, 3, 1, 1), (6, 160, 3, 1, 2), (6, 320, 1, 1, 2))
    _tap_after_block = {2: 4, 5: 8}
    _first_dilated = 14

    def __init__(self) -> None:
        super().__init__()
        self.stem = EncoderConv2d(3, 32, 3, stride=2)
        blocks, inputs, late = [], 32, False
        for expansion, outputs, count, stride, dilation in self._stages:
            for index in range(count):
                # The first of the dilated stages stands where the stride of 2 was: not dilated.
                first = index == 0 and outputs != 320
                blocks.append(InvertedResidual(inputs, outputs, stride if index == 0 else 1,
                                               expansion, 1 if first else dilation, late))
                inputs = outputs
            if stride == 2:
                late = not late
        self.blocks = nn.ModuleList(blocks)
        self.aspp = nn.ModuleDict({'conv': EncoderConv2d(320, 256, 1), 'pool': EncoderConv2d(320, 256, 1),
                                   'project': EncoderConv2d(512, 256, 1)})

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        features = {}
        x = F.relu6(self.stem(image), inplace=True)
        apart = False
        for index, block in enumerate(self.blocks):
            if index == self._first_dilated and self.training:
                # The backward pass of a dilated depthwise convolution is very slow on CPUs.
                apart = x.shape[2] % 2 == 0 and x.shape[3] % 2 == 0
                x = space_to_batch(x) if apart else x
            x = block(x, apart)
            if index in self._tap_after_block:
                features[self._tap_after_block[index]] = x
        x = batch_to_space(x) if apart else x
        pooled = F.relu(self.aspp['pool'](x.mean((2, 3), keepdim=True)))
        local = F.relu(self.aspp['conv'](x))
        context = F.relu(self.aspp['project'](torch.cat([pooled.expand_as(local), local], 1)))
        features[16] = torch.cat([x, context], 1)
        return features

    def load_weights(self, path: str | Path) -> dict[str, Tensor]:
        tensors = _load_safetensors(path)
        mine = {name: tensors.pop(name) for name in list(tensors) if name in self.state_dict()}
        missing = [name for name in self.state_dict()
                   if name not in mine and not name.startswith('aspp.')]
        if missing:
            raise ValueError(f'{path}: no weights of MobileNetV2, {len(missing)} tensors are '
                             f'missing, the first is {missing[0]}')
        self.load_state_dict(mine, strict=False)
        return tensors

    def freeze(self, stages: int) -> None:
        ends = [1 + sum(stage[2] for stage in self._stages[:count])
                for count in range(len(self._stages) + 1)]
        if stages > 0:
            parts = [self.stem, *self.blocks[:ends[min(stages, len(self._stages))] - 1]]
            for part in parts:
                part.requires_grad_(False)


ENCODERS: Mapping[str, type[Encoder]] = {'mobilenet_v2': MobileNetV2}


def build_encoder(name: str) -> Encoder:
    """Return the encoder of that name, with random weights."""
    if name not in ENCODERS:
        raise ValueError(f'encoder: expected one of {", ".join(ENCODERS)}, got {name!r}')
    return ENCODERS[name]()


def _load_safetensors(path: str | Path) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise ValueError(f'{path}: no such file of initial weights')
    try:
        return load_file(str(path))
    except Exception as error:  # safetensors raises its own exception, which is no public class
        raise ValueError(f'{path}: not a safetensors file ({error})') from error
