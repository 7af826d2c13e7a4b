"""Message types by name, of rclpy or of the library that reads and writes bags."""
from __future__ import annotations

from typing import Any, Protocol

import numpy as np

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
LABEL_INFO = 'vision_msgs/msg/LabelInfo'


class MessageTypes(Protocol):
    """The classes of messages of one library."""

    def __getitem__(self, name: str) -> Any:
        """Return the class of a type, for example of 'sensor_msgs/msg/Image'."""

    def octets(self, array: np.ndarray) -> Any:
        """Return the bytes of a contiguous array in the form that fields uint8[] take."""
