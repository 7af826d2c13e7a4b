"""Objects and names of classes."""
from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from instseg_ros.core.types import Instance, ModelInfo
from instseg_ros.messages.types import DETECTIONS, LABEL_INFO, MessageTypes


def detections_message(types: MessageTypes, header: Any, instances: Sequence[Instance]) -> Any:
    """Return a `vision_msgs/Detection2DArray` of all instances, strongest first."""
    return types[DETECTIONS](header=header, detections=[
        _detection(types, header, instance) for instance in instances])


def _detection(types: MessageTypes, header: Any, instance: Instance) -> Any:
    """Return the detection of an instance.

    `id` is the instance's pixel value in the instance image. The box is in pixels, with the corner
    of the image at (0, 0); the pose is the predicted center, in pixels as well: x, y.
    """
    left, top, right, bottom = instance.box_xyxy
    center_y, center_x = instance.center_yx
    pose = types['geometry_msgs/msg/Pose'](
        position=types['geometry_msgs/msg/Point'](x=float(center_x), y=float(center_y), z=0.0),
        orientation=types['geometry_msgs/msg/Quaternion'](x=0.0, y=0.0, z=0.0, w=1.0))
    hypothesis = types['vision_msgs/msg/ObjectHypothesisWithPose'](
        hypothesis=types['vision_msgs/msg/ObjectHypothesis'](
            class_id=str(instance.class_id), score=float(instance.score)),
        pose=types['geometry_msgs/msg/PoseWithCovariance'](pose=pose, covariance=np.zeros(36)))
    center = types['vision_msgs/msg/Pose2D'](
        position=types['vision_msgs/msg/Point2D'](x=(left + right) / 2, y=(top + bottom) / 2),
        theta=0.0)
    box = types['vision_msgs/msg/BoundingBox2D'](
        center=center, size_x=float(right - left), size_y=float(bottom - top))
    return types['vision_msgs/msg/Detection2D'](
        header=header, results=[hypothesis], bbox=box, id=str(instance.instance_id))


def label_info_message(types: MessageTypes, header: Any, info: ModelInfo) -> Any:
    """Return a `vision_msgs/LabelInfo`; the value 255, unlabelled, has no name by convention."""
    return types[LABEL_INFO](header=header, threshold=0.0, class_map=[
        types['vision_msgs/msg/VisionClass'](class_id=class_id, class_name=name)
        for class_id, name in enumerate(info.class_names)])
