"""The calibration in `sensor_msgs/CameraInfo` messages."""
from __future__ import annotations

from typing import Any

from instseg_ros.core.camera_model import FISHEYE, PLUMB_BOB, RATIONAL, CameraModel


def camera_model(info: Any, *, rectified: bool) -> CameraModel:
    """Return the model of the camera for the images as they are published.

    The message describes the whole sensor; images may be a region of it, or have fewer pixels by
    binning.

    Parameters
    ----------
    info : sensor_msgs/CameraInfo
    rectified : bool
        The images are free of distortion: their matrix is in P. Else it is in K, and the
        coefficients in D.

    Raises
    ------
    ValueError
        The camera isn't calibrated, or its distortion model is unknown.
    """
    name, matrix = ('P', [*info.p[:3], *info.p[4:7]]) if rectified else ('K', list(info.k)[:6])
    distortion: tuple[float, ...] = ()
    if not rectified and any(info.d):
        distortion = tuple(map(float, info.d))
        check_distortion(info.distortion_model, len(distortion))
    region = info.roi
    across, down = max(1, info.binning_x), max(1, info.binning_y)
    size = (int(region.height or info.height), int(region.width or info.width))
    if not (matrix[0] > 0 and matrix[4] > 0 and min(size) > 0):
        raise ValueError(f'camera_info: expected a calibrated camera, got fx = {matrix[0]:g} and '
                         f'fy = {matrix[4]:g} in {name}, and {info.width}x{info.height} pixels')
    whole = CameraModel(
        size, (float(matrix[0]), float(matrix[4])),
        (float(matrix[2]) - region.x_offset, float(matrix[5]) - region.y_offset),
        distortion, info.distortion_model == FISHEYE)
    return whole.scaled_to((size[0] // down, size[1] // across))


def check_distortion(model: str, count: int) -> None:
    """Check that distortion of this model, with so many coefficients, can be computed.

    Raises
    ------
    ValueError
        It can't.
    """
    counts = {PLUMB_BOB: (4, 5), RATIONAL: (8, 12, 14), FISHEYE: (4,)}
    if count not in counts.get(model, ()):
        raise ValueError(f'camera_info: expected distortion of {PLUMB_BOB}, {RATIONAL} or '
                         f'{FISHEYE} with its number of coefficients, got {model!r:.80} '
                         f'with {count}')
