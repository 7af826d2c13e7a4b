"""Center and embedding decoders that start from what the detector predicts."""
from __future__ import annotations

from typing import Mapping, NamedTuple, Sequence

import torch
from torch import Tensor, nn

from instseg_ros.learning.decoders import SeparableBlock
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
    """Learned residual that is added to the detector's prediction; 0 to begin with.

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
