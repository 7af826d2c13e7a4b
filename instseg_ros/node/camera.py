"""One camera of the node: its topics, its counts, and the way of its images."""
from __future__ import annotations

import time
from typing import Any, Callable, Mapping

from rclpy.constants import S_TO_NS
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from instseg_ros.bags.conversions import ImageError
from instseg_ros.core.config import TrackingConfig
from instseg_ros.core.tracking import Tracker
from instseg_ros.core.types import ModelInfo
from instseg_ros.node import diagnostics
from instseg_ros.node.diagnostics import Conditions
from instseg_ros.node.options import NodeConfig
from instseg_ros.node.outputs import TOPICS, Outputs
from instseg_ros.node.qos import image_qos, publisher_mismatch, silence, subscriber_mismatch
from instseg_ros.node.rclpy_versions import image_callback
from instseg_ros.node.stages import Frame
from instseg_ros.node.statistics import Statistics

SILENCE = 5.0
"""Seconds without an image after which an active camera warns."""


class Camera:
    """What the node has for each camera: topics, tracker, counts and conditions.

    It has its outputs exactly while the node is configured, and its subscription exactly while
    the node is active. Its images come from the topic `NAME/image`, and its results go to
    `~/NAME/...`; a camera without a name has `image` and `~/...`.

    Parameters
    ----------
    node : LifecycleNode
    name : str
        Empty for a camera without a name.
    conditions : Conditions
        Where problems of this camera are reported.

    Attributes
    ----------
    name : str
    conditions : Conditions
    statistics : Statistics
        Counts since activation.
    tracker : Tracker
        For the second stage of the pipeline; its config may be replaced at any time.
    """

    def __init__(self, node: LifecycleNode, name: str, conditions: Conditions) -> None:
        self.name, self.conditions = name, conditions
        self.statistics = Statistics()
        self.tracker = Tracker()
        self._node = node
        self._outputs: Outputs | None = None
        self._subscription: Any = None
        self._submit: Callable[[str, Frame], int] | None = None

    @property
    def prefix(self) -> str:
        """What the names of the camera's topics begin with."""
        return f'{self.name}/' if self.name else ''

    @property
    def outputs(self) -> Outputs:
        """The topics of the results, while the node is configured."""
        assert self._outputs is not None
        return self._outputs

    def configure(self, info: ModelInfo, tracking: TrackingConfig) -> None:
        """Advertise the topics of the results."""
        self.statistics = Statistics()
        self.tracker = Tracker(tracking)
        self._outputs = Outputs(self._node, info, self.prefix)

    def activate(self, config: NodeConfig, submit: Callable[[str, Frame], int]) -> None:
        """Begin to take images.

        Parameters
        ----------
        config : NodeConfig
        submit : callable
            Takes the camera's name and each image, and returns how many images of this camera are
            given up for it.
        """
        self.statistics = Statistics()
        self._submit = submit
        self.outputs.publish_labels(Header(stamp=self._node.get_clock().now().to_msg()))
        self._subscription = self._node.create_subscription(
            Image, f'{self.prefix}image', image_callback(self._on_image), image_qos(config))
        self._node.get_logger().info(f'waiting for images on {self._subscription.topic_name}')

    def deactivate(self) -> None:
        """Take no more images."""
        # Forgotten before it is released, so that an error can't keep it in use.
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._node.destroy_subscription(subscription)

    def release(self) -> None:
        """Remove the topics of the results."""
        outputs, self._outputs = self._outputs, None
        if outputs is not None:
            outputs.destroy()

    def _on_image(self, message: Image, info: Mapping[str, Any]) -> None:
        assert self._submit is not None  # it is there before the subscription
        now = time.monotonic()
        self.statistics.frame_arrived(info, now)
        self.statistics.frames_given_up(self._submit(self.name, Frame(self, message, now)))

    def on_result(self, frame: Frame) -> None:
        """Count a published result, in the thread of the second stage."""
        stamp = frame.message.header.stamp  # may be anything, even negative
        age = self._node.get_clock().now().nanoseconds - (stamp.sec * S_TO_NS + stamp.nanosec)
        dropped = frame.segmentation.instances_dropped
        self.statistics.frame_done(frame.timings, frame.latency, age=age / S_TO_NS,
                                   instances_dropped=dropped)
        if dropped:
            self.conditions.note('instances_dropped', diagnostics.WARN,
                                 f'{dropped} instances of an image dropped: it has more than '
                                 'grouping.max_instances')

    def on_error(self, error: Exception) -> None:
        """Count an image that a stage could not process, in the thread of that stage."""
        if isinstance(error, ImageError):
            self.statistics.frame_dropped()
            self.conditions.note('image_dropped', diagnostics.WARN, f'image dropped: {error}')
        elif self._node.context.ok():  # else publishing failed since the process is ending
            self.statistics.frame_dropped()
            self.conditions.note('image_lost', diagnostics.ERROR,
                                 f'image lost, {type(error).__name__}: {error}')

    def check_connections(self) -> None:
        """Warn while no images come, or an end of a topic receives nothing."""
        node = self._node
        image = self._subscription.topic_name if self._subscription is not None else ''
        is_silent = image and time.monotonic() - self.statistics.last_image >= SILENCE
        self.conditions.warn_while('silence', silence(node, image, SILENCE) if is_silent else '')
        self.conditions.warn_while('qos.image', publisher_mismatch(node, image) if image else '')
        topics = self._outputs.topics if self._outputs is not None else {}
        for name in TOPICS:
            self.conditions.warn_while(f'qos.{name}', subscriber_mismatch(node, topics[name])
                                       if name in topics else '')
