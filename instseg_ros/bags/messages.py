"""The message types of the bags, and the stamp of a serialized message without parsing it.

The `rosbags` library doesn't include `vision_msgs`. The definitions here give the
same type hashes as version 4.2.0 of that package, so that recorded messages play in any ROS 2.
"""
from __future__ import annotations

import struct
from functools import cache
from typing import Any

import numpy as np
from rosbags.convert.converter import migrate_bytes
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from instseg_ros.bags.types import BagError
from instseg_ros.messages.types import COMPRESSED_IMAGE, DETECTIONS, IMAGE, LABEL_INFO

__all__ = ['COMPRESSED_IMAGE', 'DETECTIONS', 'IMAGE', 'LABEL_INFO']

VISION_MSGS = {
    'Point2D': 'float64 x\nfloat64 y',
    'Pose2D': 'vision_msgs/Point2D position\nfloat64 theta',
    'BoundingBox2D': 'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y',
    'ObjectHypothesis': 'string class_id\nfloat64 score',
    'ObjectHypothesisWithPose': 'vision_msgs/ObjectHypothesis hypothesis\n'
                                'geometry_msgs/PoseWithCovariance pose',
    'Detection2D': 'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
                   'vision_msgs/BoundingBox2D bbox\nstring id',
    'Detection2DArray': 'std_msgs/Header header\nvision_msgs/Detection2D[] detections',
    'VisionClass': 'uint16 class_id\nstring class_name',
    'LabelInfo': 'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold',
}
"""Definition of every message of vision_msgs that is used, by name."""

NANOSECONDS = 10 ** 9


@cache
def typestore() -> Any:
    """Return the `rosbags` typestore of ROS 2 Kilted with `vision_msgs`."""
    store = get_typestore(Stores.ROS2_KILTED)
    for name, definition in VISION_MSGS.items():
        store.register(get_types_from_msg(definition, f'vision_msgs/msg/{name}'))
    return store


class BagMessageTypes:
    """The classes of messages of the typestore, see `instseg_ros.messages.types.MessageTypes`."""

    def __getitem__(self, name: str) -> Any:
        return typestore().types[name]

    def octets(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(-1).view(np.uint8)


MESSAGE_TYPES = BagMessageTypes()


@cache
def ros1_typestore() -> Any:
    """Return the `rosbags` typestore of ROS 1 Noetic."""
    return get_typestore(Stores.ROS1_NOETIC)


def type_name(name: str) -> str:
    """Return the name of a type as in ROS 2: `sensor_msgs/Image` is `sensor_msgs/msg/Image`."""
    package, slash, rest = name.partition('/')
    return f'{package}/msg/{rest}' if slash and '/' not in rest else name


def convertible_from_ros1(message_type: str) -> bool:
    """Return whether messages of a type can be converted by `cdr_from_ros1`."""
    return all(message_type in store.fielddefs for store in (ros1_typestore(), typestore()))


def cdr_from_ros1(data: bytes, message_type: str) -> bytes:
    """Return a message that ROS 1 serialized as one of ROS 2.

    Raises
    ------
    BagError
        Its bytes are no such message.
    """
    try:
        return bytes(migrate_bytes(ros1_typestore(), typestore(), message_type, message_type, {},
                                   data, src_is2=False, dst_is2=True))
    except Exception as error:  # of many types: damaged bytes may have any size or offset
        raise BagError(f'no {message_type} of ROS 1 ({error})') from error


def stamp_of(data: bytes | memoryview) -> int:
    """Return the header stamp of a serialized message, in nanoseconds.

    Parameters
    ----------
    data : bytes
        CDR of any message whose first field is a `std_msgs/Header`: four bytes that name the
        encoding, then seconds (int32) and nanoseconds (uint32).

    Raises
    ------
    ValueError
        It is shorter than that.
    """
    if len(data) < 12:
        raise ValueError(f'expected a serialized message with a header, got {len(data)} bytes')
    order = '<' if data[1] & 1 else '>'
    seconds, nanoseconds = struct.unpack_from(f'{order}iI', data, 4)
    return seconds * NANOSECONDS + nanoseconds


def make_header(stamp: int, frame_id: str) -> Any:
    """Return a `std_msgs/Header` of the typestore; `stamp` is in nanoseconds."""
    types = typestore().types
    seconds, nanoseconds = divmod(stamp, NANOSECONDS)
    return types['std_msgs/msg/Header'](
        stamp=types['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds),
        frame_id=frame_id)
