"""Subscribes to all results, reliably, and stalls for seconds now and then, until it is ended."""
from __future__ import annotations

import time
from contextlib import suppress

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

TOPICS = {'semantic_image': Image, 'instance_image': Image, 'overlay': Image,
          'instances': Detection2DArray}
STALL_EVERY, STALL = 20, 3.0
"""Messages, and seconds."""


def main() -> None:
    """Subscribe."""
    rclpy.init()
    node = rclpy.create_node('soak_subscriber')
    seen = 0

    def callback(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen % STALL_EVERY == 0:
            time.sleep(STALL)

    for name, kind in TOPICS.items():
        node.create_subscription(kind, f'/segmenter/{name}', callback, QoSProfile(depth=2))
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == '__main__':
    main()
