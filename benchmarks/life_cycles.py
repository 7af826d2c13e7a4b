"""Memory of the node over life cycles: configured, active for some results, and cleaned up.

python benchmarks/life_cycles.py --cycles 10

The resident memory is that of this process, in which the node, its camera and its listener run.
"""
from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.logging import LoggingSeverity, set_logger_level
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from instseg_ros.demo.domains import reserved_domain
from instseg_ros.node.segmenter_node import SegmenterNode

RESULTS = 5
"""Results in each cycle."""


def main() -> None:
    """Print the memory while the node is active, and after it was cleaned up."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', default='models/street.onnx', help='default %(default)s')
    parser.add_argument('--size', type=int, nargs=2, default=(480, 640), help='H0 W0')
    parser.add_argument('--cycles', type=int, default=10, help='default %(default)s')
    args = parser.parse_args()
    with reserved_domain() as domain:
        os.environ['ROS_DOMAIN_ID'] = str(domain)
        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        rclpy.init()
        run(args.model, args.size, args.cycles)
        rclpy.try_shutdown()


def run(model: str, size: tuple[int, int], cycles: int) -> None:
    """Take the node through its states."""
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    image = Image(height=size[0], width=size[1], encoding='rgb8', step=3 * size[1],
                  data=pixels.tobytes())
    node = SegmenterNode(parameter_overrides=[Parameter('model', value=str(Path(model).resolve())),
                                              Parameter('image_reliability', value='reliable')])
    set_logger_level('segmenter', LoggingSeverity.WARN)
    other = rclpy.create_node('camera')
    camera = other.create_publisher(Image, '/image', 10)
    results: list[Detection2DArray] = []
    other.create_subscription(Detection2DArray, '/segmenter/instances', results.append, 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(other)
    print(f'at the start {resident():.0f} MiB')
    for number in range(1, cycles + 1):
        node.trigger_configure()
        node.trigger_activate()
        results.clear()
        while len(results) < RESULTS:
            camera.publish(image)
            executor.spin_once(0.05)
        active = resident()
        node.trigger_deactivate()
        node.trigger_cleanup()
        print(f'cycle {number}: active {active:.0f} MiB, cleaned up {resident():.0f} MiB')
    executor.shutdown()
    node.destroy_node()
    other.destroy_node()


def resident() -> float:
    """Return the memory of this process in RAM, in MiB."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2 ** 20


if __name__ == '__main__':
    main()
