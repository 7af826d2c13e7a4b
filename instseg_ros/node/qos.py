"""Quality of service of the topics, and what to say when two ends don't fit together."""
from __future__ import annotations

from typing import Any, Callable

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)

from instseg_ros.node.parameters import NodeConfig
from instseg_ros.node.rclpy_versions import (
    PublisherEventCallbacks,
    SubscriptionEventCallbacks,
)

RESULT_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
"""Results reach reliable and best-effort subscribers alike."""

LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                         durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""The last message reaches those that subscribe later as well."""


def image_qos(config: NodeConfig) -> QoSProfile:
    """Return the profile of the subscription to images."""
    return QoSProfile(depth=config.image_depth, history=HistoryPolicy.KEEP_LAST,
                      durability=DurabilityPolicy.VOLATILE,
                      reliability=ReliabilityPolicy[config.image_reliability.upper()])


def watch_subscription(topic: str, report: Callable[[str], None]) -> SubscriptionEventCallbacks:
    """Return callbacks that report a publisher whose quality of service does not fit."""
    def incompatible(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        hint = ('it publishes best effort; set the parameter image_reliability to best_effort '
                'and activate again' if policy == 'RELIABILITY'
                else f'compare "ros2 topic info --verbose {topic}"')
        report(f'a publisher of {topic} does not fit the subscription ({policy}) and nothing '
               f'is received from it: {hint}')
    return SubscriptionEventCallbacks(incompatible_qos=incompatible)


def watch_publisher(topic: str, report: Callable[[str], None]) -> PublisherEventCallbacks:
    """Return callbacks that report a subscriber whose quality of service does not fit."""
    def incompatible(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        report(f'a subscriber of {topic} asks for more than is published ({policy}) and receives '
               'nothing: let it subscribe with durability volatile and no deadline')
    return PublisherEventCallbacks(incompatible_qos=incompatible)
