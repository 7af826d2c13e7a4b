"""A camera as a source: always the newest frame."""
from __future__ import annotations

import threading
from typing import Sequence

import cv2
import numpy as np

from instseg_ros.view.frames import Frame

CAMERA_PATIENCE = 5.0
"""Seconds without a frame after which a camera counts as lost."""


class Camera:
    """A camera; each reading returns its newest frame, older ones are dropped.

    Parameters
    ----------
    name : str
    capture : cv2.VideoCapture
        Opened.
    """

    is_live = True
    remarks: Sequence[str] = ()

    def __init__(self, name: str, capture: cv2.VideoCapture) -> None:
        self.name, self.count, self.rate = name, 0, 0.0
        self._capture = capture
        self._changed = threading.Condition()
        self._newest: np.ndarray | None = None
        self._lost = self._closed = False
        self._thread = threading.Thread(target=self._grab, daemon=True)
        self._thread.start()

    def _grab(self) -> None:
        """Take every frame: OpenCV's own queue would show the past."""
        while not self._closed:
            done, image = self._capture.read()
            with self._changed:
                self._lost = not done
                self._newest = image if done else None
                self._changed.notify_all()
            if not done:
                return

    def read(self, number: int) -> Frame | None:
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._lost,
                                   CAMERA_PATIENCE)
            image, self._newest = self._newest, None
        if image is None:
            raise OSError(f'{self.name}: the camera gives no more images')
        return Frame(number, 'live', cv2.cvtColor(image, cv2.COLOR_BGR2RGB))

    def close(self) -> None:
        self._closed = True
        self._thread.join(CAMERA_PATIENCE)
        self._capture.release()


def open_camera(index: int) -> Camera:
    """Return a camera by its index.

    Raises
    ------
    OSError
        There is no such camera, or another program uses it.
    """
    capture = cv2.VideoCapture(index)
    if not capture.isOpened():
        raise OSError(f'{index}: no camera of this index can be opened; is it connected, and not '
                      'in use by another program?')
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return Camera(f'camera {index}', capture)
