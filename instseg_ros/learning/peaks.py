"""Where centers may be: the pixels that are the strongest around."""
from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

PEAK_REACH = 8
"""A center is the strongest as far as this in each direction, in pixels of the input. Ours."""


def peak_window(stride: int) -> int:
    """Return the side of the window of which a center is the strongest pixel, in output pixels."""
    return 2 * (PEAK_REACH // stride) + 1


def find_peaks(logits: Tensor, stride: int) -> Tensor:
    """Return which pixels of maps of logits (N, 1, H, W) are the strongest in their window."""
    window = peak_window(stride)
    # First the rows, then the columns: at stride 1 the window is large.
    around = F.max_pool2d(logits, (1, window), 1, (0, window // 2))
    around = F.max_pool2d(around, (window, 1), 1, (window // 2, 0))
    return logits >= around
