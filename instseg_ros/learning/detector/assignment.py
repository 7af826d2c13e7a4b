"""Assignment: which center a pixel belongs to, learned beside what the detector predicts.

The detector was trained on the pixels near the middle of objects. Where objects of a class
overlap, the boxes that it predicts at other pixels are poor. Here they are corrected, for the
choice between centers only: centers, their scores and their boxes stay the detector's. (Ours.)
"""
from __future__ import annotations

from typing import Hashable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from instseg_ros.learning.decoders import PointBlock, SeparableBlock
from instseg_ros.learning.detector.grids import output_pixels, to_finer_grid, to_output_grid
from instseg_ros.learning.detector.modes import POSITION, SIZE

ASSIGNMENT_STRIDE = 4
"""The only output stride for which there is an assignment decoder."""


class AssignmentDecoder(nn.Module):
    """Corrects the boxes of pixels: 0 to begin with.

    The neck's maps of strides 8 and 16 go to stride 4, where the backbone's map, the class logits,
    and the predicted boxes and scores join them.

    Parameters
    ----------
    channels : dict of int to int
        The encoder's strides and channels.
    classes : int
    width : int
        Channels at stride 8; two thirds of them at stride 4, and a third in between.
    dropout : float
        Share of channels that training switches off before the last layer.
    """

    def __init__(self, channels: Mapping[int, int], classes: int, width: int, dropout: float
                 ) -> None:
        super().__init__()
        # Multiples of 16 for a width of 48: other numbers of channels are slower in ONNX Runtime.
        narrow, fine = width // 3, 2 * width // 3
        self.enter = nn.ModuleDict({str(stride): PointBlock(channels[stride], width)
                                    for stride in (8, 16)})
        self.coarse = SeparableBlock(width, width)
        self.narrow = nn.Conv2d(width, narrow, 1)
        self.from_pixels = nn.Conv2d(narrow + PLACE + classes, fine, 1)
        # Centered between the pixels 4 i + 1 and 4 i + 3 of the input.
        self.from_4 = nn.Conv2d(channels[4], fine, 2, bias=False)
        self.joins = nn.Sequential(SeparableBlock(fine, fine), SeparableBlock(fine, fine),
                                   nn.Dropout2d(dropout))
        self.last = nn.Conv2d(fine, 4, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Mapping[int, Tensor], semantic: Tensor, center: Tensor,
                embedding: Tensor) -> Tensor:
        """Return the corrected embedding (N, 4, H, W) of the pixels.

        Parameters
        ----------
        features : dict of int to Tensor
            The encoder's maps.
        semantic : (N, C, H, W)
            Class logits.
        center : (N, H, W)
            Logits of being a center.
        embedding : (N, 4, H, W)
            Of the boxes that the detector predicts, see `modes.embed_boxes`.
        """
        x = self.enter['8'](features[8]) + to_finer_grid(self.enter['16'](features[16]))
        x = to_output_grid(self.narrow(self.coarse(x)), 8, ASSIGNMENT_STRIDE,
                           tuple(center.shape[1:]))
        classes = (semantic - semantic.amax(1, keepdim=True)).clamp(min=-8.0) / 4
        x = (self.from_pixels(torch.cat([x, place_in_box(center, embedding), classes], 1))
             + self.from_4(F.pad(features[4], (0, 1, 0, 1))))
        moved, grown = self.last(self.joins(x.relu())).split(2, 1)
        extent = (embedding[:, 2:] / SIZE).exp()
        return embedding + torch.cat([POSITION * extent * moved, SIZE * grown], 1)

    def pixel_inputs(self, class_names: Sequence[str]) -> list[Hashable]:
        """Return a label for each input of `from_pixels`; those of class logits are the names."""
        return [*range(self.narrow.out_channels + PLACE), *class_names]


PLACE = 5
"""Channels of `place_in_box`."""


def place_in_box(center: Tensor, embedding: Tensor) -> Tensor:
    """Return each pixel's place in its box, the box's size, and its score, (N, 5, H, W).

    Scaled to values of about 1.
    """
    x = output_pixels(center.shape[2], ASSIGNMENT_STRIDE, embedding).view(1, 1, 1, -1)
    y = output_pixels(center.shape[1], ASSIGNMENT_STRIDE, embedding).view(1, 1, -1, 1)
    middle, sizes = embedding[:, :2] / POSITION, embedding[:, 2:] / SIZE
    place = torch.cat([x - middle[:, :1], y - middle[:, 1:]], 1) / sizes.exp()
    return torch.cat([place.clamp(-1.5, 1.5), sizes / 2 - 2, center[:, None].clamp(-5, 2) / 2], 1)
