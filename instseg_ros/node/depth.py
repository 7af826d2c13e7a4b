"""Objects and labelled points in space, of one camera with a depth image registered to it.

A thread for each camera waits for depth and computes, so that neither the results in the images
nor other cameras wait.
"""
from __future__ import annotations

import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import numpy as np
from rclpy.constants import S_TO_NS
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from instseg_ros.bags.camera_info import camera_model
from instseg_ros.bags.depth_images import read_depth
from instseg_ros.core.camera_model import CameraModel
from instseg_ros.core.config import DepthConfig
from instseg_ros.core.depth import (
    Place,
    labelled_points,
    metric_depth,
    object_boxes,
    resample_depth,
)
from instseg_ros.node.depth_matching import DepthMatcher
from instseg_ros.node.depth_messages import detections_3d_message, points_message
from instseg_ros.node.diagnostics import ERROR, Conditions
from instseg_ros.node.image_problems import incompatibility, name_of
from instseg_ros.node.newest import NewestWorker
from instseg_ros.node.options import NodeConfig
from instseg_ros.node.qos import RESULT_QOS

if TYPE_CHECKING:
    from instseg_ros.node.stages import Frame

TOPICS = {'detections_3d': Detection3DArray, 'points': PointCloud2}
"""Name of each topic below the camera's, and type of its messages."""

INPUTS = {'depth': Image, 'camera_info': CameraInfo}
"""The same of the topics that are subscribed."""

PATIENCE = 1.0
"""Seconds without any matching depth image after which it is reported as missing."""


class Measurement(NamedTuple):
    """Depth (H0, W0) and rays (H0, W0, 2) of the pixels of an image."""

    depth: np.ndarray
    rays: np.ndarray


class Depth:
    """What the node has for the depth of one camera: its topics and the newest depth images.

    The results in space have the header of the image and, as its pixels, its orientation. They
    are made only while somebody listens. An image without a depth image has none; its results
    in the image are not affected.

    Parameters
    ----------
    node : LifecycleNode
    prefix : str
        What the names of the topics begin with; empty, or ends with a slash.
    conditions : Conditions
        Where problems are reported.
    config : DepthConfig
        May be replaced at any time.
    on_place : callable
        Called with each frame and its `Place`, or None without depth, in the thread of this
        camera.

    Attributes
    ----------
    config : DepthConfig
    frames_missed : int
        Images since activation whose depth was wanted and not there, or that were given up for
        newer ones.
    """

    def __init__(self, node: LifecycleNode, prefix: str, conditions: Conditions,
                 config: DepthConfig, on_place: Callable[[Frame, Place | None], object]) -> None:
        self.config, self.frames_missed = config, 0
        self._counting = threading.Lock()
        self._on_place = on_place
        self._worker: NewestWorker[Frame] | None = None
        self._node, self._prefix, self._conditions = node, prefix, conditions
        self._publishers: dict[str, Any] = {}
        self._subscriptions: dict[str, Any] = {}
        self._inputs: dict[str, str] = {}
        self._patience = 0.0
        self._matcher: DepthMatcher[Image] = DepthMatcher()
        self._camera_info: CameraInfo | None = None
        self._last_success = time.monotonic()
        self._missing = ''
        self._rays = lru_cache(1)(CameraModel.rays)
        try:
            for name, kind in TOPICS.items():
                self._publishers[name] = node.create_lifecycle_publisher(
                    kind, f'~/{prefix}{name}', RESULT_QOS)
        except Exception:
            self.destroy()
            raise

    def destroy(self) -> None:
        """Remove the topics."""
        while self._publishers:
            self._node.destroy_lifecycle_publisher(self._publishers.popitem()[1])

    def activate(self, config: NodeConfig) -> None:
        """Begin to take depth images."""
        self._matcher, self._camera_info = DepthMatcher(), None
        self.frames_missed, self._last_success = 0, time.monotonic()
        self._worker = NewestWorker(self._process, f'depth {self._prefix}')
        self._patience = config.stage_timeout
        for (name, kind), take in zip(INPUTS.items(), (self._on_depth, self._on_camera_info)):
            self._subscriptions[name] = self._node.create_subscription(
                kind, self._prefix + name, take, input_qos(config))
            self._inputs[name] = self._subscriptions[name].topic_name
        self._node.get_logger().info(f'waiting for depth on {self._inputs["depth"]} and '
                                     f'calibration on {self._inputs["camera_info"]}')

    def deactivate(self) -> None:
        """Take no more depth images, and end the thread, unless it is stuck."""
        self._matcher.close()
        worker, self._worker = self._worker, None
        if worker is not None and not worker.close(self._patience):
            self._node.get_logger().error('the results in space of an image have not returned for '
                                          f'more than {self._patience:g} s; they are given up')
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.popitem()[1])
        self._forget_problem()

    @property
    def topics(self) -> dict[str, str]:
        """Full names of the topics that are published, by name."""
        return {name: publisher.topic_name for name, publisher in self._publishers.items()}

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return any(map(self._has_listener, TOPICS))

    def _has_listener(self, name: str) -> bool:
        return bool(self._publishers[name].get_subscription_count())

    def _on_depth(self, message: Image) -> None:
        self._matcher.put(stamp_of(message.header), message)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def submit(self, frame: Frame, *, wanted: bool = False) -> None:
        """Let a segmented frame have its results in space, if anybody listens; returns at once.

        Parameters
        ----------
        frame : Frame
        wanted : bool
            `on_place` is wanted even if nobody listens here.
        """
        worker = self._worker
        if worker is not None and (wanted or self.is_wanted):
            self._count_missed(worker.submit(frame))
        else:
            self._forget_problem()

    def _process(self, frame: Frame) -> None:
        place = None
        try:
            place = self._publish(frame)
            self._on_place(frame, place)
        except Exception as error:  # costs the results in space of this frame
            place = None
            if self._node.context.ok():  # else publishing failed since the process is ending
                self._conditions.begin('depth', ERROR, f'results in space lost, '
                                                       f'{type(error).__name__}: {error}')
        if place is None:
            self._count_missed(1)

    def _publish(self, frame: Frame) -> Place | None:
        """Publish the results of a frame in space; return None if there is no depth for it."""
        header, segmentation = frame.message.header, frame.segmentation
        try:
            measurement = self._measure(header, segmentation.semantic_ids.shape)
        except ValueError as error:  # it will not get better by itself
            self._conditions.warn_while('depth', f'no results in space: {error}')
            return None
        if measurement is None:
            return None
        depth, rays = measurement
        boxes = object_boxes(depth, segmentation.instance_ids, rays)
        if self._has_listener('detections_3d'):
            self._publishers['detections_3d'].publish(
                detections_3d_message(header, segmentation, boxes))
        if self._has_listener('points'):
            points = labelled_points(depth, rays, frame.image, segmentation)
            self._publishers['points'].publish(points_message(header, points))
        return Place(rays, boxes)

    def _measure(self, header: Header, size: tuple[int, ...]) -> Measurement | None:
        """Return the depth of the pixels of an image; None if there is no depth image for it.

        Raises
        ------
        ValueError
            The depth image or the calibration can't be used for these images.
        """
        config, info = self.config, self._camera_info
        message = self._matcher.take(stamp_of(header), round(config.tolerance * S_TO_NS),
                                     config.wait)
        if message is None or info is None:
            if time.monotonic() - self._last_success > PATIENCE:
                self._missing = ('depth' if self._matcher.is_silent else
                                 'camera_info' if info is None else 'stamp')
            return None
        self._missing = ''
        if message.header.frame_id not in ('', header.frame_id):
            raise ValueError(f'the depth image is in the frame {message.header.frame_id!r} and '
                             f'the image in {header.frame_id!r}: expected depth that is '
                             'registered to the camera, in its frame')
        height, width = size
        camera = camera_model(info, rectified=config.rectified).scaled_to((height, width))
        depth = resample_depth(metric_depth(read_depth(message), config.nearest, config.farthest),
                               (height, width))
        self._last_success = time.monotonic()
        self._forget_problem()
        return Measurement(depth, self._rays(camera))

    def _count_missed(self, frames: int) -> None:
        with self._counting:  # frames are submitted in one thread and processed in another
            self.frames_missed += frames

    def _forget_problem(self) -> None:
        self._missing = ''
        self._conditions.end('depth')

    def check(self) -> None:
        """Warn while depth is missing; to be called about once a second."""
        missing = self._missing
        if missing:
            self._conditions.warn_while('depth', f'no results in space: {self._reason(missing)}')
            if not self._missing:  # depth has come meanwhile, in the thread of this camera
                self._conditions.end('depth')

    def _reason(self, missing: str) -> str:
        if missing == 'stamp':
            return (f'no depth image within {self.config.tolerance:g} s of the stamp of an image; '
                    'see the parameter depth.tolerance')
        kind = 'depth image' if missing == 'depth' else 'calibration'
        return f'no {kind} on {self._inputs[missing]} ({self._remedy(missing)})'

    def _remedy(self, name: str) -> str:
        """Return what is wrong with the publishers of an input, or what to do without one."""
        expected = f'sensor_msgs/msg/{INPUTS[name].__name__}'
        for publisher in self._node.get_publishers_info_by_topic(self._inputs[name]):
            if publisher.topic_type != expected:
                return (f'{name_of(publisher)} publishes {publisher.topic_type}, expected '
                        f'{expected}')
            reason = incompatibility(publisher.qos_profile,
                                     self._subscriptions[name].qos_profile)
            if reason:
                return (f'the quality of service of {name_of(publisher)} does not fit, {reason}: '
                        'set image_reliability to best_effort')
        return f'remap "{name}"'


def input_qos(config: NodeConfig) -> QoSProfile:
    """Return the profile of the subscriptions, which receives from every publisher.

    Unless images are to come reliably: then depth does, too, from reliable publishers.
    """
    is_reliable = config.image_reliability == 'reliable'
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE if is_reliable
                      else ReliabilityPolicy.BEST_EFFORT)


def stamp_of(header: Header) -> int:
    """Return the stamp of a header in nanoseconds."""
    return header.stamp.sec * S_TO_NS + header.stamp.nanosec
