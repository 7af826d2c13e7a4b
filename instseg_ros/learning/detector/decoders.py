"""Center and embedding decoders that start from what the detector predicts."""
from __future__ import annotations

from typing import Mapping, NamedTuple, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from instseg_ros.learning.decoders import SeparableBlock, upsample
from instseg_ros.learning.detector.grids import to_output_grid
from instseg_ros.learning.detector.heads import STRIDES, Detections, boxes_of

BACKGROUND_LOGIT = -10.0
"""Logit of being a center at pixels whose class has no instances."""


class PixelDetections(NamedTuple):
    """What the detector predicts at each output pixel for the pixel's class.

    logits : (N, H, W)
        Of the class score; `BACKGROUND_LOGIT` where the class has no instances.
    boxes : (N, 4, H, W)
        Left, top, right and bottom in pixels of the input.
    """

    logits: Tensor
    boxes: Tensor


def at_pixels(detections: Mapping[int, Detections], class_ids: Tensor, thing_ids: Sequence[int],
              output_stride: int) -> PixelDetections:
    """Return score and box of every pixel, from the stride that is surest of the pixel's class.

    Parameters
    ----------
    detections : dict of int to Detections
    class_ids : (N, H, W) int64
    thing_ids : sequence of int
        Class of each of the detector's classes, in their order.
    output_stride : int
    """
    size = class_ids.shape[1:]
    logits, boxes = [], []
    for stride, found in detections.items():
        scores = to_output_grid(found.classes, stride, output_stride, size)
        logits.append(sum(scores[:, k] * (class_ids == thing)
                          for k, thing in enumerate(thing_ids)))
        boxes.append(to_output_grid(boxes_of(found.distances, stride), stride, output_stride,
                                    size))
    best, surest = torch.stack(logits, 1).max(1)
    box = sum(box * (surest == k)[:, None] for k, box in enumerate(boxes))
    is_thing = sum(class_ids == thing for thing in thing_ids)
    return PixelDetections(torch.where(is_thing > 0, best,
                                       torch.full_like(best, BACKGROUND_LOGIT)), box)


class ResidualDecoder(nn.Module):
    """What training adds to what the detector predicts: 0 to begin with.

    From the neck's map of the finest stride, with the detector's outputs beside it.

    Parameters
    ----------
    inputs, width, outputs : int
        Channels.
    output_stride : int
    """

    def __init__(self, inputs: int, width: int, outputs: int, output_stride: int) -> None:
        super().__init__()
        self.output_stride = output_stride
        self.enter = SeparableBlock(inputs, width)
        self.leave = SeparableBlock(width, width)
        self.last = nn.Conv2d(width, outputs, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        x = to_output_grid(self.enter(features), STRIDES[0], self.output_stride, size)
        return self.last(self.leave(x))


class DetectorSemanticDecoder(nn.Module):
    """Class logits from the neck and the detector's class scores, with the fine backbone maps.

    Context from stride 32 flows down to stride 8 on the neck's grids. The result goes to the
    output grid, where the backbone's maps of strides 2 and 4 join it.

    Parameters
    ----------
    channels : dict of int to int
        The encoder's strides and channels.
    detector_classes : int
    width, fine_width : int
        Channels at strides 32 to 8, and on the output grid.
    classes : int
    output_stride : int
        4.
    dropout : float
        Share of channels that training switches off before the last layer.
    """

    def __init__(self, *, channels: Mapping[int, int], detector_classes: int, width: int,
                 fine_width: int, classes: int, output_stride: int, dropout: float) -> None:
        super().__init__()
        if output_stride != 4:
            raise ValueError('model.output_stride: expected 4 for a semantic decoder on the '
                             f"detector's features, got {output_stride}")
        self.output_stride = output_stride
        self.context = nn.Conv2d(channels[32], width, 1)
        self.levels = nn.ModuleDict({
            str(stride): SeparableBlock(channels[stride] + detector_classes
                                        + (width if stride < 32 else 0), width)
            for stride in (32, 16, 8)})
        self.narrow = nn.Conv2d(width, fine_width, 1)
        # Centered between the pixels 4 i + 1 and 4 i + 3 of the input: on the output pixel.
        self.from_2 = nn.Conv2d(channels[2], fine_width // 2, 3, 2, bias=False)
        self.from_4 = nn.Conv2d(channels[4], fine_width // 2, 2, bias=False)
        self.joins = nn.Sequential(
            SeparableBlock(2 * (fine_width // 2) + fine_width, fine_width),
            SeparableBlock(fine_width, fine_width), nn.Dropout2d(dropout))
        self.last = nn.Conv2d(fine_width, classes, 1)

    def forward(self, features: Mapping[int, Tensor],
                detections: Mapping[int, Detections]) -> Tensor:
        x = None
        for stride in (32, 16, 8):
            level = [features[stride], detections[stride].classes.sigmoid()]
            if x is not None:
                level.append(upsample(x, features[stride], 2))
            x = self.levels[str(stride)](torch.cat(level, 1))
            if stride == 32:
                x = x + self.context(features[32].mean((2, 3), keepdim=True))
        size = tuple(features[4].shape[2:])
        x = to_output_grid(self.narrow(x), 8, self.output_stride, size)
        fine = [self.from_2(F.pad(features[2], (0, 1, 0, 1))),
                self.from_4(F.pad(features[4], (0, 1, 0, 1)))]
        return self.last(self.joins(torch.cat([x, *fine], 1)))
