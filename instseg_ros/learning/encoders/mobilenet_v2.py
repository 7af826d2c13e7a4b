"""MobileNetV2 with the context head of DeepLabV3."""
from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from instseg_ros.learning.encoders.encoder import (
    Encoder,
    EncoderConv2d,
    batch_to_space,
    space_to_batch,
)


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
    alternating sides samples the same features at other phases, centered on 2 i + 1, 4 i + 1,
    8 i + 5 and 16 i + 5: at most 2.5 pixels off.
    """

    channels = {1: 3, 2: 16, 4: 24, 8: 32, 16: 576}
    mean = (128.0, 128.0, 128.0)
    std = (128.0, 128.0, 128.0)
    optional: tuple[str, ...] = ('aspp.',)

    # (expansion, outputs, number of blocks, stride of the first, dilation of the others)
    _stages = ((1, 16, 1, 1, 1), (6, 24, 2, 2, 1), (6, 32, 3, 2, 1), (6, 64, 4, 2, 1),
               (6, 96, 3, 1, 1), (6, 160, 3, 1, 2), (6, 320, 1, 1, 2))
    _tap_after_block = {0: 2, 2: 4, 5: 8}
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
        self.aspp = nn.ModuleDict({'conv': EncoderConv2d(320, 256, 1),
                                   'pool': EncoderConv2d(320, 256, 1),
                                   'project': EncoderConv2d(512, 256, 1)})

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        features = {1: image}
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

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        stages, blocks = [], list(self.blocks)
        for _, _, count, _, _ in self._stages:
            stages.append(blocks[:count])
            blocks = blocks[count:]
        stages[0] = [self.stem, *stages[0]]
        return stages
