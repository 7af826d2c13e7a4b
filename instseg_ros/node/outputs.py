"""The topics that the node publishes the results on."""
from __future__ import annotations

from typing import Any, Callable

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from instseg_ros.core.types import ModelInfo, Segmentation
from instseg_ros.node.messages import detections_message, image_message, label_info_message
from instseg_ros.node.qos import LATCHED_QOS, RESULT_QOS, watch_publisher
from instseg_ros.visualization import overlay


class Outputs:
    """Publishers of one configured node; they publish while it is active.

    Parameters
    ----------
    node : LifecycleNode
    info : ModelInfo
    report : callable
        Told, in a sentence, of subscribers whose quality of service does not fit.
    """

    def __init__(self, node: LifecycleNode, info: ModelInfo,
                 report: Callable[[str], None]) -> None:
        self._node = node
        self._info = info

        def advertise(message_type: Any, name: str, qos: Any) -> Any:
            topic = node.resolve_topic_name(f'~/{name}')
            return node.create_lifecycle_publisher(
                message_type, topic, qos, event_callbacks=watch_publisher(topic, report))

        self._semantic_image = advertise(Image, 'semantic_image', RESULT_QOS)
        self._instance_image = advertise(Image, 'instance_image', RESULT_QOS)
        self._instances = advertise(Detection2DArray, 'instances', RESULT_QOS)
        self._overlay = advertise(Image, 'overlay', RESULT_QOS)
        self._label_info = advertise(LabelInfo, 'label_info', LATCHED_QOS)

    def publish_labels(self, header: Header) -> None:
        """Publish what the values of the semantic image mean."""
        self._label_info.publish(label_info_message(header, self._info))

    def publish(self, header: Header, image: np.ndarray, segmentation: Segmentation) -> None:
        """Publish the result for an image, everything with the image's own header.

        Parameters
        ----------
        header : Header
        image : (H, W, 3) uint8
            RGB.
        segmentation : Segmentation
        """
        self._semantic_image.publish(image_message(header, segmentation.semantic_ids, 'mono8'))
        self._instance_image.publish(image_message(header, segmentation.instance_ids, 'mono16'))
        self._instances.publish(detections_message(header, segmentation))
        if self._overlay.get_subscription_count():
            drawn = overlay(image, segmentation, self._info)
            self._overlay.publish(image_message(header, drawn, 'rgb8'))

    def destroy(self) -> None:
        """Take the topics down."""
        for publisher in (self._semantic_image, self._instance_image, self._instances,
                          self._overlay, self._label_info):
            self._node.destroy_lifecycle_publisher(publisher)
