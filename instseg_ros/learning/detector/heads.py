"""Heads of the detector NanoDet-Plus: class and box of an object at each cell of four strides."""
from __future__ import annotations

from pathlib import Path
from typing import Mapping, NamedTuple, Sequence

import torch
from torch import Tensor, nn

from instseg_ros.learning.encoders.encoder import Encoder
from instseg_ros.learning.encoders.nanodet_plus import SeparableConv

STRIDES = (8, 16, 32, 64)

SIDES, BINS = 4, 8
"""The distance to each side of a box is the mean of a distribution over so many bins: Li et al.,
"Generalized Focal Loss", NeurIPS 2020."""

COCO_CLASSES = (
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat',
    'traffic light', 'fire hydrant', 'stop sign', 'parking meter', 'bench', 'bird', 'cat', 'dog',
    'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe', 'backpack', 'umbrella',
    'handbag', 'tie', 'suitcase', 'frisbee', 'skis', 'snowboard', 'sports ball', 'kite',
    'baseball bat', 'baseball glove', 'skateboard', 'surfboard', 'tennis racket', 'bottle',
    'wine glass', 'cup', 'fork', 'knife', 'spoon', 'bowl', 'banana', 'apple', 'sandwich',
    'orange', 'broccoli', 'carrot', 'hot dog', 'pizza', 'donut', 'cake', 'chair', 'couch',
    'potted plant', 'bed', 'dining table', 'toilet', 'tv', 'laptop', 'mouse', 'remote',
    'keyboard', 'cell phone', 'microwave', 'oven', 'toaster', 'sink', 'refrigerator', 'book',
    'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush')
"""Classes of the detector's weights, in COCO's order."""


class Detections(NamedTuple):
    """What the detector predicts at the cells of one stride.

    classes : (N, C, h, w) logits, one for each class
    distances : (N, 4 * 8, h, w) logits of the distances to left, top, right and bottom side
    """

    classes: Tensor
    distances: Tensor


class DetectorHeads(nn.ModuleDict):
    """The heads, one for each stride; they share no weights.

    Parameters
    ----------
    width : int
        Channels of the encoder's maps.
    classes : int
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__({str(stride): nn.ModuleDict({
            'conv0': SeparableConv(width), 'conv1': SeparableConv(width),
            'output': nn.Conv2d(width, classes + SIDES * BINS, 1)}) for stride in STRIDES})
        self.classes = classes

    def forward(self, features: Mapping[int, Tensor]) -> dict[int, Detections]:
        found = {}
        for stride in STRIDES:
            head = self[str(stride)]
            output = head['output'](head['conv1'](head['conv0'](features[stride])))
            found[stride] = Detections(output[:, :self.classes], output[:, self.classes:])
        return found

    def load_weights(self, tensors: Mapping[str, Tensor], names: Sequence[str]) -> None:
        """Load the heads of a weights file, of all its classes only those named.

        Parameters
        ----------
        tensors : dict
            With `head.` before the names of this module's tensors, for `COCO_CLASSES`.
        names : sequence of str
            The classes to keep, in this order.

        Raises
        ------
        ValueError
            The detector has no such class, or the file other heads.
        """
        foreign = [name for name in names if name not in COCO_CLASSES]
        if foreign:
            raise ValueError(f'the detector has no class {foreign[0]!r}; its classes are '
                             f'{", ".join(COCO_CLASSES)}')
        kept = [COCO_CLASSES.index(name) for name in names]
        kept += range(len(COCO_CLASSES), len(COCO_CLASSES) + SIDES * BINS)
        try:
            self.load_state_dict({
                name.removeprefix('head.'): tensor[kept] if '.output.' in name else tensor
                for name, tensor in tensors.items() if name.startswith('head.')})
        except (IndexError, RuntimeError) as error:
            raise ValueError(f"expected the heads of this detector for COCO's classes, got "
                             f'others ({error})') from error


def load_detector(encoder: Encoder, heads: DetectorHeads, path: str | Path,
                  names: Sequence[str]) -> None:
    """Load encoder and heads of a weights file, of all its classes only those named.

    Raises
    ------
    ValueError
        It holds another network, or the detector has no such class; naming the file.
    """
    tensors = encoder.load_weights(path)
    try:
        heads.load_weights(tensors, names)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def boxes_of(distances: Tensor, stride: int) -> Tensor:
    """Decode boxes (N, 4, h, w), left, top, right and bottom in pixels of the input.

    The distance to a side is stride * sum_k k softmax(bins)_k, from the pixel (stride x,
    stride y) on which the cell is centered.

    Parameters
    ----------
    distances : (N, 32, h, w)
        Logits.
    """
    n, _, height, width = distances.shape
    bins = distances.view(n, SIDES, BINS, height, width)
    # Written out: with ONNX Runtime's Softmax over so few numbers, all this takes seven times as
    # long.
    bins = (bins - bins.amax(2, keepdim=True)).exp()
    steps = torch.arange(BINS, device=bins.device, dtype=bins.dtype) * stride
    means = (bins * steps.view(1, 1, BINS, 1, 1)).sum(2) / bins.sum(2)
    left, top, right, bottom = means.unbind(1)
    x = torch.arange(width, device=bins.device, dtype=bins.dtype) * stride
    y = torch.arange(height, device=bins.device, dtype=bins.dtype)[:, None] * stride
    return torch.stack([x - left, y - top, x + right, y + bottom], 1)
