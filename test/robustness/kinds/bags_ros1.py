"""Damaged bags of ROS 1, which have neither checksums nor metadata beside them."""
from bag_files import COUNT, check_bag
from mutations import byte_steps, damaged
from recordings import CAMERA, SECOND
from rosbags.rosbag1 import Writer

from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import IMAGE, ros1_typestore


def steps(rng):
    return byte_steps(rng)


def write(steps, folder):
    import numpy as np
    path = folder / 'a.bag'
    store = ros1_typestore()
    with Writer(path) as writer:
        connection = writer.add_connection(CAMERA, IMAGE, typestore=store)
        for number in range(COUNT):
            image = make_image(np.full((6, 8), number, np.uint8), number * SECOND, 'camera')
            header = store.types['std_msgs/msg/Header'](
                seq=0, stamp=image.header.stamp, frame_id='camera')
            image = store.types[IMAGE](header, *(getattr(image, name) for name in (
                'height', 'width', 'encoding', 'is_bigendian', 'step', 'data')))
            writer.write(connection, number * SECOND, store.serialize_ros1(image, IMAGE))
    path.write_bytes(damaged(path.read_bytes(), steps))
    return path


def check(path):
    check_bag(path, exact=False)
