"""Backbone and neck of the detector NanoDet-Plus-m: ShuffleNetV2 and GhostPAN."""
from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from instseg_ros.learning.encoders.encoder import Encoder

SLOPE = 0.1
"""Of the leaky ReLU, the only activation of this network."""


class NanoDetPlus(Encoder):
    """ShuffleNetV2 with a GhostPAN neck, as in the detector NanoDet-Plus-m.

    Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV
    2018; the ghost blocks of the neck are those of Han et al., "GhostNet", CVPR 2020; the detector
    is RangiLyu's NanoDet-Plus (Apache-2.0). Batch normalisation is folded into the convolutions.
    Tensors have the names of the weights file; those of the detector's heads are left over by
    `load_weights`, for `instseg_ros.learning.detector.DetectorHeads`.

    Strides 2 and 4 are maps of the backbone, strides 8 to 64 those of the neck.

    Parameters
    ----------
    widths : (int, int, int)
        Channels of the backbone at strides 8, 16 and 32.
    neck : int
        Channels of the neck.

    Notes
    -----
    Symmetric padding centers cell i of stride s on the image's pixel s i. The levels of the neck
    learned to work together at these phases, so they stay as they are;
    `instseg_ros.learning.detector.grids.to_output_grid` aligns them with the output grid. A map
    of stride 64 has the size of the image / 64, rounded up.
    """

    # Of ImageNet; the detector takes the same numbers in BGR.
    mean = (123.675, 116.28, 103.53)
    std = (58.395, 57.12, 57.375)
    ignored = ('head.',)

    def __init__(self, widths: tuple[int, int, int], neck: int) -> None:
        super().__init__()
        self.channels = {1: 3, 2: 24, 4: 24, 8: neck, 16: neck, 32: neck, 64: neck}
        self.backbone = ShuffleNetV2(widths)
        self.neck = GhostPAN(widths, neck)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        backbone = self.backbone(image)
        return {1: image, 2: backbone[2], 4: backbone[4],
                **self.neck(backbone[8], backbone[16], backbone[32])}

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        backbone = self.backbone
        return ((backbone.conv1,), (backbone.stage2,), (backbone.stage3,), (backbone.stage4,),
                (self.neck,))


def nanodet_plus_m() -> NanoDetPlus:
    """Return NanoDet-Plus-m with random weights."""
    return NanoDetPlus((116, 232, 464), 96)


def nanodet_plus_m_15x() -> NanoDetPlus:
    """Return NanoDet-Plus-m with 1.5 times the channels, with random weights."""
    return NanoDetPlus((176, 352, 704), 128)


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU."""
    return F.leaky_relu(x, SLOPE)


class ShuffleNetV2(nn.Module):
    """ShuffleNetV2 up to stride 32; returns its maps by stride."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(BgrConv2d(3, 24, 3, stride=2, padding=1))
        inputs = 24
        for name, width, count in zip(('stage2', 'stage3', 'stage4'), widths, (4, 8, 4)):
            blocks = [ShuffleBlock(inputs, width, stride=2)]
            blocks += [ShuffleBlock(width, width, stride=1) for _ in range(count - 1)]
            setattr(self, name, nn.Sequential(*blocks))
            inputs = width

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        first = self.conv1(image)
        maps = {2: activate(first)}
        # Pooled before it is activated, which is the same: otherwise ONNX Runtime quantizes what
        # is pooled, and its pooling of 8-bit integers is slow.
        maps[4] = activate(F.max_pool2d(first, 3, 2, 1))
        maps[8] = shuffle(self.stage2(maps[4]))
        maps[16] = shuffle(self.stage3(maps[8]))
        maps[32] = shuffle(self.stage4(maps[16]))
        return maps


class BgrConv2d(nn.Conv2d):
    """Convolution of an RGB image with filters that were trained on BGR."""

    def forward(self, image: Tensor) -> Tensor:
        return F.conv2d(image, self.weight.flip(1), self.bias, self.stride, self.padding)


class ShuffleBlock(nn.Module):
    """One half of the channels passes by (strided: is filtered depthwise), the other is filtered.

    No activation follows the depthwise convolutions. The channels that leave a block are shuffled
    where the next one takes its halves, or behind the last one of a stage.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        entering = inputs if stride == 2 else half
        if stride == 2:
            self.branch1 = nn.Sequential(DepthwiseConv2d(inputs, 3, 2), nn.Identity(),
                                         nn.Conv2d(inputs, half, 1), nn.Identity(), leaky())
        else:
            self.branch1 = None
        # The identities stand where the weights' names count the folded normalisations.
        self.branch2 = nn.Sequential(nn.Conv2d(entering, half, 1), nn.Identity(), leaky(),
                                     DepthwiseConv2d(half, 3, stride), nn.Identity(),
                                     nn.Conv2d(half, half, 1), nn.Identity(), leaky())

    def forward(self, x: Tensor) -> Tensor:
        if self.branch1 is None:
            passing, filtered = (x.index_select(1, half) for half in shuffled(x).chunk(2))
        else:
            passing, filtered = self.branch1(x), x
        return torch.cat([passing, self.branch2(filtered)], 1)


def shuffle(x: Tensor) -> Tensor:
    """Interleave the two halves of the channels."""
    return x.index_select(1, shuffled(x))


def shuffled(x: Tensor) -> Tensor:
    """Return the indices of the channels in the order that interleaves their two halves.

    Taking channels by their indices, where a block needs them, moves less data than transposing
    all of them, and leaves every layout of memory as it is.
    """
    return torch.arange(x.shape[1], device=x.device).view(2, -1).T.reshape(-1)


def leaky() -> nn.Module:
    """Return an activation as a layer."""
    return nn.LeakyReLU(SLOPE)


class DepthwiseConv2d(nn.Conv2d):
    """Depthwise convolution with symmetric padding."""

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        # PyTorch computes the gradient of 5x5 filters in bfloat16 four times slower on CPUs.
        if not self.training or self.kernel_size[0] < 5 or x.device.type != 'cpu':
            return super().forward(x)
        with torch.autocast('cpu', enabled=False):
            return super().forward(x.float())


class GhostPAN(nn.Module):
    """Path aggregation: coarse maps flow into fine ones and back; returns maps by stride."""

    def __init__(self, inputs: Sequence[int], width: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in inputs)
        self.top_down = nn.ModuleList(GhostBlock(width) for _ in range(2))
        self.down = nn.ModuleList(SeparableConv(width, stride=2) for _ in range(2))
        self.bottom_up = nn.ModuleList(GhostBlock(width) for _ in range(2))
        self.extra_in = SeparableConv(width, stride=2)
        self.extra_out = SeparableConv(width, stride=2)

    def forward(self, x8: Tensor, x16: Tensor, x32: Tensor) -> dict[int, Tensor]:
        r8, r16, r32 = (activate(reduce(x)) for reduce, x in zip(self.reduce, (x8, x16, x32)))
        t16 = self.top_down[0](torch.cat([double(r32), r16], 1))
        p8 = self.top_down[1](torch.cat([double(t16), r8], 1))
        p16 = self.bottom_up[0](torch.cat([self.down[0](p8), t16], 1))
        p32 = self.bottom_up[1](torch.cat([self.down[1](p16), r32], 1))
        return {8: p8, 16: p16, 32: p32, 64: self.extra_in(r32) + self.extra_out(p32)}


def double(x: Tensor) -> Tensor:
    """Scale up bilinearly by two."""
    return F.interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)


class SeparableConv(nn.Module):
    """5x5 depthwise convolution and 1x1 convolution, each with activation."""

    def __init__(self, width: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(width, 5, stride)
        self.pointwise = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return activate(self.pointwise(activate(self.depthwise(x))))


class GhostBlock(nn.Module):
    """Two ghost convolutions beside a separable shortcut; halves the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ghost1 = Ghost(2 * width, width)
        self.ghost2 = Ghost(width, width)
        self.shortcut = nn.ModuleDict({'depthwise': DepthwiseConv2d(2 * width, 5),
                                       'pointwise': nn.Conv2d(2 * width, width, 1)})

    def forward(self, x: Tensor) -> Tensor:
        y = self.ghost2(self.ghost1(x, activate))
        return y + self.shortcut['pointwise'](self.shortcut['depthwise'](x))


class Ghost(nn.Module):
    """Half of the channels by a 1x1 convolution, the others from these by a depthwise one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.primary = nn.Conv2d(inputs, outputs // 2, 1)
        self.cheap = DepthwiseConv2d(outputs // 2, 3)

    def forward(self, x: Tensor, activation=lambda x: x) -> Tensor:
        first = activation(self.primary(x))
        return torch.cat([first, activation(self.cheap(first))], 1)
