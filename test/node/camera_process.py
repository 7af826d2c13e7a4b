"""A camera in a process of its own; arguments: a file with its image (H0, W0, 3), its topic."""
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

sys.path.insert(0, str(Path(__file__).parents[1]))
from node_tools import ros_image

PERIOD = 0.05
"""Seconds between two images."""


def main():
    rclpy.init()
    node = rclpy.create_node('camera')
    publisher = node.create_publisher(Image, sys.argv[2], 10)
    image = np.load(sys.argv[1])
    while rclpy.ok():
        stamp = node.get_clock().now().to_msg()
        publisher.publish(ros_image(Header(stamp=stamp, frame_id='camera'), image, 'rgb8'))
        time.sleep(PERIOD)


if __name__ == '__main__':
    main()
