"""Outlines and names of objects in the 3D view of rviz or Foxglove.

Every object is drawn on a plane across the view of its camera: at its own distance where depth is
known, else 1 m in front of the camera. Without a calibration that plane is as wide as it is far
away, that is, the horizontal field of view is taken for 53 degrees.

An outline is a list of lines, so it can have any number of parts and holes; the polygons of
`geometry_msgs` can't.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Mapping

import cv2
import numpy as np
from geometry_msgs.msg import Point, Pose, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from instseg_ros.core.camera_model import CameraModel
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


@dataclass(frozen=True)
class Placement:
    """Where the objects of an image are in space.

    Attributes
    ----------
    rays : (H0, W0, 2) float32
        x / z and y / z of what each pixel sees, see `core.camera_model.CameraModel.rays`.
    distances : dict of int to float
        Distance (z) in metres of each object by instance id; `DISTANCE` for those that lack.
    """

    rays: np.ndarray
    distances: Mapping[int, float] = field(default_factory=dict)

    def distance(self, instance_id: int) -> float:
        """Return the distance of an object's plane in metres."""
        return self.distances.get(instance_id, DISTANCE)

    def points(self, instance_id: int, pixels_xy: np.ndarray) -> np.ndarray:
        """Return points in space.

        Parameters
        ----------
        instance_id : int
        pixels_xy : (N, 2) int

        Returns
        -------
        (N, 3) float64
            x, y, z in metres, in the optical frame of the camera: x right, y down, z ahead.
        """
        rays = self.rays[pixels_xy[:, 1], pixels_xy[:, 0]].astype(float)
        distance = self.distance(instance_id)
        return np.column_stack([rays * distance, np.full(len(rays), distance)])


@lru_cache(maxsize=4)
def default_rays(height: int, width: int) -> np.ndarray:
    """Return the rays (H0, W0, 2) of a camera without a calibration."""
    return CameraModel((height, width), (width / DISTANCE,) * 2,
                       ((width - 1) / 2, (height - 1) / 2)).rays()


def markers_message(result: Result, placement: Placement | None = None) -> MarkerArray:
    """Return outline and label of every object, after the removal of all earlier ones.

    The markers of an object have its instance id.

    Parameters
    ----------
    result : Result
    placement : Placement, optional
        By default, all objects are `DISTANCE` away.
    """
    placement = placement or Placement(default_rays(*result.segmentation.semantic_ids.shape))
    markers = [Marker(header=result.header, action=Marker.DELETEALL)]
    for instance in result.segmentation.instances:
        outline = outline_segments(result.segmentation.instance_ids, instance)
        if len(outline):
            markers.append(_outline(result.header, instance, placement, outline))
            markers.append(_label(result.header, instance, placement, outline))
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


def _outline(header: Header, instance: Instance, placement: Placement, outline: np.ndarray
             ) -> Marker:
    points = placement.points(instance.instance_id, outline)
    return Marker(
        **_common(header, OUTLINES, instance), type=Marker.LINE_LIST,
        scale=Vector3(x=LINE_WIDTH * placement.distance(instance.instance_id)),
        points=[Point(x=x, y=y, z=z) for x, y, z in points.tolist()])


def _label(header: Header, instance: Instance, placement: Placement, outline: np.ndarray
           ) -> Marker:
    """Return class, id and score above the highest point of the outline."""
    highest = outline[outline[:, 1].argmin()]
    (x, y, z), = placement.points(instance.instance_id, highest[None]).tolist()
    height = TEXT_HEIGHT * placement.distance(instance.instance_id)
    common = _common(header, LABELS, instance)
    common['pose'] = Pose(position=Point(x=x, y=y - height, z=z))
    return Marker(
        **common, type=Marker.TEXT_VIEW_FACING, scale=Vector3(z=height),
        text=f'{instance.class_name} {instance.instance_id} {instance.score:.2f}')


def _common(header: Header, namespace: str, instance: Instance) -> dict[str, Any]:
    red, green, blue = (value / 255 for value in instance_color(instance.instance_id))
    return {'header': header, 'ns': namespace, 'id': instance.instance_id, 'action': Marker.ADD,
            'color': ColorRGBA(r=red, g=green, b=blue, a=1.0), 'pose': Pose()}
