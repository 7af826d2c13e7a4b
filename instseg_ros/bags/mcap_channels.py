"""The channels of an MCAP file: which topics they are, and which are left alone."""
from __future__ import annotations

from io import BytesIO
from typing import Mapping

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Schema

from instseg_ros.bags.mcap_summary import Summary
from instseg_ros.bags.messages import cdr_from_ros1, convertible_from_ros1, type_name
from instseg_ros.bags.qos import KEY
from instseg_ros.bags.types import Topic

DEFINITIONS = (Opcode.SCHEMA, Opcode.CHANNEL)

ROS2_LANGUAGES = ('ros2msg', 'ros2idl')
"""Encodings of schemas."""


class Channels:
    """What the records of schemas and channels say, wherever in the file they are found.

    Attributes
    ----------
    topics : dict of int to Topic
        Topic of each channel whose messages are CDR, or of ROS 1 and can be made to be.
    foreign : list of Topic
        The other channels, with type and encoding.
    known : set of int
        All channels.
    definitions : dict of str to str
        Of types of ROS 2, in the MSG or IDL language, by name.
    qos : dict of Topic to str
        See `instseg_ros.bags.qos`.
    """

    def __init__(self) -> None:
        self.topics: dict[int, Topic] = {}
        self.foreign: list[Topic] = []
        self.known: set[int] = set()
        self.definitions: dict[str, str] = {}
        self.qos: dict[Topic, str] = {}
        self._ros1: set[int] = set()
        self._schemas: dict[int, str] = {}

    def take(self, opcode: int, data: bytes) -> None:
        """Take the record of a schema or channel."""
        stream = ReadDataStream(BytesIO(data))
        if opcode == Opcode.SCHEMA:
            schema = Schema.read(stream)
            self._schemas[schema.id] = schema.name
            self._define(schema)
        else:
            self._add(Channel.read(stream), self._schemas)

    def take_summary(self, summary: Summary) -> None:
        """Take the repetition of all records at the end of a file."""
        for schema in summary.schemas.values():
            self._define(schema)
        for channel in summary.channels:
            self._add(channel, {number: schema.name for number, schema in summary.schemas.items()})

    def _define(self, schema: Schema) -> None:
        if schema.encoding in ROS2_LANGUAGES and schema.data:
            self.definitions[type_name(schema.name)] = schema.data.decode('utf-8', 'replace')

    def _add(self, channel: Channel, schemas: Mapping[int, str]) -> None:
        self.known.add(channel.id)
        kind = type_name(schemas.get(channel.schema_id, ''))
        topic = Topic(channel.topic, kind)
        is_ros1 = channel.message_encoding == 'ros1' and convertible_from_ros1(kind)
        if channel.message_encoding == 'cdr' or is_ros1:
            self.topics[channel.id] = topic
            self.qos[topic] = channel.metadata.get(KEY, '')
            if is_ros1:
                self._ros1.add(channel.id)
        else:
            topic = Topic(channel.topic, f'{kind or "no type"}, {channel.message_encoding}')
            if topic not in self.foreign:
                self.foreign.append(topic)

    def to_cdr(self, channel: int, data: bytes) -> bytes:
        """Return a message of a channel as ROS 2 serializes it.

        Raises
        ------
        BagError
            Its bytes are no such message.
        """
        return cdr_from_ros1(data, self.topics[channel].type) if channel in self._ros1 else data
