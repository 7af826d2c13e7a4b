"""A new rosbag2 file (MCAP).

A bag is written as a single `.mcap` file, which is enough for `ros2 bag play`, `ros2 bag info` and
Foxglove.
"""
from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Sequence

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from instseg_ros.bags.messages import typestore
from instseg_ros.files import unfinished_folder

NO_HASH = 'INVALID'
"""Stands for the hash of a type whose definition is not ours; only `metadata.yaml` has it."""


class BagFolder:
    """A new rosbag2 folder with one MCAP file; use it as a context manager.

    The folder is a complete bag after an exception, too, with all messages up to there. A process
    that is killed leaves a file without its index, of which `BagReader` reads all but the last
    messages. Chunks are compressed with Zstandard, which shrinks label images by far more than a
    hundred times.

    Parameters
    ----------
    path : path
        The folder; must not exist.

    Attributes
    ----------
    file : Path
        The MCAP file, which can be moved away after the end.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.file = self.path / f'{self.path.name}.mcap'
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagFolder:
        self._writer = Writer(self.path, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        return self

    def add_topic(self, topic: str, message_type: str, *, qos: Sequence[Qos] = (),
                  definition: str = '') -> None:
        """Declare a topic, before its first message.

        Parameters
        ----------
        topic, message_type : str
        qos : sequence of Qos
            Profiles of its publishers, one of which a playback offers.
        definition : str
            Of the type, in the MSG or IDL language; empty for the one in `messages.typestore`.
        """
        self._connections[topic] = self._writer.add_connection(
            topic, message_type, typestore=typestore(), msgdef=definition or None,
            rihs01=NO_HASH if definition else None,
            offered_qos_profiles=qos)

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
            self._writer.close()
        except BaseException:
            self._writer.abort()
            if kind is None:  # else the first exception says more
                raise


class BagWriter(BagFolder):
    """A new bag of one file; use it as a context manager.

    The file appears under its name only when it is complete; after an exception there is none.

    Parameters
    ----------
    path : path
        Ends in .mcap. An existing file is replaced; missing parent folders are made.
    """

    def __init__(self, path: Path | str) -> None:
        self._final = Path(path)

    def __enter__(self) -> BagWriter:
        self._unfinished = unfinished_folder(self._final.parent)
        super().__init__(self._unfinished.__enter__() / 'bag')
        super().__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            super().__exit__(kind, error, trace)
            if kind is None:
                os.replace(self.file, self._final)
        finally:
            self._unfinished.__exit__(kind, error, trace)
