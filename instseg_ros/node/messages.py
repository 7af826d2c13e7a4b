"""The messages that the node publishes."""
from __future__ import annotations

import array
import sys

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseWithCovariance
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    LabelInfo,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
    VisionClass,
)

from instseg_ros.core.types import Instance, ModelInfo, Segmentation


def image_message(header: Header, pixels: np.ndarray, encoding: str) -> Image:
    """Return an image message.

    Parameters
    ----------
    header : Header
    pixels : (H, W) or (H, W, 3), uint8 or uint16
    encoding : str
        Of `sensor_msgs/image_encodings.hpp`, fitting the array.
    """
    pixels = np.ascontiguousarray(pixels)
    # An array of bytes is what the setter takes as it is; anything else it checks byte by byte.
    data = array.array('B')
    data.frombytes(pixels.data.cast('B'))
    return Image(header=header, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
                 is_bigendian=int(sys.byteorder == 'big'), step=pixels.strides[0], data=data)


def detections_message(header: Header, segmentation: Segmentation) -> Detection2DArray:
    """Return one detection for each instance, strongest first."""
    return Detection2DArray(header=header, detections=[
        detection_message(header, instance) for instance in segmentation.instances])


def detection_message(header: Header, instance: Instance) -> Detection2D:
    """Return the detection of an instance.

    `id` is the instance's pixel value in the instance image. The box is in pixels, with the corner
    of the image at (0, 0); the pose is the predicted center, in pixels as well: x, y.
    """
    left, top, right, bottom = instance.box_xyxy
    center_y, center_x = instance.center_yx
    hypothesis = ObjectHypothesisWithPose(
        hypothesis=ObjectHypothesis(class_id=str(instance.class_id), score=float(instance.score)),
        pose=PoseWithCovariance(pose=Pose(position=Point(x=float(center_x), y=float(center_y)))))
    box = BoundingBox2D(
        center=Pose2D(position=Point2D(x=(left + right) / 2, y=(top + bottom) / 2)),
        size_x=float(right - left), size_y=float(bottom - top))
    return Detection2D(header=header, results=[hypothesis], bbox=box,
                       id=str(instance.instance_id))


def label_info_message(header: Header, info: ModelInfo) -> LabelInfo:
    """Return the names of the classes; the value 255, unlabelled, has none by convention."""
    return LabelInfo(header=header, class_map=[
        VisionClass(class_id=class_id, class_name=name)
        for class_id, name in enumerate(info.class_names)])
