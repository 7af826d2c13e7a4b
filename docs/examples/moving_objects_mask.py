"""Publish a mask of moving objects, for a visual SLAM that should ignore them."""
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, LabelInfo


class MovingObjectsMask(Node):
    """~/mask (mono8): 255 where an object of one of the classes is, 0 elsewhere."""

    def __init__(self, **kwargs):
        super().__init__('moving_objects_mask', **kwargs)
        self.classes = self.declare_parameter('classes', ['person', 'car']).value
        self.min_score = self.declare_parameter('min_score', 0.3).value
        self.class_ids = set()
        self.results = {}  # by stamp, until both of an image are there
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        subscribe = self.create_subscription
        subscribe(LabelInfo, 'segmenter/label_info', self.on_labels, latched)
        subscribe(Image, 'segmenter/instance_image', self.on_result, 5)
        subscribe(Detection2DArray, 'segmenter/instances', self.on_result, 5)
        self.mask = self.create_publisher(Image, '~/mask', 5)

    def on_labels(self, message):
        self.class_ids = {str(entry.class_id) for entry in message.class_map
                          if entry.class_name in self.classes}

    def on_result(self, message):
        stamp = message.header.stamp.sec, message.header.stamp.nanosec
        results = self.results.setdefault(stamp, {})
        results[type(message)] = message
        if len(results) == 2:
            self.publish(results[Image], results[Detection2DArray])
            del self.results[stamp]
        elif len(self.results) > 5:
            del self.results[next(iter(self.results))]  # its other half got lost

    def publish(self, image, detections):
        shape = image.height, image.width
        ids = np.frombuffer(image.data, np.uint16).reshape(shape)
        moving = [int(entry.id) for entry in detections.detections
                  if entry.results[0].hypothesis.class_id in self.class_ids
                  and entry.results[0].hypothesis.score >= self.min_score]
        mask = np.where(np.isin(ids, moving), 255, 0).astype(np.uint8)
        self.mask.publish(Image(
            header=image.header, height=image.height, width=image.width,
            encoding='mono8', step=image.width, data=mask.tobytes()))


def main():
    """Run the node until Ctrl-C."""
    rclpy.init()
    rclpy.spin(MovingObjectsMask())


if __name__ == '__main__':
    main()
