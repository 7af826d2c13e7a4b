"""Why no images arrive from a topic, each reason with its remedy."""
from __future__ import annotations

from typing import Any, Callable, Sequence

from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible

TYPES = {'raw': 'sensor_msgs/msg/Image', 'compressed': 'sensor_msgs/msg/CompressedImage'}
"""Type of the messages of each transport."""

SUFFIX = '/compressed'
"""What image_transport appends to the name of a topic for its compressed images."""

Publishers = Callable[[str], Sequence[Any]]
"""Returns the publishers of a topic, `rclpy.topic_endpoint_info.TopicEndpointInfo`."""


def wrong_type(topic: str, transport: str, publishers: Publishers) -> str:
    """Return which publisher sends other messages than the node expects; else an empty string.

    Parameters
    ----------
    topic : str
        Full name of the topic that the node subscribes to.
    transport : str
        A key of `TYPES`.
    publishers : callable
    """
    expected = TYPES[transport]
    found = list(publishers(topic))
    for publisher in found:
        if publisher.topic_type != expected:
            return (f'{name_of(publisher)} publishes {publisher.topic_type} on {topic}, expected '
                    f'{expected}: {_remedy_for_type(topic, publisher.topic_type)}')
    if not found:
        return _other_transport(topic, transport, publishers)
    return ''


def _remedy_for_type(topic: str, found: str) -> str:
    if found == TYPES['raw']:
        return f'set image_transport to raw and remap "image" to {topic}'
    if found != TYPES['compressed']:
        return 'remap "image" to a topic of images'
    if topic.endswith(SUFFIX):
        return (f'set image_transport to compressed and remap "image" to '
                f'{topic.removesuffix(SUFFIX)}')
    return f'set image_transport to compressed and remap "image{SUFFIX}" to {topic}'


def _other_transport(topic: str, transport: str, publishers: Publishers) -> str:
    """Return where the images of a camera are if nobody publishes on the topic itself."""
    base = topic.removesuffix(SUFFIX)
    other = base if transport == 'compressed' else topic + SUFFIX
    for publisher in publishers(other):
        found = publisher.topic_type
        if found not in TYPES.values():
            continue
        fitting = next(name for name, kind in TYPES.items() if kind == found)
        remedy = (f'set image_transport to {fitting}' if fitting != transport else
                  f'remap "image" to {base.removesuffix(SUFFIX)}')
        return (f'nobody publishes {TYPES[transport]} on {topic}, but {name_of(publisher)} '
                f'publishes {found} on {other}: {remedy}')
    return ''


def wrong_qos(topic: str, subscription: QoSProfile, publishers: Publishers) -> str:
    """Return which publisher's quality of service does not fit; else an empty string."""
    for publisher in publishers(topic):
        reason = incompatibility(publisher.qos_profile, subscription)
        if reason:
            is_best_effort = publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
            remedy = ('deactivate the node, set image_reliability to best_effort and activate it'
                      if is_best_effort and subscription.reliability == ReliabilityPolicy.RELIABLE
                      else f'change the publisher, or the parameters qos_overrides.{topic}.'
                           'subscription.* of the node')
            return (f'no image is received from {name_of(publisher)} on {topic}, whose quality '
                    f'of service does not fit ({reason}): {remedy}')
    return ''


def incompatibility(publisher: QoSProfile, subscription: QoSProfile) -> str:
    """Return why a subscription receives nothing from a publisher; else an empty string."""
    compatibility, reason = qos_check_compatible(publisher, subscription)
    if compatibility != QoSCompatibility.ERROR:
        return ''
    return reason.replace('ERROR: ', '').strip(' ;')


def silence(topic: str, seconds: float, publishers: Publishers, *, fast_dds: bool) -> str:
    """Return why no image may have come for so many seconds from publishers that fit."""
    found = list(publishers(topic))
    if not found:
        return f'no image for {seconds:g} s: nobody publishes on {topic} (remap "image")'
    large = (', or its images do not fit into its shared memory: restart it with the Fast DDS '
             'profile config/fastdds.xml' if fast_dds else '')
    return (f'no image for {seconds:g} s although {name_of(found[0])} publishes on {topic}: it '
            f'sends none{large}')


def lost(topic: str, publishers: Publishers, *, fast_dds: bool) -> str:
    """Return what to do about images that are lost between publisher and node."""
    name = next(map(name_of, publishers(topic)), 'their publisher')
    remedy = (f'start {name} with the Fast DDS profile config/fastdds.xml, for which /dev/shm '
              'needs room' if fast_dds else
              'let the publisher be reliable and set image_reliability to auto')
    return f'images from {name} on {topic} are lost on the way: {remedy}'


def fitting_reliability(topic: str, publishers: Publishers) -> ReliabilityPolicy:
    """Return the highest reliability with which every publisher's images are received."""
    offered = [publisher.qos_profile.reliability for publisher in publishers(topic)]
    is_reliable = offered and all(policy == ReliabilityPolicy.RELIABLE for policy in offered)
    return ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT


def name_of(endpoint: Any) -> str:
    """Return the full name of the node that an end of a topic belongs to, if it is known yet."""
    if 'UNKNOWN' in endpoint.node_name:
        return 'a node without a known name'
    return f'{endpoint.node_namespace.rstrip("/")}/{endpoint.node_name}'
