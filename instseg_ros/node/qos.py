"""Quality of service of the topics, and why subscribers receive nothing."""
from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from instseg_ros.node.image_problems import incompatibility, name_of

RESULT_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
"""Reliable and best-effort subscribers both receive the results."""

LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                         durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Later subscribers receive the last message, too."""


def subscriber_mismatch(node: Node, topic: str) -> str:
    """Return why a subscriber of `topic` receives nothing from the node; else an empty string."""
    ours = [end for end in node.get_publishers_info_by_topic(topic) if is_of(node, end)]
    for subscription in node.get_subscriptions_info_by_topic(topic):
        for publisher in ours:
            reason = incompatibility(publisher.qos_profile, subscription.qos_profile)
            if reason:
                return (f'the subscriber {name_of(subscription)} of {topic} receives nothing, '
                        f'since its quality of service does not fit ({reason}): let it '
                        'subscribe with durability volatile and no deadline')
    return ''


def is_of(node: Node, end: Any) -> bool:
    """Return whether an end of a topic belongs to a node."""
    return (end.node_name, end.node_namespace) == (node.get_name(), node.get_namespace())
