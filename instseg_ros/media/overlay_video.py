"""A video that never fails the work that it shows."""
from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from instseg_ros.media.files import MediaError
from instseg_ros.media.videos import VideoWriter


class OverlayVideo:
    """A `VideoWriter` that gives up instead of raising; use it as a context manager.

    Attributes
    ----------
    problem : str
        Why there is no video; else empty. Final after the end.
    """

    def __init__(self, path: Path | str, rate: float) -> None:
        self._path = Path(path)
        self.problem = ''
        self._writer: VideoWriter | None = None
        try:
            self._writer = VideoWriter(path, rate)
        except MediaError as error:
            self._give_up(error)

    def write(self, picture: np.ndarray, time: float | None = None) -> None:
        """Append a picture, (H, W, 3) uint8, RGB, shown from `time` (seconds) on."""
        if self.problem or self._writer is None:
            return
        try:
            self._writer.write(picture, time)
        except (MediaError, OSError, cv2.error) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.problem = f'no {self._path.name}: {error}'

    def __enter__(self) -> OverlayVideo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._writer is not None:
            try:
                self._writer.__exit__(kind, error, trace)
            except (MediaError, OSError, cv2.error) as failure:  # a full disk shows only here
                if not self.problem:
                    self._give_up(failure)
        if self.problem:
            self._path.unlink(missing_ok=True)
