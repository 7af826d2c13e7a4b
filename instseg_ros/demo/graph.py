"""The demo's side of the ROS graph: publishes images, receives results, drives the lifecycle.

Messages stay serialized, from the bag of images to the node and from there to the bag of results.
"""
from __future__ import annotations

import time
from functools import partial
from types import TracebackType
from typing import Any, Callable

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, LabelInfo

from instseg_ros.bags.results import LABEL_INFO_NAME
from instseg_ros.demo.node_process import NodeProcess
from instseg_ros.messages.results import CONFIDENCE

NODE = '/segmenter'
QUEUE = 50
"""Depth of the demo's own queues, far above the number of frames in flight."""

POLL = 0.05
"""Seconds between checks that the node still runs."""

ACTIVATION_TIMEOUT = 120.0
"""Seconds to start the node or to change its state; loading and compiling take a while."""

CLIENT_PATIENCE = 15.0
"""Seconds after which a client that has found no service is made again, since the middleware may
never match it with a service that came later; and after which a call counts as lost, since a
service drops an answer that it cannot send at once."""

SERVICES = {'change_state': ChangeState, 'get_state': GetState}

GOALS = {'configure': 'inactive', 'activate': 'active', 'deactivate': 'inactive',
         'cleanup': 'unconfigured'}
"""The state that a transition leads to."""

RESULTS = {'semantic_image': Image, 'instance_image': Image, CONFIDENCE: Image,
           'instances': Detection2DArray}
LAST_RESULT = 'instances'
"""The node advertises it after the others in `RESULTS`."""


class Graph:
    """A ROS node with the publisher, subscriptions and clients of the demo; a context manager.

    Parameters
    ----------
    domain : int
        ROS_DOMAIN_ID.
    image_topic : str
    on_message : callable
        Called with the topic and the serialized message for each message of the node.
    """

    def __init__(self, domain: int, image_topic: str,
                 on_message: Callable[[str, bytes], None]) -> None:
        # Ctrl-C stays a KeyboardInterrupt, which unwinds the whole demo.
        rclpy.init(args=[], domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node('instseg_demo')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self.diagnostics: dict[str, str] = {}
        reliable = QoSProfile(depth=QUEUE, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                             durability=DurabilityPolicy.TRANSIENT_LOCAL)

        def subscribe(name: str, message_type: Any, qos: QoSProfile) -> None:
            topic = f'{NODE}/{name}'
            self._node.create_subscription(
                message_type, topic, lambda data: on_message(topic, data), qos, raw=True)

        # All subscriptions exist before the node starts. It then knows them before it answers the
        # first service call, and they receive its first messages.
        for name, message_type in RESULTS.items():
            subscribe(name, message_type, reliable)
        subscribe(LABEL_INFO_NAME, LabelInfo, latched)
        self._node.create_subscription(
            DiagnosticArray, '/diagnostics', self._read_diagnostics, reliable)
        self._publisher = self._node.create_publisher(Image, image_topic, reliable)
        self._clients = {name: self._make_client(name) for name in SERVICES}

    def _read_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith(NODE):  # diagnostic_updater puts 'segmenter: ' before it
                self.diagnostics = {entry.key: entry.value for entry in status.values}

    def spin(self, seconds: float) -> None:
        """Handle what arrives; return after the first message or when the time is over."""
        self._executor.spin_once(timeout_sec=max(0.0, seconds))

    def wait(self, condition: Callable[[], bool], process: NodeProcess, what: str,
             timeout: float) -> None:
        """Handle what arrives until the condition holds.

        Raises
        ------
        UserError
            The node ended, or the time is over; the text begins with `what`.
        """
        end = time.monotonic() + timeout
        while not condition():
            process.check()
            if time.monotonic() > end:
                raise process.failure(f'{what} took longer than {timeout:g} s')
            self.spin(POLL)

    def wait_for_node(self, process: NodeProcess) -> None:
        """Wait until the node answers service calls."""
        for name in SERVICES:
            self.wait(partial(self._is_ready, name), process, 'starting the node',
                      ACTIVATION_TIMEOUT)

    def _make_client(self, name: str) -> Client:
        self._asked = time.monotonic()
        return self._node.create_client(SERVICES[name], f'{NODE}/{name}')

    def _is_ready(self, name: str) -> bool:
        if time.monotonic() > self._asked + CLIENT_PATIENCE:
            self._node.destroy_client(self._clients[name])
            self._clients[name] = self._make_client(name)
        return self._clients[name].service_is_ready()

    def wait_for_listener(self, process: NodeProcess) -> None:
        """Wait until the node is subscribed to the images."""
        self.wait(lambda: self._publisher.get_subscription_count() > 0, process,
                  "the node's subscription to the images", ACTIVATION_TIMEOUT)

    def has_confidence(self, process: NodeProcess) -> bool:
        """Return whether the configured node publishes the confidence of classes.

        The middleware tells of publishers in the order in which they were made.
        """
        self.wait(lambda: self._node.count_publishers(f'{NODE}/{LAST_RESULT}') > 0, process,
                  "the node's publishers", ACTIVATION_TIMEOUT)
        return self._node.count_publishers(f'{NODE}/{CONFIDENCE}') > 0

    def change_state(self, transition: str, process: NodeProcess) -> None:
        """Make the node take a transition, for example `configure`.

        Raises
        ------
        UserError
            The node refuses; the text ends with its log.
        """
        request = ChangeState.Request(transition=Transition(
            id=getattr(Transition, f'TRANSITION_{transition.upper()}')))
        end = time.monotonic() + ACTIVATION_TIMEOUT
        while time.monotonic() < end:
            answer = self._call('change_state', request, process)
            if answer is not None and answer.success:
                return
            # The answer to this call, or to an earlier successful one, may be lost, or the node
            # still takes the transition. To ask for it twice would be an error in the node's log.
            state = self._state(process, end)
            if state == GOALS[transition]:
                return
            if answer is not None and state:
                raise process.failure(f'the node refused to {transition}')
        raise process.failure(f'to {transition} the node took longer than '
                              f'{ACTIVATION_TIMEOUT:g} s')

    def _state(self, process: NodeProcess, end: float) -> str:
        """Return the state of the node once it answers; empty if it does not until `end`."""
        while time.monotonic() < end:
            answer = self._call('get_state', GetState.Request(), process)
            if answer is not None:
                return answer.current_state.label
        return ''

    def _call(self, name: str, request: Any, process: NodeProcess) -> Any:
        """Return the answer of a service of the node, or None if it seems to be lost."""
        answer = self._clients[name].call_async(request)
        end = time.monotonic() + CLIENT_PATIENCE
        while not answer.done() and time.monotonic() < end:
            process.check()
            self.spin(POLL)
        return answer.result() if answer.done() else None

    def publish(self, data: bytes) -> None:
        """Send a serialized image."""
        self._publisher.publish(data)

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()
