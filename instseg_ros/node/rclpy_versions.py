"""What rclpy of ROS 2 Humble has under another name, or not at all."""
from __future__ import annotations

from typing import Any, Callable, Mapping

from rclpy.subscription import Subscription

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ModuleNotFoundError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

__all__ = ['PublisherEventCallbacks', 'SubscriptionEventCallbacks', 'image_callback']

GIVES_INFO = hasattr(Subscription, 'CallbackType')
"""Whether callbacks of subscriptions may have what the middleware says about a message."""


def image_callback(callback: Callable[[Any, Mapping[str, Any]], None]) -> Callable[..., None]:
    """Return `callback`, which takes a message and its info, as a subscription can call it.

    Where rclpy gives no info, that is empty.
    """
    return callback if GIVES_INFO else lambda message: callback(message, {})
