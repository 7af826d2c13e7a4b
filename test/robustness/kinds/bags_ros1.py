"""Damaged bags of ROS 1, which have neither checksums nor metadata beside them."""
import numpy as np
from bag_files import COUNT, check_bag, sound_bytes
from mutations import byte_steps, damaged
from recordings import CAMERA, SECOND
from rosbags.rosbag1 import Writer

from instseg_ros.bags.messages import IMAGE, ros1_typestore


def steps(rng):
    return byte_steps(rng)


def write_sound(path):
    store = ros1_typestore()
    types = store.types
    with Writer(path) as writer:
        connection = writer.add_connection(CAMERA, IMAGE, typestore=store)
        for number in range(COUNT):
            header = types['std_msgs/msg/Header'](
                seq=number, frame_id='camera',
                stamp=types['builtin_interfaces/msg/Time'](sec=number, nanosec=0))
            image = types[IMAGE](header=header, height=6, width=8, encoding='mono8', step=8,
                                 is_bigendian=0, data=np.full(48, number, np.uint8))
            writer.write(connection, number * SECOND, store.serialize_ros1(image, IMAGE))


def write(steps, folder):
    path = folder / 'a.bag'
    path.write_bytes(damaged(sound_bytes(write_sound), steps))
    return path


def check(path):
    check_bag(path, exact=False)
