"""ResNet-18, 34 and 50 with torchvision's names of the parameters."""
from __future__ import annotations

from typing import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from instseg_ros.learning.encoders.encoder import Encoder, EncoderConv2d


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, dilations: tuple[int, int],
                 late: bool) -> None:
        super().__init__()
        first, then = dilations
        self.conv1 = _convolution(inputs, width, 3, stride, first, late)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3, dilation=then)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride, late)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 convolutions, beside a shortcut.

    The 3x3 convolution has the stride, as in torchvision; in the article the first 1x1 has it.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, dilations: tuple[int, int],
                 late: bool) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = _convolution(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3, stride, dilations[0], late)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _convolution(width, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride, late)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.downsample(x))


class ResNet(Encoder):
    """ResNet at output stride 16.

    He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016. The last stage
    is not strided but dilated, as in Chen et al., "Rethinking Atrous Convolution for Semantic
    Image Segmentation", 2017: the same filters on a grid twice as fine. That takes four times the
    operations in this stage, and lets all encoders share the strides of the decoders.

    Parameters
    ----------
    block : BasicBlock or Bottleneck
    counts : sequence of 4 int
        Blocks in each stage.

    Notes
    -----
    The published weights were trained with symmetric padding, which centers cell i of stride s on
    the image's pixel s i: at stride 16, 7.5 pixels off the middle of the cell. With `conv1` and
    the first block of `layer2` one pixel of their own grid late, the same features are sampled at
    other phases, centered on 2 i + 1, 4 i + 1, 8 i + 5 and 16 i + 5: at most 2.5 pixels off, as
    those of `MobileNetV2` are. Only the borders of the image are padded differently.
    """

    # Of ImageNet, on which the published weights were trained.
    mean = (123.675, 116.28, 103.53)
    std = (58.395, 57.12, 57.375)
    optional = ('.num_batches_tracked',)
    ignored = ('fc.',)

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], counts: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = _convolution(3, 64, 7, 2, late=True)
        self.bn1 = nn.BatchNorm2d(64)
        inputs, layers = 64, []
        for width, count, stride, dilation, late in zip(
                (64, 128, 256, 512), counts, (1, 2, 2, 1), (1, 1, 1, 2),
                (False, True, False, False)):
            blocks = []
            for index in range(count):
                # The first convolution of the dilated stage stands where the stride of 2 was.
                dilations = (1 if index == 0 else dilation, dilation)
                blocks.append(block(inputs, width, stride if index == 0 else 1, dilations, late))
                inputs = width * block.expansion
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.channels = {1: 3, 2: 64, 4: 64 * block.expansion, 8: 128 * block.expansion,
                         16: 512 * block.expansion}

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        half = F.relu(self.bn1(self.conv1(image)))
        quarter = self.layer1(F.max_pool2d(half, 3, 2, 1))
        eighth = self.layer2(quarter)
        return {1: image, 2: half, 4: quarter, 8: eighth, 16: self.layer4(self.layer3(eighth))}

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        return ((self.conv1, self.bn1), (self.layer1,), (self.layer2,), (self.layer3,),
                (self.layer4,))


def resnet18() -> ResNet:
    """Return a ResNet-18 with random weights."""
    return ResNet(BasicBlock, (2, 2, 2, 2))


def resnet34() -> ResNet:
    """Return a ResNet-34 with random weights."""
    return ResNet(BasicBlock, (3, 4, 6, 3))


def resnet50() -> ResNet:
    """Return a ResNet-50 with random weights."""
    return ResNet(Bottleneck, (3, 4, 6, 3))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1,
                 late: bool = False) -> EncoderConv2d:
    layer = EncoderConv2d(inputs, outputs, kernel, stride, dilation, late=late, bias=False)
    # He et al., "Delving Deep into Rectifiers", ICCV 2015, for the outputs: as torchvision does.
    nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')
    return layer


def _shortcut(inputs: int, outputs: int, stride: int, late: bool) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(_convolution(inputs, outputs, 1, stride, late=late),
                         nn.BatchNorm2d(outputs))
