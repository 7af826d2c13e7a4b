"""The messages of rclpy, by the names of their types."""
from __future__ import annotations

import array
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np


@cache
def message_type(name: str) -> Any:
    """Return the class of a type, for example of 'sensor_msgs/msg/Image'."""
    package, kind, message = name.split('/')
    return getattr(import_module(f'{package}.{kind}'), message)


class RclpyMessageTypes:
    """All message types, see `instseg_ros.messages.types.MessageTypes`."""

    def __getitem__(self, name: str) -> Any:
        return message_type(name)

    def octets(self, pixels: np.ndarray) -> array.array:
        # The setter takes an array of bytes as it is; anything else it checks byte by byte.
        data = array.array('B')
        data.frombytes(pixels.data.cast('B'))
        return data


MESSAGE_TYPES = RclpyMessageTypes()
