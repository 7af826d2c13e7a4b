"""A camera with depth beside the real node, and its depth images."""
import numpy as np
from node_tools import ros_image

SIZE = 120, 160
NEAR, FAR = 2.0, 4.0
FOCAL, CENTER = 200.0, (79.5, 59.5)
FRAME = 'front_camera'


class Rig:
    """A camera with depth, and what is received from the node."""

    def __init__(self, graph, model, prefix='', listens=True, **parameters):
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2
        from vision_msgs.msg import Detection3DArray
        self.graph, self.prefix = graph, prefix
        graph.start('configure', 'activate', model=str(model), image_reliability='reliable',
                    depth__enabled=True, depth__wait=0.5, **parameters)
        self.color = graph.camera(topic=f'/{prefix}image')
        self.depth = graph.camera(topic=f'/{prefix}depth')
        self.info = graph.observer.create_publisher(CameraInfo, f'/{prefix}camera_info',
                                                    QoSProfile(depth=5))
        graph.spin_until(lambda: self.info.get_subscription_count() > 0, 'camera_info')
        name = f'/segmenter/{prefix}'
        if listens:
            self.objects = graph.listen(Detection3DArray, f'{name}detections_3d')
            self.points = graph.listen(PointCloud2, f'{name}points')
        self.flat = graph.listen(Image, f'{name}instance_image')

    def calibrate(self, **fields):
        from sensor_msgs.msg import CameraInfo
        matrix = [FOCAL, 0.0, CENTER[0], 0.0, 0.0, FOCAL, CENTER[1], 0.0, 0.0, 0.0, 1.0, 0.0]
        self.info.publish(CameraInfo(**{'height': SIZE[0], 'width': SIZE[1], 'p': matrix,
                                        **fields}))
        camera = self.graph.node._cameras[0]
        self.graph.spin_until(lambda: camera.depth._camera_info is not None, 'calibration')

    def send(self, message, depth, *, encoding='16UC1', delay=0, frame_id=FRAME):
        """Publish an image and, unless it is None, its depth image, `delay` ns later by stamp."""
        from copy import deepcopy

        if depth is not None:
            header = deepcopy(message.header)
            header.stamp.nanosec += delay
            header.frame_id = frame_id
            self.depth.publish(ros_image(header, depth, encoding))
        count = len(self.flat)
        self.color.publish(message)
        self.graph.spin_until(lambda: len(self.flat) > count, 'results in the image')

    def wait(self):
        """Return the next results in space."""
        self.graph.spin_until(lambda: self.objects and self.points, 'results in space')
        return self.objects.pop(0), self.points.pop(0)


def depth_image(ids, unit=1000, dtype=np.uint16):
    """Return the depth of two objects in front of a wall, without depth in a corner."""
    depth = np.full(SIZE, 8.0)
    depth[ids == 1], depth[ids == 2] = NEAR, FAR
    depth[:10, :10] = 0
    return (depth * unit).astype(dtype)
