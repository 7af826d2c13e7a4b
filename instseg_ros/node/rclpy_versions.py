"""What rclpy lacks, mostly that of ROS 2 Humble, and what the node does there instead."""
from __future__ import annotations

import weakref
from typing import Any, Callable, Mapping

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

GIVES_INFO = hasattr(Subscription, 'CallbackType')
"""Whether a subscription's callback may also take the middleware's info about a message."""

OVERFLOW = 2 ** 31 - 1
"""Lost messages in one report: no true number, but a counter of 32 bits that is full."""


def image_callback(callback: Callable[[Any, Mapping[str, Any]], None]) -> Callable[..., None]:
    """Return `callback`, which takes a message and its info, as a subscription can call it.

    On Humble the info is empty.
    """
    return callback if GIVES_INFO else lambda message: callback(message, {})


def subscribe(node: Node, message_type: Any, topic: str, callback: Callable[..., None],
              qos: QoSProfile, *, on_lost: Callable[[int], None], **options: Any) -> Subscription:
    """Create a subscription that reports lost messages, where the middleware notices them.

    A number that no camera reaches is an overflow of the middleware's own counter (Fast DDS 3.2.2
    reports one now and then) and is ignored; what is missing is known from the sequence numbers.
    Events of the middleware about types and quality of service are not logged: it doesn't give
    them in every case.
    """
    def create(**events: Any) -> Subscription:
        return node.create_subscription(
            message_type, topic, callback, qos, **options,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False, **events))

    def report(info: Any) -> None:
        if 0 < info.total_count_change < OVERFLOW:
            on_lost(info.total_count_change)

    try:
        return create(message_lost=report)
    except UnsupportedEventTypeError:
        return create()


def call_after_set_parameters(node: Node, callback: Callable[[], None]) -> None:
    """Call `callback` in the executor's thread after parameters of the node have been set.

    At that time every on-set callback has agreed and the node has the new values. Humble has no
    post-set callbacks: there, an on-set callback triggers a guard condition, and the executor
    makes the call in its next cycle. The call may then also follow a change that was refused.
    """
    if hasattr(node, 'add_post_set_parameters_callback'):
        node.add_post_set_parameters_callback(lambda changes: callback())
        return
    guard = node.create_guard_condition(callback)

    def trigger(changes: Any) -> SetParametersResult:
        guard.trigger()
        return SetParametersResult(successful=True)
    node.add_on_set_parameters_callback(trigger)


def forget_destroyed(node: Node) -> None:
    """Remove what has been destroyed from the node's callback group.

    rclpy does not (https://github.com/ros2/rclpy/issues/1356): each subscription, each publisher
    and each of their events would leave a weak reference behind. A later one may keep its entities
    in another form.
    """
    entities = getattr(node.default_callback_group, 'entities', None)
    if isinstance(entities, set):
        entities -= {reference for reference in entities.copy()
                     if isinstance(reference, weakref.ref) and reference() is None}
