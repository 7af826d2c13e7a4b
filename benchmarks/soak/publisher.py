"""Publishes images at a rate until its standard input ends; prints their number as JSON."""
from __future__ import annotations

import json
import select
import sys
import time

import rclpy
from builtin_interfaces.msg import Time
from inputs import bad_images, good_images, image_of
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

JUMP_EVERY, JUMP = 500, 3600
"""Frames, and seconds by which their stamps jump: forward, and later back again."""

PAUSE, SLOW = 0.5, 4
"""Seconds between the first and the last frames, and their number: so slow that none of them is
lost, since the node knows of lost frames only from those that arrive before and after them."""


def message(fields: dict) -> Image:
    """Return a message with the fields of an image."""
    values = dict(fields)
    result = Image(height=values['height'], width=values['width'], step=values['step'],
                   encoding=values['encoding'], is_bigendian=values['is_bigendian'])
    result.data.frombytes(values['data'].tobytes())
    return result


def main() -> None:
    """Publish; arguments: topic and images a second."""
    topic, rate = sys.argv[1], float(sys.argv[2])
    rclpy.init()
    node = rclpy.create_node('soak_publisher')
    publisher = node.create_publisher(Image, topic, QoSProfile(depth=10))
    good, bad = ([message(fields) for fields in images]
                 for images in (good_images(), bad_images()))
    while publisher.get_subscription_count() == 0:
        time.sleep(0.1)
    time.sleep(1)
    published, due, left = 0, time.monotonic(), SLOW
    while left:
        is_over = bool(select.select([sys.stdin], [], [], max(0, due - time.monotonic()))[0])
        if is_over or published < SLOW:
            time.sleep(PAUSE)
            left -= is_over
        image, _ = image_of(published, good, bad)
        now = node.get_clock().now().nanoseconds // 10 ** 9
        image.header.stamp = Time(sec=now + JUMP * (published // JUMP_EVERY % 2),
                                  nanosec=published % 10 ** 9)
        image.header.frame_id = str(published)
        publisher.publish(image)
        published += 1
        due = max(due + 1 / rate, time.monotonic() - 1)
    time.sleep(2)
    print(json.dumps({'published': published}), flush=True)
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
