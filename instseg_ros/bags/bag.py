"""A new rosbag2 file (MCAP).

A bag is written as a single `.mcap` file, which is enough for `ros2 bag play`, `ros2 bag info` and
Foxglove.
"""
from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from instseg_ros.bags.messages import typestore
from instseg_ros.files import unfinished_folder

FOREVER = QosTime(9223372036, 854775807)
"""What rosbag2 writes for an infinite duration."""

LATCHED = Qos(history=QosHistory.KEEP_LAST, depth=1, reliability=QosReliability.RELIABLE,
              durability=QosDurability.TRANSIENT_LOCAL, deadline=FOREVER, lifespan=FOREVER,
              liveliness=QosLiveliness.AUTOMATIC, liveliness_lease_duration=FOREVER,
              avoid_ros_namespace_conventions=False)
"""A profile for playback in which later subscribers still receive the last message."""


class BagWriter:
    """A new bag; use it as a context manager.

    The file appears under its name only when it is complete; after an exception there is none. Its
    chunks are
    compressed with Zstandard, which shrinks label images by far more than a hundred times.

    Parameters
    ----------
    path : path
        Ends in .mcap. An existing file is replaced; missing parent folders are made.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        self._unfinished = unfinished_folder(self.path.parent)
        self._bag = self._unfinished.__enter__() / 'bag'
        self._writer = Writer(self._bag, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        return self

    def add_topic(self, topic: str, message_type: str, *, latched: bool = False) -> None:
        """Declare a topic, before its first message.

        `latched`: in a playback, later subscribers still receive its last message.
        """
        self._connections[topic] = self._writer.add_connection(
            topic, message_type, typestore=typestore(),
            offered_qos_profiles=[LATCHED] if latched else [])

    def write(self, topic: str, stamp: int, data: bytes | memoryview) -> None:
        """Append a serialized (CDR) message to a declared topic; `stamp` is in nanoseconds."""
        self._writer.write(self._connections[topic], stamp, data)

    def write_message(self, topic: str, stamp: int, message: Any) -> None:
        """Serialize and append a message made from the types of `messages.typestore`."""
        data = typestore().serialize_cdr(message, self._connections[topic].msgtype)
        self.write(topic, stamp, data)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._writer.close()
                os.replace(self._bag / 'bag.mcap', self.path)
            else:
                self._writer.abort()
        finally:
            self._unfinished.__exit__(kind, error, trace)
