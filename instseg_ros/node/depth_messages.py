"""Messages about objects and points in space."""
from __future__ import annotations

import array
import sys
from typing import Mapping

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Vector3
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox3D,
    Detection3D,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)

from instseg_ros.core.depth import POINT, ObjectBox
from instseg_ros.core.types import Instance, Segmentation

DATATYPES = {'x': PointField.FLOAT32, 'y': PointField.FLOAT32, 'z': PointField.FLOAT32,
             'rgb': PointField.FLOAT32, 'class': PointField.UINT8, 'id': PointField.UINT16}
"""Type of each field of `POINT`; by the convention of PCL, the bits of a colour are of a float."""


def detections_3d_message(header: Header, segmentation: Segmentation,
                          boxes: Mapping[int, ObjectBox]) -> Detection3DArray:
    """Return one detection for each instance that has a box, strongest first."""
    return Detection3DArray(header=header, detections=[
        detection_3d_message(header, instance, boxes[instance.instance_id])
        for instance in segmentation.instances if instance.instance_id in boxes])


def detection_3d_message(header: Header, instance: Instance, box: ObjectBox) -> Detection3D:
    """Return the detection of an instance in space.

    `id` is the instance's pixel value in the instance image. The pose is the centroid of what is
    seen of the object.
    """
    hypothesis = ObjectHypothesisWithPose(
        hypothesis=ObjectHypothesis(class_id=str(instance.class_id), score=float(instance.score)),
        pose=PoseWithCovariance(pose=Pose(position=_point(box.centroid_xyz))))
    x, y, z = box.size_xyz
    return Detection3D(
        header=header, results=[hypothesis], id=str(instance.instance_id),
        bbox=BoundingBox3D(center=Pose(position=_point(box.center_xyz)),
                           size=Vector3(x=x, y=y, z=z)))


def _point(xyz: tuple[float, float, float]) -> Point:
    x, y, z = xyz
    return Point(x=x, y=y, z=z)


def points_message(header: Header, points: np.ndarray) -> PointCloud2:
    """Return an organised cloud: as many rows and columns as the image, row by row.

    Parameters
    ----------
    header : Header
    points : (H, W) POINT
        x, y and z of a point without depth are NaN.
    """
    assert POINT.names is not None and POINT.fields is not None
    fields = [PointField(name=name, offset=POINT.fields[name][1], datatype=DATATYPES[name],
                         count=1) for name in POINT.names]
    # The setter takes an array of bytes as it is; anything else it checks byte by byte.
    data = array.array('B')
    data.frombytes(points.view(np.uint8).data)
    return PointCloud2(header=header, height=points.shape[0], width=points.shape[1],
                       fields=fields, is_bigendian=sys.byteorder == 'big',
                       point_step=POINT.itemsize, row_step=points.shape[1] * POINT.itemsize,
                       data=data, is_dense=False)
