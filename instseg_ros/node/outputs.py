"""The topics that the node publishes its results on."""
from __future__ import annotations

from types import MappingProxyType
from typing import Any, NamedTuple

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from instseg_ros.core.depth import Place
from instseg_ros.core.types import ModelInfo
from instseg_ros.messages.detections import label_info_message
from instseg_ros.messages.images import EncodingError
from instseg_ros.messages.results import CONFIDENCE, OUTPUTS, Result
from instseg_ros.messages.types import LABEL_INFO
from instseg_ros.node.diagnostics import WARN, Conditions
from instseg_ros.node.markers import MARKERS, markers_message
from instseg_ros.node.message_types import MESSAGE_TYPES, message_type
from instseg_ros.node.qos import LATCHED_QOS, RESULT_QOS

LABEL_INFO_NAME, MARKERS_NAME = 'label_info', 'markers'

RESULTS = ('semantic_image', 'instance_image', CONFIDENCE, 'panoptic_image', 'instances',
           'color_labels', 'color_labels/compressed', 'overlay', 'overlay/compressed')
"""Outputs with one message for each image, of those in `messages.results`."""


class Topic(NamedTuple):
    """Type of the messages on a topic, by name, and quality of service."""

    type: str
    qos: QoSProfile


TOPICS = MappingProxyType({
    **{name: Topic(OUTPUTS[name].type, RESULT_QOS) for name in RESULTS},
    MARKERS_NAME: Topic(MARKERS, RESULT_QOS), LABEL_INFO_NAME: Topic(LABEL_INFO, LATCHED_QOS)})
"""Every topic by its name below the camera's."""


class Outputs:
    """Publishers for one camera of a configured node; they publish while it is active.

    Parameters
    ----------
    node : LifecycleNode
    info : ModelInfo
    prefix : str
        What the names of the topics begin with, below the node's own; empty, or ends with a slash.
    conditions : Conditions
        Where it is reported that a message cannot be made.
    confidence : bool
        Whether the model has the confidence of its classes; if not, there is no topic for it.

    Attributes
    ----------
    topics : dict of str to str
        Full name of each topic, by its name below the camera's.
    """

    def __init__(self, node: LifecycleNode, info: ModelInfo, prefix: str, conditions: Conditions,
                 *, confidence: bool) -> None:
        self._node, self._info, self._conditions = node, info, conditions
        self._publishers: dict[str, Any] = {}
        try:
            for name, topic in TOPICS.items():
                if name != CONFIDENCE or confidence:
                    self._publishers[name] = node.create_lifecycle_publisher(
                        message_type(topic.type), f'~/{prefix}{name}', topic.qos)
        except Exception:
            self.destroy()
            raise

    @property
    def topics(self) -> dict[str, str]:
        return {name: publisher.topic_name for name, publisher in self._publishers.items()}

    @property
    def is_wanted(self) -> bool:
        """Whether a topic with results has a subscriber."""
        return any(self.wants(name) for name in (*RESULTS, MARKERS_NAME))

    def wants(self, name: str) -> bool:
        """Return whether a topic is there and has a subscriber."""
        publisher = self._publishers.get(name)
        return publisher is not None and publisher.get_subscription_count() > 0

    def publish_labels(self, header: Header) -> None:
        """Publish the names of the classes in the semantic image."""
        self._publishers[LABEL_INFO_NAME].publish(
            label_info_message(MESSAGE_TYPES, header, self._info))

    def publish(self, result: Result) -> None:
        """Publish the result for an image, on the topics that have a subscriber."""
        has_confidence = result.segmentation.semantic_confidence is not None
        for name in RESULTS:
            if name == CONFIDENCE and not has_confidence:  # its subscriber came a moment ago
                continue
            if self.wants(name):
                try:
                    self._publishers[name].publish(OUTPUTS[name].make(MESSAGE_TYPES, result))
                except EncodingError as error:  # JPEG ends at 65,500 pixels
                    self._conditions.note('picture', WARN, f'no {name}: {error}')

    def publish_markers(self, result: Result, place: Place | None = None) -> None:
        """Publish the objects of an image for 3D views, if anybody listens.

        Parameters
        ----------
        result : Result
        place : Place, optional
            Where the objects are; by default, on a plane in front of the camera.
        """
        if self.wants(MARKERS_NAME):
            self._publishers[MARKERS_NAME].publish(markers_message(result, place))

    def destroy(self) -> None:
        """Remove the topics."""
        while self._publishers:
            self._node.destroy_lifecycle_publisher(self._publishers.popitem()[1])
