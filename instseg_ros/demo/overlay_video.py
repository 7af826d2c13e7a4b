"""A video of pictures of any size and rate, which never fails the work that it shows."""
from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from instseg_ros.media import MediaError, VideoWriter

LOWEST_RATE, HIGHEST_RATE = 0.1, 240.0
"""Frames per second that players show."""


def representable_rate(rate: float) -> float:
    """Return the frame rate nearest to `rate` that an MPEG-4 video can hold.

    The codec counts time in fractions of a second whose denominator has 16 bits. Two decimals fit
    up to a rate of 655.
    """
    return round(min(max(rate, LOWEST_RATE), HIGHEST_RATE), 2)


def fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture scaled into a frame, with black borders where the proportions differ.

    Parameters
    ----------
    picture : (H, W, 3) uint8
    size : (int, int)
        Height and width of the frame in pixels.
    """
    if picture.shape[:2] == size:
        return picture
    height, width = picture.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    inner = (max(1, round(height * scale)), max(1, round(width * scale)))
    frame = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    frame[top:top + inner[0], left:left + inner[1]] = cv2.resize(
        picture, inner[::-1], interpolation=cv2.INTER_AREA)
    return frame


class OverlayVideo:
    """A video whose frames have the size of the first one; use it as a context manager.

    Attributes
    ----------
    problem : str
        Why there is no video; else empty.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self._path = path
        self._writer = VideoWriter(path, representable_rate(rate))
        self._size: tuple[int, int] | None = None
        self.problem = ''

    def write(self, picture: np.ndarray) -> None:
        """Append a picture, (H, W, 3) uint8, RGB."""
        if self.problem:
            return
        self._size = self._size or picture.shape[:2]
        try:
            self._writer.write(fit(picture, self._size))
        except (MediaError, cv2.error) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.problem = f'no {self._path.name}: {error}'
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> OverlayVideo:
        self._writer.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            self._writer.__exit__(kind, error, trace)
        except (MediaError, OSError, cv2.error) as failure:  # a full disk shows only here
            if not self.problem:
                self._give_up(failure)
