"""One camera of the node: its topics, its counts, and the way of its images."""
from __future__ import annotations

import time
from typing import Any, Callable, Mapping

from rclpy.constants import S_TO_NS
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from instseg_ros.bags.conversions import ImageError
from instseg_ros.core.config import DepthConfig, TrackingConfig
from instseg_ros.core.depth import Place
from instseg_ros.core.tracking import Tracker
from instseg_ros.core.types import ModelInfo
from instseg_ros.node import diagnostics
from instseg_ros.node.depth import TOPICS as SPACE_TOPICS
from instseg_ros.node.depth import Depth
from instseg_ros.node.diagnostics import Conditions
from instseg_ros.node.image_input import PROBLEMS, ImageInput
from instseg_ros.node.latency import Latency
from instseg_ros.node.options import NodeConfig
from instseg_ros.node.outputs import TOPICS, Outputs
from instseg_ros.node.qos import subscriber_mismatch
from instseg_ros.node.rate_limit import RateLimit
from instseg_ros.node.requests import Requests
from instseg_ros.node.stages import Frame
from instseg_ros.node.statistics import Statistics
from instseg_ros.node.transitions import guarded


class OldImageError(ImageError):
    """An image that is older than `max_age` when it arrives."""


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
    config : NodeConfig
    conditions : Conditions
        Where problems of this camera are reported.
    requests : Requests
        For single images of this camera.

    Attributes
    ----------
    name : str
    config : NodeConfig
        Replaced `max_age`, `max_rate` and `lazy` take effect from the next image; the rest can't
        be changed while the node is active.
    conditions : Conditions
    requests : Requests
    is_paused : bool
        Whether images are skipped that nobody has requested.
    statistics : Statistics
        Counts since activation.
    tracker : Tracker
        For the second stage of the pipeline; its config may be replaced at any time.
    depth : Depth or None
        Results in space, if the node is configured and they are enabled.
    """

    def __init__(self, node: LifecycleNode, name: str, config: NodeConfig,
                 conditions: Conditions, requests: Requests) -> None:
        self.name, self.conditions, self.requests = name, conditions, requests
        self.is_paused = False
        self._rate_limit = RateLimit()
        self.statistics = Statistics()
        self.tracker = Tracker()
        self.depth: Depth | None = None
        self._node = node
        self._outputs: Outputs | None = None
        self._latency: Latency | None = None
        self._input = ImageInput(node, f'{self.prefix}image', config, on_image=guarded(
            'image', self._on_image, self.conditions, self._on_failure),
                                 on_lost=lambda count: self.statistics.frames_missed(count))
        self._labels_have_stamp = False
        self._submit: Callable[[str, Frame], int] = refuse

    @property
    def config(self) -> NodeConfig:
        return self._input.config

    @config.setter
    def config(self, config: NodeConfig) -> None:
        self._input.config, self._rate_limit.rate = config, config.max_rate

    @property
    def prefix(self) -> str:
        """What the names of the camera's topics begin with."""
        return f'{self.name}/' if self.name else ''

    @property
    def outputs(self) -> Outputs:
        """The topics of the results, while the node is configured."""
        assert self._outputs is not None
        return self._outputs

    @property
    def is_needed(self) -> bool:
        """Whether somebody listens to results, or `lazy` is off."""
        depth = self.depth
        return (not self.config.lazy or self.outputs.is_wanted
                or (depth is not None and depth.is_wanted))

    def configure(self, info: ModelInfo, tracking: TrackingConfig, depth: DepthConfig, *,
                  confidence: bool) -> None:
        """Advertise the topics of the results.

        Parameters
        ----------
        info : ModelInfo
        tracking : TrackingConfig
        depth : DepthConfig
        confidence : bool
            Whether the model has the confidence of its classes.
        """
        self.statistics = Statistics()
        self.tracker = Tracker(tracking)
        self._outputs = Outputs(self._node, info, self.prefix, self.conditions,
                                confidence=confidence)
        self._latency = Latency(self._node, self.prefix)
        if depth.enabled:
            self.depth = Depth(self._node, self.prefix, self.conditions, depth, self._on_place)

    def activate(self, submit: Callable[[str, Frame], int]) -> None:
        """Begin to take images.

        Parameters
        ----------
        submit : callable
            Takes the camera's name and each image, and returns how many images of this camera are
            given up for it.
        """
        self.statistics = Statistics()
        self._rate_limit = RateLimit(self.config.max_rate)
        self._submit = submit
        self._publish_labels()
        self._input.open()
        if self.depth is not None:
            self.depth.activate(self.config)
        self.requests.open()
        self._node.get_logger().info(f'waiting for images on {self._input.topic}')

    def deactivate(self) -> None:
        """Take no more images."""
        self.requests.close('the node was deactivated')
        self._input.close()
        self._submit = refuse  # the stages and their model are not to outlive the node's cleanup
        if self.depth is not None:
            self.depth.deactivate()

    def release(self) -> None:
        """Remove the topics of the results."""
        outputs, self._outputs = self._outputs, None
        if outputs is not None:
            outputs.destroy()
        latency, self._latency = self._latency, None
        if latency is not None:
            latency.destroy()
        depth, self.depth = self.depth, None
        if depth is not None:
            depth.destroy()

    def _publish_labels(self) -> None:
        now = self._node.get_clock().now()
        self._labels_have_stamp = now.nanoseconds > 0
        self.outputs.publish_labels(Header(stamp=now.to_msg()))

    def _on_image(self, message: Any, info: Mapping[str, Any]) -> None:
        self.statistics.frame_arrived(info)
        frame = Frame(self, message, time.monotonic())
        age, limit = self._age(message), self.config.max_age
        if limit and age > limit:
            self.on_error(frame, OldImageError(f'it is {age:.3f} s old, max_age is {limit:g} s'))
        elif self._is_wanted(frame.arrived):
            self.statistics.frames_given_up(self._submit(self.name, frame))
        else:
            self.statistics.frame_skipped()

    def _age(self, message: Any) -> float:
        """Return the seconds since the stamp of a message."""
        stamp = message.header.stamp  # may be anything, even negative
        now = self._node.get_clock().now().nanoseconds
        return (now - (stamp.sec * S_TO_NS + stamp.nanosec)) / S_TO_NS

    def _is_wanted(self, now: float) -> bool:
        """Return whether the image that comes now is to be processed."""
        is_requested = self.requests.take_image()
        return is_requested or (not self.is_paused and self.is_needed
                                and self._rate_limit.allows(now))

    def _on_failure(self, reason: str) -> None:
        """Count an image that an exception has cost before the stages."""
        self.statistics.frame_dropped('error')

    def _on_place(self, frame: Frame, place: Place | None) -> None:
        """Publish the markers of a frame, at the distance of the objects where it is known."""
        self.outputs.publish_markers(frame.result, place)

    def on_result(self, frame: Frame) -> None:
        """Count a published result, in the thread of the second stage."""
        dropped = frame.segmentation.instances_dropped
        age = self._age(frame.message)
        self.statistics.frame_done(frame.timings, frame.latency, age=age,
                                   instances_dropped=dropped)
        if self._latency is not None:
            self._latency.add(age)
        stamp = frame.message.header.stamp
        self.requests.succeeded(frame.arrived, f'{len(frame.segmentation.instances)} objects in '
                                f'the image with the stamp {stamp.sec}.{stamp.nanosec:09d}')
        if dropped:
            self.conditions.note('instances_dropped', diagnostics.WARN,
                                 f'{dropped} instances of an image dropped: it has more than '
                                 'grouping.max_instances')

    def on_error(self, frame: Frame, error: BaseException) -> None:
        """Count an image that a stage could not process, in the thread of that stage."""
        self.requests.failed(frame.arrived, f'the image is lost, {type(error).__name__}: {error}')
        if isinstance(error, ImageError):
            self.statistics.frame_dropped('old' if isinstance(error, OldImageError) else 'invalid')
            self.conditions.note('image_dropped', diagnostics.WARN, f'image dropped: {error}')
        elif self._node.context.ok():  # else publishing failed since the process is ending
            self.statistics.frame_dropped('error')
            self.conditions.note('image_lost', diagnostics.ERROR,
                                 f'image lost, {type(error).__name__}: {error}')

    def report(self, now: float) -> dict[str, str]:
        """Return counts, rates and times for the diagnostics; `now` is of `time.monotonic`."""
        values = self.statistics.report(now)
        if self.depth is not None:
            values['frames_without_depth'] = str(self.depth.frames_missed)
        return values

    def check_connections(self) -> None:
        """Warn while no images come, or an end of a topic receives nothing.

        To be called about once a second. The labels are published again once simulated time
        begins, if they were published before.
        """
        self.requests.expire(time.monotonic())
        if self._latency is not None:
            self._latency.publish()
        problems, topics = dict.fromkeys(PROBLEMS, ''), {}
        if self._outputs is not None:
            problems, topics = self._input.check(), self._outputs.topics
        if self.depth is not None:
            self.depth.check()
            topics.update(self.depth.topics)
        for name, text in problems.items():
            self.conditions.warn_while(name, text)
        if self._input.is_open and not self.is_needed:
            self.conditions.begin('idle', diagnostics.OK, 'idle: no subscribers')
        else:
            self.conditions.end('idle')
        for name in (*TOPICS, *SPACE_TOPICS):
            self.conditions.warn_while(
                f'qos.{name}', subscriber_mismatch(self._node, topics[name])
                if name in topics else '')
        if (self._input.is_open and not self._labels_have_stamp
                and self._node.get_clock().now().nanoseconds > 0):
            self._publish_labels()


def refuse(name: str, frame: Frame) -> int:
    """Take no image, in place of `submit`, while the node is not active."""
    return 1
