"""ROS 1 bags: their messages as those of ROS 2."""
from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Iterable, Iterator

from rosbags.rosbag1 import Reader

from instseg_ros.bags.compression import unpack_ros1_chunk
from instseg_ros.bags.messages import cdr_from_ros1, convertible_from_ros1
from instseg_ros.bags.qos import LATCHED_TEXT
from instseg_ros.bags.types import BagError, Damage, Message, Topic
from instseg_ros.limits import Limits

MAGIC = b'#ROSBAG V2.0\n'


class Ros1File:
    """A `.bag` file; see `types.BagFile`. Topics of types that ROS 2 doesn't have are foreign.

    Raises
    ------
    BagError
        It is damaged, or has no index.
    """

    def __init__(self, path: Path, name: str, damage: Damage, limits: Limits) -> None:
        self._name, self._damage = name, damage
        self._path, self._limits = path, limits
        self.counts: dict[Topic, int] = {}
        self.foreign: list[Topic] = []
        self.qos: dict[Topic, str] = {}
        self.definitions: dict[str, str] = {}  # those of ROS 1 are not those of its messages here
        with closing(self._open()) as reader:
            for connection in reader.connections:
                topic = Topic(connection.topic, connection.msgtype)
                if convertible_from_ros1(topic.type):
                    self.counts[topic] = self.counts.get(topic, 0) + connection.msgcount
                    if getattr(connection.ext, 'latching', 0):
                        self.qos[topic] = LATCHED_TEXT
                else:
                    self.foreign.append(Topic(topic.name, f'{topic.type}, ros1'))
            self._compare_counts(reader)
            has_messages = any(self.counts.values())
            self.start = reader.start_time if has_messages else 0
            self.end = reader.end_time - 1 if has_messages else 0

    def _compare_counts(self, reader: Reader) -> None:
        """Note how many messages the index of the chunks has beyond those of known connections."""
        promised = sum(sum(info.connection_counts.values()) for info in reader.chunk_infos)
        found = sum(connection.msgcount for connection in reader.connections)
        if promised > found:
            self._damage.note(f'{self._name}: {promised - found} of {promised} messages belong to '
                              'no connection that is known')

    def _open(self) -> Reader:
        reader = Reader(self._path)
        try:
            reader.open()
        except Exception as error:  # of many types: a damaged file may have any size or offset
            raise BagError(f'{self._name}: expected a sound ROS 1 bag with an index, got {error}; '
                           '"rosbag reindex" of ROS 1 may repair it') from error
        reader.chunks = {
            offset: chunk._replace(decompressor=partial(unpack_ros1_chunk, chunk.decompressor,
                                                        limit=self._limits.chunk))
            for offset, chunk in reader.chunks.items()}
        return reader

    def read(self, topics: Iterable[Topic], start: int, stop: int) -> Iterator[Message]:
        wanted = set(topics)
        with closing(self._open()) as reader:
            connections = [connection for connection in reader.connections
                           if Topic(connection.topic, connection.msgtype) in wanted]
            if connections:
                yield from self._convert(reader.messages(connections, start, stop))

    def _convert(self, messages: Iterator[tuple[Any, int, bytes]]) -> Iterator[Message]:
        while True:
            try:
                connection, time, data = next(messages)
                topic = Topic(connection.topic, connection.msgtype)
            except StopIteration:
                return
            except Exception as error:  # as in the constructor
                self._damage.note(f'{self._name}: the rest cannot be read ({error})')
                return
            try:
                yield Message(topic, time, cdr_from_ros1(data, topic.type))
            except BagError as error:
                self._damage.note(f'{self._name}: message at {time} ns: {error}')
