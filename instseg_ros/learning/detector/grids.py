"""From the detector's grids, whose cells are centered on their first pixel, to the output grid."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def to_output_grid(x: Tensor, stride: int, output_stride: int, size: tuple[int, int]) -> Tensor:
    """Interpolate a map (N, C, h, w) of the detector bilinearly at the output pixels.

    Cell i of the map is centered on the input's pixel stride * i; output pixel j on
    output_stride * j + output_stride / 2, as in the targets.

    Parameters
    ----------
    x : (N, C, h, w)
    stride, output_stride : int
        The first is a multiple of the second.
    size : (int, int)
        Height and width of the output grid.
    """
    factor = stride // output_stride
    x = F.pad(x, (0, 1, 0, 1), mode='replicate')
    if factor == 1:
        return F.avg_pool2d(x, 2, 1)
    x = F.interpolate(x, scale_factor=float(factor), mode='bilinear', align_corners=False)
    half = factor // 2
    return x[:, :, half:half + size[0], half:half + size[1]]


def to_finer_grid(x: Tensor) -> Tensor:
    """Interpolate a map (N, C, h, w) of the detector bilinearly at the cells of half its stride.

    Cell i is centered where cell 2 i of the finer grid is.
    """
    x = F.interpolate(x, scale_factor=2.0, mode='nearest')
    return F.avg_pool2d(F.pad(x, (0, 1, 0, 1), mode='replicate'), 2, 1)


def output_pixels(count: int, output_stride: int, like: Tensor) -> Tensor:
    """Return the input coordinates (count,) of the output pixels along one side."""
    pixels = torch.arange(count, device=like.device, dtype=like.dtype)
    return pixels * output_stride + output_stride / 2
