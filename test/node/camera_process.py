"""A camera in a process of its own; arguments: a file with its image (H0, W0, 3), its topic."""
import sys
import time

import numpy as np
import rclpy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from instseg_ros.node.outputs import image_message

PERIOD = 0.05
"""Seconds between two images."""


def main():
    rclpy.init()
    node = rclpy.create_node('camera')
    publisher = node.create_publisher(Image, sys.argv[2], 10)
    image = np.load(sys.argv[1])
    while rclpy.ok():
        stamp = node.get_clock().now().to_msg()
        publisher.publish(image_message(Header(stamp=stamp, frame_id='camera'), image, 'rgb8'))
        time.sleep(PERIOD)


if __name__ == '__main__':
    main()
