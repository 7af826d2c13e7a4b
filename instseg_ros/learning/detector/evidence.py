"""Box evidence: predicted boxes raise and lower the class logits of the pixels that they cover."""
from __future__ import annotations

from typing import Mapping, NamedTuple, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from instseg_ros.learning.detector.grids import output_pixels
from instseg_ros.learning.detector.heads import Detections, boxes_of

BOXES = 128
"""So many of the strongest predicted boxes are looked at. Ours."""

POWER = 16
"""Exponent of the power mean that stands for the maximum over boxes. Ours."""

CERTAIN = 0.4
"""A class is not doubted where a box of this score or above covers the pixel. Ours."""

SMALL = 40.0
"""Boxes whose area has a smaller square root, in pixels of the input, are small. Ours."""

SMALL_MARGIN = 0.1
"""Share of a small box's width and height that is left out at each of its sides. Ours."""

SMALL_GAIN = 8.0
"""Added to the logit of its class within a small box of a score of `CERTAIN` or more. Ours."""


class Boxes(NamedTuple):
    """The strongest predicted boxes of each image.

    scores : (N, K) in [0, 1]
    classes : (N, K) int64, index among the detector's classes
    corners : (N, K, 4) left, top, right, bottom in pixels of the input
    """

    scores: Tensor
    classes: Tensor
    corners: Tensor


def strongest_boxes(detections: Mapping[int, Detections], count: int = BOXES) -> Boxes:
    """Return the boxes with the largest class scores, of all strides together.

    Nothing is suppressed: several of them may be one object's.
    """
    scores = torch.cat([found.classes.flatten(2) for found in detections.values()], 2)
    # In float32, whatever the network computes in: bfloat16 has no odd numbers beyond 256.
    corners = torch.cat([boxes_of(found.distances.float(), stride).flatten(2)
                         for stride, found in detections.items()], 2)
    # Small images have fewer cells: the cells that are added have no score and no extent.
    scores, corners = F.pad(scores.float().sigmoid(), (0, count)), F.pad(corners, (0, count))
    cells = scores.shape[2]
    best, index = scores.flatten(1).topk(count)
    classes = torch.div(index, cells, rounding_mode='floor')
    cell = (index - classes * cells)[:, None].expand(-1, 4, -1)
    return Boxes(best, classes, corners.gather(2, cell).transpose(1, 2))


class BoxEvidence(nn.Module):
    """Adds the evidence of the predicted boxes to the class logits.

    logit_c + a E_c - b (1 - min(E_c / 0.4, 1)), for every class c that has instances, where E_c is
    the highest score of the boxes of class c that cover the pixel. The maximum is a power mean,
    (sum_k score_k ** 16) ** (1 / 16) and at most 1: it needs a matrix product instead of a
    comparison of every pixel with every box, and is too high by 15 % for ten boxes of equal score.

    Objects of a few output pixels are hardly seen in the logits, and fill most of their box. So
    the pixels within a small box of which the detector is certain get its class. (Ours.)

    Parameters
    ----------
    thing_ids : sequence of int
        Class of each of the detector's classes, in their order.
    classes : int
        Number of classes.
    output_stride : int
    gain, loss : float
        a and b, to start with; training may change them.
    """

    def __init__(self, thing_ids: Sequence[int], classes: int, output_stride: int,
                 gain: float, loss: float) -> None:
        super().__init__()
        self.output_stride = output_stride
        self.gain, self.loss = nn.Parameter(torch.tensor(gain)), nn.Parameter(torch.tensor(loss))
        self.register_buffer('class_of', F.one_hot(torch.tensor(tuple(thing_ids)),
                                                   classes).float(), persistent=False)

    def forward(self, logits: Tensor, boxes: Boxes) -> Tensor:
        """Return the logits (N, C, H, W) with the evidence of the boxes added."""
        evidence = self.highest_scores(boxes, logits.shape[2:])
        is_thing = self.class_of.sum(0).view(1, -1, 1, 1)
        doubt = is_thing - (evidence / CERTAIN).clamp(max=1.0)
        small = SMALL_GAIN * self.in_small_boxes(boxes, logits.shape[2:])
        return logits + self.gain * evidence - self.loss * doubt + small

    def highest_scores(self, boxes: Boxes, size: tuple[int, int]) -> Tensor:
        """Return E (N, C, H, W); 0 for classes without instances."""
        total = self._sum(boxes.scores ** POWER, boxes.classes, boxes.corners, size)
        return total.clamp(max=1.0) ** (1 / POWER)

    def in_small_boxes(self, boxes: Boxes, size: tuple[int, int]) -> Tensor:
        """Return 1 at the pixels (N, C, H, W) within a certain small box of the class, else 0."""
        extent = (boxes.corners[..., 2:] - boxes.corners[..., :2]).clamp(min=0.0)
        certain = (boxes.scores >= CERTAIN) & (extent.prod(2) < SMALL ** 2)
        margin = SMALL_MARGIN * extent
        corners = boxes.corners + torch.cat([margin, -margin], 2)
        total = self._sum(certain.to(corners.dtype), boxes.classes, corners, size)
        return (total > 0).to(corners.dtype)

    def _sum(self, weights: Tensor, classes: Tensor, corners: Tensor, size: tuple[int, int]
             ) -> Tensor:
        """Return the sum (N, C, H, W) of the weights (N, K) of the boxes that cover a pixel."""
        rows, columns = covered(corners, size, self.output_stride)
        of_class = weights[:, None] * self.class_of.T[:, classes].transpose(0, 1)
        return (of_class[..., None] * rows[:, None]).transpose(2, 3) @ columns[:, None]


def covered(corners: Tensor, size: tuple[int, int], output_stride: int) -> tuple[Tensor, Tensor]:
    """Return which rows (N, K, H) and columns (N, K, W) the boxes (N, K, 4) cover, as 0, 1.

    A pixel is covered where its row and its column are.
    """
    left, top, right, bottom = corners.unsqueeze(2).unbind(3)
    x = output_pixels(size[1], output_stride, corners)
    y = output_pixels(size[0], output_stride, corners)
    columns = (x >= left) & (x <= right)
    rows = (y >= top) & (y <= bottom)
    return rows.to(corners.dtype), columns.to(corners.dtype)
