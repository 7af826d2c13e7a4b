"""The pixels of depth images, raw messages only."""
from __future__ import annotations

from typing import Any

import numpy as np

from instseg_ros.bags.encodings import ImageError, check_image, rows_of

ENCODINGS = ('16UC1', 'mono16', '32FC1')
"""Millimetres, which some drivers call gray; and metres."""


def read_depth(message: Any) -> np.ndarray:
    """Return the pixels of a depth image as they are in the message.

    Parameters
    ----------
    message : sensor_msgs/Image

    Returns
    -------
    (H, W) uint16 or float32

    Raises
    ------
    ImageError
        It is no depth image, or its fields contradict each other.
    """
    if message.encoding not in ENCODINGS:
        raise ImageError(f'encoding: expected a depth image of 16UC1 or 32FC1, got '
                         f'{message.encoding!r:.80}')
    return rows_of(message, check_image(message))
