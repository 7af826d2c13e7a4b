"""Objects and labelled points in space, from a depth image that is registered to the camera.

Coordinates are in metres in the camera's optical frame: x right, y down, z ahead. Depth is z, not
the distance from the camera.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np

from instseg_ros.core.camera_model import check_same_view
from instseg_ros.core.compiled import compiled
from instseg_ros.core.parallel import run_parallel
from instseg_ros.core.types import NO_INSTANCE, Segmentation, check_array

POINT = np.dtype({'names': ['x', 'y', 'z', 'rgb', 'class', 'id'],
                  'formats': ['f4', 'f4', 'f4', 'u4', 'u1', 'u2'],
                  'offsets': [0, 4, 8, 12, 16, 18], 'itemsize': 20})
"""A labelled point; `rgb` is 0x00RRGGBB."""

MILLIMETRES = 0.001
"""Metres in a unit of 16-bit depth."""

MIN_POINTS = 10
"""Measured pixels below which an object has no box: fewer say little about it. (Ours.)"""

MAX_POINTS = 2039
"""Pixels of an object that are used, evenly spread; more change its box by less than the noise of
depth cameras. A prime number, so that the pixels don't all fall into the same columns. (Ours.)
"""

MAX_DEVIATION = 4.5
"""Median absolute deviations of z from the median up to which a point belongs to the object.

At least 2 are needed so that a slanted surface, on which z is spread evenly, is kept whole. This
is about three standard deviations of a normal distribution. (Ours.)
"""

MIN_DEVIATION = 0.03
"""The same as a share of the median depth, at least: the noise of depth cameras. (Ours.)"""

TRIM = 0.01
"""Share of the points that is left out at each end of an axis. (Ours.)"""


@dataclass(frozen=True)
class ObjectBox:
    """Where an object is, as far as the camera sees it.

    Attributes
    ----------
    instance_id : int
    centroid_xyz : (float, float, float)
        Median of the points on the surface that is seen.
    center_xyz, size_xyz : (float, float, float)
        Of the box around these points, along the axes of the camera's optical frame.
    points : int
        Number of points that were used.
    """

    instance_id: int
    centroid_xyz: tuple[float, float, float]
    center_xyz: tuple[float, float, float]
    size_xyz: tuple[float, float, float]
    points: int


@dataclass(frozen=True)
class Place:
    """Where the objects of an image are in space.

    Attributes
    ----------
    rays : (H0, W0, 2) float32
        Of `CameraModel.rays`.
    boxes : dict of int to ObjectBox
        By the ids of the objects; those without enough measured pixels are missing.
    """

    rays: np.ndarray
    boxes: Mapping[int, ObjectBox]

    def points(self, instance_id: int, pixels_xy: np.ndarray) -> np.ndarray:
        """Return where pixels of an object are, at the distance of its centroid.

        Parameters
        ----------
        instance_id : int
            Of an object with a box.
        pixels_xy : (N, 2) int
            Columns and rows in the image.

        Returns
        -------
        (N, 3) float32
        """
        z = np.float32(self.boxes[instance_id].centroid_xyz[2])
        rays = self.rays[pixels_xy[:, 1], pixels_xy[:, 0]]
        return np.concatenate([rays, np.ones_like(rays[:, :1])], axis=1) * z


def metric_depth(pixels: np.ndarray, nearest: float, farthest: float) -> np.ndarray:
    """Return depth in metres, and NaN where there is none.

    Parameters
    ----------
    pixels : (H, W) uint16 or float32
        Millimetres, 0 for none; or metres, not finite for none (ROS REP 118).
    nearest, farthest : float
        Metres; depth outside of this range counts as none.

    Returns
    -------
    (H, W) float32
    """
    depth = pixels.astype(np.float32)
    if pixels.dtype == np.uint16:
        depth *= np.float32(MILLIMETRES)
    depth[~((depth >= nearest) & (depth <= farthest))] = np.nan
    return depth


def resample_depth(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the depth at the pixels of an image of the same view: that of the nearest pixel.

    Parameters
    ----------
    depth : (H, W)
    size : (int, int)
        Height and width of the image.

    Returns
    -------
    (H0, W0)

    Raises
    ------
    ValueError
        It is another view, as width and height are scaled differently.
    """
    if depth.shape == size:
        return depth
    check_same_view('depth image', depth.shape, size)
    rows, columns = (((np.arange(length) + 0.5) * (other / length)).astype(np.intp)
                     for length, other in zip(size, depth.shape))
    return depth[rows[:, None], columns]


def object_boxes(depth: np.ndarray, instance_ids: np.ndarray, rays: np.ndarray
                 ) -> dict[int, ObjectBox]:
    """Return the box of each object with enough measured pixels, by its id.

    Only the object's own pixels count, not those around it in its box in the image. Pixels whose
    depth is far from the object's median, as at its edges and where the mask leaves the object,
    are left out; so are the outermost points of each axis.

    Parameters
    ----------
    depth : (H0, W0) float32
        Metres; NaN for none.
    instance_ids : (H0, W0) uint16
    rays : (H0, W0, 2) float32
        Of `CameraModel.rays`.
    """
    check_array('instance_ids', instance_ids, depth.shape, np.uint16)
    check_array('rays', rays, (*depth.shape, 2), np.float32)
    pixels = np.flatnonzero((instance_ids != NO_INSTANCE) & (depth == depth))
    ids = instance_ids.reshape(-1)[pixels]
    order = np.argsort(ids, kind='stable')
    pixels, ids = pixels[order], ids[order]
    starts = np.flatnonzero(np.diff(ids, prepend=NO_INSTANCE))
    boxes = {}
    for start, end in zip(starts, [*starts[1:], len(ids)]):
        if end - start >= MIN_POINTS:
            own = pixels[start:end]
            if len(own) > MAX_POINTS:
                own = own[np.arange(MAX_POINTS) * len(own) // MAX_POINTS]
            instance_id = int(ids[start])
            boxes[instance_id] = _object_box(instance_id, depth.reshape(-1)[own],
                                             rays.reshape(-1, 2)[own])
    return boxes


def _object_box(instance_id: int, z: np.ndarray, rays: np.ndarray) -> ObjectBox:
    middle = np.median(z)
    deviation = np.abs(z - middle)
    limit = max(MAX_DEVIATION * np.median(deviation), MIN_DEVIATION * middle)
    kept = deviation <= limit
    z, rays = z[kept], rays[kept]
    axes = np.sort(np.stack([rays[:, 0] * z, rays[:, 1] * z, z]).astype(np.float64), axis=1)
    count = len(z)
    trimmed = int(TRIM * count)
    low, high = axes[:, trimmed], axes[:, count - 1 - trimmed]
    return ObjectBox(instance_id, tuple(axes[:, count // 2].tolist()),
                     tuple(((low + high) / 2).tolist()), tuple((high - low).tolist()), count)


def labelled_points(depth: np.ndarray, rays: np.ndarray, image: np.ndarray,
                    segmentation: Segmentation, threads: int = 0) -> np.ndarray:
    """Return a point for each pixel: its place, colour, class and object.

    Parameters
    ----------
    depth : (H0, W0) float32
        Metres; NaN for none, where x, y and z are NaN.
    rays : (H0, W0, 2) float32
        Of `CameraModel.rays`.
    image : (H0, W0, 3) uint8, RGB
    segmentation : Segmentation
    threads : int
        0 takes one for each core.

    Returns
    -------
    (H0, W0) POINT
    """
    depth, image = np.ascontiguousarray(depth), np.ascontiguousarray(image)
    check_array('rays', rays, (*depth.shape, 2), np.float32)
    check_array('image', image, (*depth.shape, 3), np.uint8)
    check_array('instance_ids', segmentation.instance_ids, depth.shape, np.uint16)
    points = np.zeros(depth.shape, POINT)
    run_parallel(_fill_points, len(points), threads, depth, rays, image,
                 segmentation.semantic_ids, segmentation.instance_ids, points)
    return points


@compiled
def _fill_points(start, stop, depth, rays, image, semantic_ids, instance_ids, points):
    for row in range(start, stop):
        for column in range(depth.shape[1]):
            z, point = depth[row, column], points[row, column]
            red, green, blue = image[row, column]
            point['x'] = rays[row, column, 0] * z
            point['y'] = rays[row, column, 1] * z
            point['z'] = z
            point['rgb'] = np.uint32(red) << 16 | np.uint32(green) << 8 | np.uint32(blue)
            point['class'] = semantic_ids[row, column]
            point['id'] = instance_ids[row, column]


def warm_up() -> None:
    """Compile the kernel, or load it from the cache, so that no later call waits for it."""
    shape = (1, 1)
    labelled_points(np.ones(shape, np.float32), np.zeros((*shape, 2), np.float32),
                    np.zeros((*shape, 3), np.uint8),
                    Segmentation(np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)))
