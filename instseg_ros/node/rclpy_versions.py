"""What rclpy of ROS 2 Humble lacks, and what the node does there instead."""
from __future__ import annotations

from typing import Any, Callable, Mapping

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.subscription import Subscription

GIVES_INFO = hasattr(Subscription, 'CallbackType')
"""Whether a subscription's callback may also take the middleware's info about a message."""


def image_callback(callback: Callable[[Any, Mapping[str, Any]], None]) -> Callable[..., None]:
    """Return `callback`, which takes a message and its info, as a subscription can call it.

    On Humble the info is empty.
    """
    return callback if GIVES_INFO else lambda message: callback(message, {})


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
