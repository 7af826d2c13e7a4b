"""Where the pixels of a calibrated camera look, in its optical frame: x right, y down, z ahead."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

PLUMB_BOB, RATIONAL, FISHEYE = 'plumb_bob', 'rational_polynomial', 'equidistant'
"""Distortion models of `sensor_msgs/CameraInfo`."""

SCALE_TOLERANCE = 0.01
"""Share by which width and height of an image may be scaled differently, as whole pixels are."""


@dataclass(frozen=True)
class CameraModel:
    """A calibrated camera: pinhole, and how its lens distorts.

    Attributes
    ----------
    size : (int, int)
        Height and width in pixels of the images that the rest is about.
    focal : (float, float)
        fx and fy in pixels.
    principal : (float, float)
        cx and cy in pixels; the center of the first pixel is at (0, 0).
    distortion : tuple of float
        Coefficients in the order of OpenCV; empty for none, and for rectified images.
    is_fisheye : bool
        They are of the equidistant model; else of the polynomial one.
    """

    size: tuple[int, int]
    focal: tuple[float, float]
    principal: tuple[float, float]
    distortion: tuple[float, ...] = ()
    is_fisheye: bool = False

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f'size: expected at least one pixel, got {self.size}')
        numbers = (*self.focal, *self.principal, *self.distortion)
        if not np.isfinite(numbers).all() or min(self.focal) <= 0:
            raise ValueError('camera matrix: expected finite numbers and positive focal lengths, '
                             f'got fx, fy = {self.focal} and cx, cy = {self.principal}')

    def scaled_to(self, size: tuple[int, int]) -> CameraModel:
        """Return the model for the same view in another resolution.

        Parameters
        ----------
        size : (int, int)
            Height and width in pixels.

        Raises
        ------
        ValueError
            Width and height are scaled differently, so it is another view.
        """
        if size == self.size:
            return self
        check_same_view('camera_info', self.size, size)
        down, across = size[0] / self.size[0], size[1] / self.size[1]
        # The corners of the image stay: they lie half a pixel outside of the first center.
        return CameraModel(
            size, (self.focal[0] * across, self.focal[1] * down),
            ((self.principal[0] + 0.5) * across - 0.5, (self.principal[1] + 0.5) * down - 0.5),
            self.distortion, self.is_fisheye)

    def rays(self) -> np.ndarray:
        """Return x / z and y / z of what each pixel sees.

        Returns
        -------
        (H, W, 2) float32
        """
        height, width = self.size
        columns, rows = np.arange(width), np.arange(height)
        if not any(self.distortion):
            rays = np.empty((height, width, 2), np.float32)
            rays[..., 0] = (columns - self.principal[0]) / self.focal[0]
            rays[..., 1] = ((rows - self.principal[1]) / self.focal[1])[:, None]
            return rays
        matrix = np.array([[self.focal[0], 0, self.principal[0]],
                           [0, self.focal[1], self.principal[1]], [0, 0, 1]])
        pixels = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 1, 2).astype(np.float64)
        undistort = cv2.fisheye.undistortPoints if self.is_fisheye else cv2.undistortPoints
        found = undistort(pixels, matrix, np.array(self.distortion))
        return found.reshape(height, width, 2).astype(np.float32)


def check_same_view(name: str, size: tuple[int, int], image: tuple[int, int]) -> None:
    """Check that something of one size shows the same as an image: that only the scale differs.

    Parameters
    ----------
    name : str
        Of what is checked, for the message.
    size, image : (int, int)
        Heights and widths in pixels.

    Raises
    ------
    ValueError
        Width and height are scaled differently.
    """
    down, across = image[0] / size[0], image[1] / size[1]
    if abs(down - across) > SCALE_TOLERANCE * max(down, across):
        raise ValueError(f'{name}: expected the size of the image, {image[1]}x{image[0]}, or the '
                         f'same view in another resolution, got {size[1]}x{size[0]}')
