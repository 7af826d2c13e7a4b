"""How well boxes fit objects: their intersection over union with the box of the visible mask."""
from __future__ import annotations

from typing import Mapping

import torch
from torch import Tensor

from instseg_ros.learning.detector.grids import to_output_grid
from instseg_ros.learning.detector.heads import Detections, boxes_of


@torch.no_grad()
def box_fits(detections: Mapping[int, Detections], instance_ids: Tensor, output_stride: int
             ) -> Tensor:
    """Return how well the boxes predicted at a pixel fit its object, (S, N, H, W).

    Parameters
    ----------
    detections : dict of int to Detections
        Of S strides.
    instance_ids : (N, H, W) int64
        0: none; there the fit is 0.
    output_stride : int
    """
    size = instance_ids.shape[1:]
    true = torch.stack([output_stride * object_boxes(ids) for ids in instance_ids])
    found = torch.stack([to_output_grid(boxes_of(item.distances.float(), stride), stride,
                                        output_stride, size)
                         for stride, item in detections.items()])
    return overlaps(found.movedim(2, -1), true[None]) * (instance_ids > 0)


def object_boxes(instance_ids: Tensor) -> Tensor:
    """Return the box (H, W, 4) of every pixel's object, in pixels; without an object, all 0."""
    ids, places = instance_ids.unique(return_inverse=True)
    boxes = boxes_of_masks(instance_ids[None] == ids.view(-1, 1, 1))
    return (boxes * (ids > 0)[:, None])[places]


def boxes_of_masks(masks: Tensor) -> Tensor:
    """Return left, top, right and bottom (K, 4) of masks (K, H, W), in pixels of them."""
    sides = []
    for along in (1, 2):
        shown = masks.any(along).to(torch.int64)
        first, last = shown.argmax(1), shown.shape[1] - shown.flip(1).argmax(1)
        sides.append(torch.stack([first, last], 1))
    return torch.stack(sides, 2).flatten(1)


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the intersection over union (...) of boxes (..., 4), of shapes that broadcast."""
    low = torch.maximum(boxes[..., :2], others[..., :2])
    high = torch.minimum(boxes[..., 2:], others[..., 2:])
    common = (high - low).clamp(min=0.0).prod(-1)
    areas = [(sides[..., 2:] - sides[..., :2]).clamp(min=0.0).prod(-1)
             for sides in (boxes, others)]
    return common / (areas[0] + areas[1] - common).clamp(min=1e-6)
