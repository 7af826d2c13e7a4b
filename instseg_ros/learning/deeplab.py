"""DeepLabV3 on MobileNetV2, as its weights for PASCAL VOC are: a teacher of classes."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from instseg_ros.learning.encoders.mobilenet_v2 import MobileNetV2
from instseg_ros.learning.model import VOC_CLASSES


class DeepLab(MobileNetV2):
    """The encoder MobileNetV2 with the classifier that its weights for PASCAL VOC come with."""

    optional = ()

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Conv2d(self.aspp['project'].out_channels, len(VOC_CLASSES), 1)

    def class_logits(self, image: Tensor, stride: int) -> Tensor:
        """Return the logits (N, 21, H / stride, W / stride) of the classes of PASCAL VOC.

        Parameters
        ----------
        image : (N, 3, H, W)
            RGB with values in [0, 255]; height and width are multiples of the stride.
        stride : int
        """
        mean, std = (torch.tensor(values, device=image.device).view(1, 3, 1, 1)
                     for values in (self.mean, self.std))
        # Cells of the deepest map are centered on pixels 16 i + 5 (see MobileNetV2), but for the
        # upsampling on 16 i + 7.5: the map would lie too far down and right.
        features = self(F.pad((image - mean) / std, (-3, 3, -3, 3)))
        logits = self.logits(features[16][:, -self.logits.in_channels:])
        size = image.shape[2] // stride, image.shape[3] // stride
        return F.interpolate(logits, size, mode='bilinear', align_corners=False)
