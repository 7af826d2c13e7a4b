"""The topics that the node publishes its results on, and their messages."""
from __future__ import annotations

import array
import sys
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseWithCovariance
from rclpy.lifecycle import LifecycleNode
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
from instseg_ros.node.qos import LATCHED_QOS, RESULT_QOS
from instseg_ros.visualization import overlay

TOPICS = {'semantic_image': (Image, RESULT_QOS), 'instance_image': (Image, RESULT_QOS),
          'instances': (Detection2DArray, RESULT_QOS), 'overlay': (Image, RESULT_QOS),
          'label_info': (LabelInfo, LATCHED_QOS)}
"""Name of each topic below the camera's: type of its messages and quality of service."""


class Outputs:
    """Publishers for one camera of a configured node; they publish while it is active.

    Parameters
    ----------
    node : LifecycleNode
    info : ModelInfo
    prefix : str
        What the names of the topics begin with, below the node's own; empty, or ends with a slash.

    Attributes
    ----------
    topics : dict of str to str
        Full name of each topic, by its name below the camera's.
    """

    def __init__(self, node: LifecycleNode, info: ModelInfo, prefix: str = '') -> None:
        self._node = node
        self._info = info
        self._publishers: dict[str, Any] = {}
        try:
            for name, (message_type, qos) in TOPICS.items():
                self._publishers[name] = node.create_lifecycle_publisher(
                    message_type, f'~/{prefix}{name}', qos)
        except Exception:
            self.destroy()
            raise

    @property
    def topics(self) -> dict[str, str]:
        return {name: publisher.topic_name for name, publisher in self._publishers.items()}

    def publish_labels(self, header: Header) -> None:
        """Publish the names of the classes in the semantic image."""
        self._publish('label_info', label_info_message(header, self._info))

    def publish(self, header: Header, image: np.ndarray, segmentation: Segmentation) -> None:
        """Publish the result for an image; every message has the image's header.

        Parameters
        ----------
        header : Header
        image : (H, W, 3) uint8
            RGB.
        segmentation : Segmentation
        """
        self._publish('semantic_image', image_message(header, segmentation.semantic_ids, 'mono8'))
        self._publish('instance_image', image_message(header, segmentation.instance_ids, 'mono16'))
        self._publish('instances', detections_message(header, segmentation))
        if self._publishers['overlay'].get_subscription_count():
            drawn = overlay(image, segmentation, self._info)
            self._publish('overlay', image_message(header, drawn, 'rgb8'))

    def _publish(self, name: str, message: Any) -> None:
        self._publishers[name].publish(message)

    def destroy(self) -> None:
        """Remove the topics."""
        while self._publishers:
            self._node.destroy_lifecycle_publisher(self._publishers.popitem()[1])


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
    # The setter takes an array of bytes as it is; anything else it checks byte by byte.
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
