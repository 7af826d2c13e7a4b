"""How often a publisher of images stays silent after a subscriber was killed.

The publisher sends images without pause; each subscriber, a process that sends every image back,
is killed up to half a second after its first. What the publisher's shared memory has room for is
set as for any node:

python benchmarks/killed_subscriber.py --size 120 160
FASTDDS_DEFAULT_PROFILES_FILE=config/fastdds.xml python benchmarks/killed_subscriber.py

The publisher itself may hang for good. Then this script never ends, `--seconds` or not.
"""
from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time

import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from instseg_ros.demo.domains import reserved_domain

PATIENCE = 40.0
"""Seconds after which a publisher counts as silent."""

LONGEST_LIFE = 0.5
"""Seconds from its first image until a subscriber is killed."""


def echo() -> None:
    """Send every image back."""
    rclpy.init()
    node = rclpy.create_node('echo')
    publisher = node.create_publisher(Image, '/result', 10)
    node.create_subscription(Image, '/image', publisher.publish, 10)
    rclpy.spin(node)


def main() -> None:
    """Kill subscribers for a time, and print what the publisher did."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, nargs=2, default=(480, 640), help='H0 W0')
    parser.add_argument('--seconds', type=float, default=300.0, help='default %(default)s')
    parser.add_argument('--echo', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.echo:
        echo()
        return
    with reserved_domain() as domain:
        os.environ['ROS_DOMAIN_ID'] = str(domain)
        run(args.size, args.seconds)


def run(size: tuple[int, int], seconds: float) -> None:
    """Kill subscribers; print a line for each after which nothing came, and the number of all."""
    rclpy.init()
    node = rclpy.create_node('publisher')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    height, width = size
    image = Image(height=height, width=width, step=3 * width, encoding='rgb8')
    image.data.frombytes(bytes(3 * width * height))
    publisher = node.create_publisher(Image, '/image', 50)
    seen: set[str] = set()
    node.create_subscription(
        Image, '/result', lambda message: seen.add(message.header.frame_id), 100)

    def publish_until(end: float, name: str = '') -> None:
        while time.monotonic() < end and name not in seen:
            publisher.publish(image)
            executor.spin_once(timeout_sec=0.05)

    kills = silent = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        kills += 1
        image.header.frame_id = str(kills)
        with subprocess.Popen([sys.executable, __file__, '--echo']) as process:
            publish_until(time.monotonic() + PATIENCE, str(kills))
            if str(kills) not in seen:
                silent += 1
                print(f'subscriber {kills} got nothing in {PATIENCE:g} s', flush=True)
            publish_until(time.monotonic() + LONGEST_LIFE * random.random())
            process.kill()
    print(f'{kills} subscribers killed; {silent} of them got nothing')
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
