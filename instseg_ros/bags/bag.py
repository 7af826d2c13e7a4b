"""One rosbag2 file (MCAP): write it, read it.

A bag is written as a single `.mcap` file, which is enough for `ros2 bag play`, `ros2 bag info` and
Foxglove. Folders with a `metadata.yaml` are read as well.
"""
from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Iterator

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from instseg_ros.bags.messages import typestore
from instseg_ros.files import unfinished_folder

FOREVER = QosTime(9223372036, 854775807)
"""What rosbag2 writes for an infinite duration."""

LATCHED = Qos(history=QosHistory.KEEP_LAST, depth=1, reliability=QosReliability.RELIABLE,
              durability=QosDurability.TRANSIENT_LOCAL, deadline=FOREVER, lifespan=FOREVER,
              liveliness=QosLiveliness.AUTOMATIC, liveliness_lease_duration=FOREVER,
              avoid_ros_namespace_conventions=False)
"""A profile for playback in which later subscribers still receive the last message."""


class BagError(ValueError):
    """A file is not a bag, is damaged, or lacks the requested topic."""


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


class BagReader:
    """A bag to read; use it as a context manager.

    Attributes
    ----------
    path : Path
    topics : dict of str to str
        Message type of each topic.
    counts : dict of str to int
        Number of messages on each topic.

    Raises
    ------
    OSError
        There is no such file, or it may not be read.
    BagError
        It is not a bag, or it is damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f'{path}: no such file or folder')
        try:
            self._reader = Reader(self.path)
            self._reader.open()
        except PermissionError:
            raise PermissionError(f'{path}: no permission to read this bag') from None
        except Exception as error:  # of many types: a damaged file may have any size or offset
            raise self._damaged(error) from error
        self.topics = {connection.topic: connection.msgtype
                       for connection in self._reader.connections}
        self.counts = {topic: info.msgcount for topic, info in self._reader.topics.items()}

    def _damaged(self, error: Exception) -> BagError:
        return BagError(f'{self.path}: expected a rosbag2 file or folder, got something else, or '
                        f'it is damaged ({str(error) or type(error).__name__})')

    def topic_of_type(self, message_type: str, topic: str = '') -> str:
        """Return the topic to read: `topic`, or the only one that has the type.

        Raises
        ------
        BagError
            There is none or, without `topic`, more than one.
        """
        matching = [name for name, kind in self.topics.items() if kind == message_type]
        if topic in matching or (len(matching) == 1 and not topic):
            return topic or matching[0]
        wanted = f'a topic {topic}' if topic else 'one topic'
        raise BagError(f'{self.path}: expected {wanted} of type {message_type}, got '
                       f'{", ".join(matching) or "none"}')

    def read(self, topics: list[str]) -> Iterator[tuple[str, int, bytes]]:
        """Yield topic, time in nanoseconds and serialized message, in the order of the times."""
        connections = [connection for connection in self._reader.connections
                       if connection.topic in topics]
        messages = self._reader.messages(connections) if connections else iter(())
        while True:
            try:
                connection, stamp, data = next(messages)
            except StopIteration:
                return
            except Exception as error:  # as in the constructor
                raise self._damaged(error) from error
            yield connection.topic, stamp, data

    def parse(self, topic: str, data: bytes) -> Any:
        """Return a message of a topic.

        Raises
        ------
        BagError
            Its bytes are no such message.
        """
        try:
            return typestore().deserialize_cdr(data, self.topics[topic])
        except Exception as error:  # as in the constructor
            raise self._damaged(error) from error

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._reader.close()
