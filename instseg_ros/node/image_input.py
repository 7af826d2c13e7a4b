"""The subscription to the images of a camera, and why it receives none."""
from __future__ import annotations

import time
from typing import Any, Callable, Mapping, Sequence

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage, Image

from instseg_ros.node import image_problems
from instseg_ros.node.options import NodeConfig
from instseg_ros.node.qos import is_of
from instseg_ros.node.rclpy_versions import image_callback, subscribe

MESSAGE_TYPES = {'raw': Image, 'compressed': CompressedImage}

SILENCE = 4.0
"""Seconds without an image after which an active node warns, and for which it warns of losses.
Checks are a second apart, so silence is reported within five."""

REPLAY_SILENCE = 20.0
"""The same in simulated time between two images of a publisher: a player of bags pauses for
seconds to read on, or to begin anew."""

OVERRIDABLE = (QoSPolicyKind.DURABILITY, QoSPolicyKind.DEADLINE, QoSPolicyKind.LIVELINESS,
               QoSPolicyKind.LIVELINESS_LEASE_DURATION)
"""Policies with a parameter `qos_overrides.TOPIC.subscription.POLICY`; the node has parameters of
its own for the others."""

PROBLEMS = ('type.image', 'qos.image', 'images_lost', 'silence')
"""Names of the conditions that `ImageInput.check` reports."""


class ImageInput:
    """One subscription to images; open from `open` to `close`.

    Parameters
    ----------
    node : Node
    topic : str
        Name of the topic of raw images, not remapped. Compressed ones come from `TOPIC/compressed`
        of the remapped name, as with image_transport.
    config : NodeConfig
    on_image : callable
        Takes each message and the middleware's info about it.
    on_lost : callable
        Takes the number of images that were lost on the way.

    Attributes
    ----------
    config : NodeConfig
        A replaced one takes effect in `open`.
    """

    def __init__(self, node: Node, topic: str, config: NodeConfig, *,
                 on_image: Callable[[Any, Mapping[str, Any]], None],
                 on_lost: Callable[[int], None]) -> None:
        self._node, self._raw_topic, self.config = node, topic, config
        self._on_image, self._on_lost = on_image, on_lost
        self._subscription: Any = None
        self._fast_dds = get_rmw_implementation_identifier().startswith('rmw_fastrtps')
        self._last_image = self._last_loss = -float('inf')
        self._has_images = False
        self._clock = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a subscription."""
        return self._subscription is not None

    @property
    def topic(self) -> str:
        """Full name of the topic that is subscribed to while the input is open."""
        return self._node.resolve_topic_name(self._name)

    @property
    def _name(self) -> str:
        if self.config.image_transport == 'raw':
            return self._raw_topic
        return self._node.resolve_topic_name(self._raw_topic) + image_problems.SUFFIX

    def open(self) -> None:
        """Begin to take images.

        Raises
        ------
        RuntimeError
            A parameter `qos_overrides.*` has a value that is not allowed.
        """
        self._last_image, self._has_images = time.monotonic(), False
        self._subscribe(self._reliability())

    def close(self) -> None:
        """Take no more images."""
        # Forgotten before it is released, so that an error can't keep it in use.
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._node.destroy_subscription(subscription)

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        self._subscription = subscribe(
            self._node, MESSAGE_TYPES[self.config.image_transport], self._name,
            image_callback(self._take), self._qos(reliability), on_lost=self._count_lost,
            qos_overriding_options=QoSOverridingOptions(OVERRIDABLE))

    def _take(self, message: Any, info: Mapping[str, Any]) -> None:
        self._last_image, self._has_images = time.monotonic(), True
        self._on_image(message, info)

    def _count_lost(self, count: int) -> None:
        self._last_loss = time.monotonic()
        self._on_lost(count)

    def _qos(self, reliability: ReliabilityPolicy) -> QoSProfile:
        return QoSProfile(depth=self.config.image_depth, history=HistoryPolicy.KEEP_LAST,
                          durability=DurabilityPolicy.VOLATILE, reliability=reliability)

    def _publishers(self, topic: str) -> Sequence[Any]:
        return self._node.get_publishers_info_by_topic(topic)

    def _reliability(self) -> ReliabilityPolicy:
        if self.config.image_reliability == 'auto':
            return image_problems.fitting_reliability(self.topic, self._publishers)
        return ReliabilityPolicy[self.config.image_reliability.upper()]

    def _follow_publishers(self) -> None:
        """Subscribe anew if the publishers ask for another reliability."""
        wanted = self._reliability()
        if self.config.image_reliability == 'auto' and self._actual_qos().reliability != wanted:
            self.close()
            self._subscribe(wanted)
            self._node.get_logger().info(f'the reliability of {self.topic} is {wanted.name}, as '
                                         'its publishers offer it')

    def _actual_qos(self) -> QoSProfile:
        """Return the profile of the subscription, without values like "system default"."""
        for end in self._node.get_subscriptions_info_by_topic(self.topic):
            if self.is_open and is_of(self._node, end):
                return end.qos_profile
        return self._qos(self._reliability())

    def check(self) -> dict[str, str]:
        """Follow the publishers if the reliability is `auto`, and return what is wrong.

        To be called about once a second. Types and quality of service are also compared while the
        input is not open.

        Returns
        -------
        dict of str to str
            Reason and remedy for each of `PROBLEMS`; empty if there is no such problem.
        """
        if self.is_open:
            self._follow_publishers()
        topic = self.topic
        problems = dict.fromkeys(PROBLEMS, '')
        problems['type.image'] = image_problems.wrong_type(
            topic, self.config.image_transport, self._publishers)
        problems['qos.image'] = image_problems.wrong_qos(
            topic, self._actual_qos(), self._publishers)
        if self.is_open and time.monotonic() - self._last_loss < SILENCE:
            problems['images_lost'] = image_problems.lost(topic, self._publishers,
                                                          fast_dds=self._fast_dds)
        seconds = self._silent_for()
        if seconds and not any(problems.values()):
            problems['silence'] = image_problems.silence(topic, seconds, self._publishers,
                                                         fast_dds=self._fast_dds)
        return problems

    def _silent_for(self) -> float:
        """Return the limit of time without images that is exceeded, in seconds; else 0."""
        now, clock = time.monotonic(), self._node.get_clock()
        is_replay = (clock.ros_time_is_active and self._has_images
                     and self._node.count_publishers(self.topic) > 0)
        before, self._clock = self._clock, clock.now().nanoseconds
        if is_replay and self._clock == before:
            self._last_image = now  # the player is paused
        limit = REPLAY_SILENCE if is_replay else SILENCE
        return limit if self.is_open and now - self._last_image >= limit else 0.0
