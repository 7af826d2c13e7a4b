"""Outlines and names of objects in the 3D view of rviz or Foxglove.

Every object is drawn on a plane across the view of its camera: at its own distance where depth is
known, else 1 m in front of the camera. Without a calibration that plane is as wide as it is far
away, that is, the horizontal field of view is taken for 53 degrees.

An outline is a list of lines, so it can have any number of parts and holes; the polygons of
`geometry_msgs` can't.
"""
from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from geometry_msgs.msg import Point, Pose, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from instseg_ros.core.camera_model import CameraModel
from instseg_ros.core.depth import Place
from instseg_ros.core.types import Instance
from instseg_ros.messages.results import Result
from instseg_ros.visualization import instance_color

MARKERS = 'visualization_msgs/msg/MarkerArray'

DISTANCE = 1.0
"""Metres to the plane of an object whose distance is not known."""

OUTLINES, LABELS = 'outlines', 'labels'
"""Namespaces of the markers."""

LINE_WIDTH, TEXT_HEIGHT = 0.004, 0.035
"""Metres at a distance of 1 m; in proportion to the distance, so that they look alike."""

TOLERANCE = 1.0
"""Pixels by which an outline may differ from the border of the mask. (Ours.)"""


@lru_cache(maxsize=4)
def default_rays(height: int, width: int) -> np.ndarray:
    """Return the rays (H0, W0, 2) of a camera without a calibration."""
    return CameraModel((height, width), (width / DISTANCE,) * 2,
                       ((width - 1) / 2, (height - 1) / 2)).rays()


def markers_message(result: Result, place: Place | None = None) -> MarkerArray:
    """Return outline and label of every object, after the removal of all earlier ones.

    The markers of an object have its instance id.

    Parameters
    ----------
    result : Result
    place : Place, optional
        Objects that it doesn't know, by default all, are `DISTANCE` away.
    """
    place = place or Place(default_rays(*result.segmentation.semantic_ids.shape), {})
    markers = [Marker(header=result.header, action=Marker.DELETEALL)]
    for instance in result.segmentation.instances:
        outline = outline_segments(result.segmentation.instance_ids, instance)
        if len(outline):
            points = points_in_space(place, instance.instance_id, outline)
            highest = points[outline[:, 1].argmin()]
            markers.append(_outline(result.header, instance, points))
            markers.append(_label(result.header, instance, highest))
    return MarkerArray(markers=markers)


def outline_segments(instance_ids: np.ndarray, instance: Instance) -> np.ndarray:
    """Return the border of an object, with that of its holes, as lines.

    Returns
    -------
    (2 N, 2) int
        x, y of the pixels at both ends of each line.
    """
    left, top, right, bottom = instance.box_xyxy
    mask = (instance_ids[top:bottom, left:right] == instance.instance_id).view(np.uint8)
    borders, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE,
                                  offset=(left, top))
    lines = []
    for border in borders:
        corners = cv2.approxPolyDP(border, TOLERANCE, closed=True)[:, 0]
        lines.append(np.stack([corners, np.roll(corners, -1, axis=0)], axis=1).reshape(-1, 2))
    return np.concatenate(lines) if lines else np.zeros((0, 2), int)


def points_in_space(place: Place, instance_id: int, pixels_xy: np.ndarray) -> np.ndarray:
    """Return where pixels of an object are, all at the same distance.

    Returns
    -------
    (N, 3) float
        x, y, z in metres, in the optical frame of the camera: x right, y down, z ahead.
    """
    if instance_id in place.boxes:
        return place.points(instance_id, pixels_xy)
    rays = place.rays[pixels_xy[:, 1], pixels_xy[:, 0]]
    return DISTANCE * np.concatenate([rays, np.ones_like(rays[:, :1])], axis=1)


def _outline(header: Header, instance: Instance, points: np.ndarray) -> Marker:
    return Marker(
        **_common(header, OUTLINES, instance), type=Marker.LINE_LIST, pose=Pose(),
        scale=Vector3(x=LINE_WIDTH * float(points[0, 2])),
        points=[Point(x=x, y=y, z=z) for x, y, z in points.tolist()])


def _label(header: Header, instance: Instance, highest: np.ndarray) -> Marker:
    """Return class, id and score above the highest point of the outline."""
    x, y, z = highest.tolist()
    height = TEXT_HEIGHT * z
    return Marker(
        **_common(header, LABELS, instance), type=Marker.TEXT_VIEW_FACING,
        pose=Pose(position=Point(x=x, y=y - height, z=z)), scale=Vector3(z=height),
        text=f'{instance.class_name} {instance.instance_id} {instance.score:.2f}')


def _common(header: Header, namespace: str, instance: Instance) -> dict[str, Any]:
    red, green, blue = (value / 255 for value in instance_color(instance.instance_id))
    return {'header': header, 'ns': namespace, 'id': instance.instance_id, 'action': Marker.ADD,
            'color': ColorRGBA(r=red, g=green, b=blue, a=1.0)}
