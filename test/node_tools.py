"""What several tests of the node need."""
import time

TIMEOUT = 120.0
"""Seconds after which something that a test waits for counts as missing; a busy machine takes half
a minute only to import what a node needs."""


def values_of(message):
    """Return the values of a diagnostics message by key."""
    return {entry.key: entry.value for entry in message.status[0].values}


def status_of(message):
    """Return level and text of a diagnostics message."""
    return message.status[0].level, message.status[0].message


def wait_for(condition):
    """Wait in a thread of the node for what another one does."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, 'what a stage waits for did not happen'
        time.sleep(0.001)


def ros_image(header, pixels, encoding):
    """Return a sensor_msgs/Image of rclpy."""
    from instseg_ros.messages.images import image_message
    from instseg_ros.node.message_types import MESSAGE_TYPES
    return image_message(MESSAGE_TYPES, header, pixels, encoding)
