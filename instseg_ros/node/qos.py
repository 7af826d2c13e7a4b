"""Quality of service of the topics, and the reasons why no messages arrive."""
from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from instseg_ros.node.options import NodeConfig

RESULT_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
"""Reliable and best-effort subscribers both receive the results."""

LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                         durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Later subscribers receive the last message, too."""


def image_qos(config: NodeConfig) -> QoSProfile:
    """Return the profile of the subscription to images."""
    return QoSProfile(depth=config.image_depth, history=HistoryPolicy.KEEP_LAST,
                      durability=DurabilityPolicy.VOLATILE,
                      reliability=ReliabilityPolicy[config.image_reliability.upper()])


def silence(node: Node, topic: str, seconds: float) -> str:
    """Return why no image may have come from `topic` for so many seconds."""
    publishers = node.count_publishers(topic)
    if not publishers:
        return f'no image for {seconds:g} s: nobody publishes on {topic} (remap "image")'
    return (f'no image for {seconds:g} s although {topic} has {publishers} publisher(s): '
            f'compare "ros2 topic info --verbose {topic}"; large best-effort images need the '
            'Fast DDS profile in config/fastdds.xml, or image_reliability reliable')


def publisher_mismatch(node: Node, topic: str) -> str:
    """Return why the node receives nothing from a publisher of `topic`; else an empty string."""
    ours = [end for end in node.get_subscriptions_info_by_topic(topic) if _is_of(node, end)]
    for publisher in node.get_publishers_info_by_topic(topic):
        for subscription in ours:
            reason = _incompatibility(publisher, subscription)
            if reason:
                is_best_effort = (publisher.qos_profile.reliability
                                  == ReliabilityPolicy.BEST_EFFORT)
                hint = ('set the parameter image_reliability to best_effort and activate again'
                        if is_best_effort else f'see "ros2 topic info --verbose {topic}"')
                return (f'no image is received from the publisher {_name(publisher)} of {topic}, '
                        f'whose quality of service does not fit ({reason}): {hint}')
    return ''


def subscriber_mismatch(node: Node, topic: str) -> str:
    """Return why a subscriber of `topic` receives nothing from the node; else an empty string."""
    ours = [end for end in node.get_publishers_info_by_topic(topic) if _is_of(node, end)]
    for subscription in node.get_subscriptions_info_by_topic(topic):
        for publisher in ours:
            reason = _incompatibility(publisher, subscription)
            if reason:
                return (f'the subscriber {_name(subscription)} of {topic} receives nothing, since '
                        f'its quality of service does not fit ({reason}): let it subscribe with '
                        'durability volatile and no deadline')
    return ''


def _incompatibility(publisher: Any, subscription: Any) -> str:
    compatibility, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
    if compatibility != QoSCompatibility.ERROR:
        return ''
    return reason.replace('ERROR: ', '').strip(' ;')


def _is_of(node: Node, end: Any) -> bool:
    return (end.node_name, end.node_namespace) == (node.get_name(), node.get_namespace())


def _name(end: Any) -> str:
    return f'{end.node_namespace.rstrip("/")}/{end.node_name}'
