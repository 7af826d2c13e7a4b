"""MCAP files, sound or damaged.

A walk over the headers of all records finds what is there; statistics and index, where the file
has them, only say what should be there and where to go on behind a damaged place. So a recording
that was killed, has no index or a wrong one, is read like any other.
"""
from __future__ import annotations

import struct
from collections import Counter
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Collection, Iterable, Iterator, NamedTuple
from zlib import crc32

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.reader import SeekingReader
from mcap.records import Channel, Schema
from mcap.summary import Summary

from instseg_ros.bags.compression import check_size, unpack_chunk, unpack_message
from instseg_ros.bags.merging import Part, in_time_order
from instseg_ros.bags.messages import cdr_from_ros1, convertible_from_ros1, type_name
from instseg_ros.bags.types import BagError, Damage, Limits, Message, Topic

MAGIC = b'\x89MCAP0\r\n'
RECORD = struct.Struct('<BQ')
"""Opcode and length, ahead of each record."""

MESSAGE = struct.Struct('<HIQQ')
"""Channel, sequence number, time of recording and of publication, ahead of each message."""

CHUNK = struct.Struct('<QQQII')
"""First and last time, uncompressed size, checksum, and length of the compression's name."""

NO_RECORDS = (0, Opcode.DATA_END, Opcode.FOOTER)
"""What is not found ahead of messages: 0 is no opcode."""

CHUNKS_IN_MEMORY = 8
"""Uncompressed chunks that are kept: more only overlap in files that are out of order."""


class Chunk(NamedTuple):
    """Where a chunk is in the file.

    Attributes
    ----------
    offset : int
        Of its record; the data begin at `data` and have `length` bytes in the file.
    cut : bool
        The file ends within it.
    """

    offset: int
    start: int
    end: int
    size: int
    crc: int
    compression: str
    data: int
    length: int
    cut: bool


class Entry(NamedTuple):
    """Where a message is: in the file, or in a chunk that is uncompressed."""

    time: int
    channel: int
    begin: int
    end: int
    chunk: Chunk | None


class McapFile:
    """An MCAP file; see `types.BagFile`.

    Raises
    ------
    BagError
        It is no MCAP file.
    """

    def __init__(self, path: Path, name: str, damage: Damage, limits: Limits) -> None:
        self._path, self._name, self._damage, self._limits = path, name, damage, limits
        self._size = path.stat().st_size
        self._channels: dict[int, Topic] = {}
        self._ros1: set[int] = set()
        self.foreign: list[Topic] = []
        self._schemas: dict[int, str] = {0: ''}
        self._chunks: list[Chunk] = []
        self._counted: dict[int, Counter[int]] = {}  # by the offset of the chunk, from its index
        self._loose: list[Entry] = []
        self._unpacked = lru_cache(CHUNKS_IN_MEMORY)(self._unpack)
        with path.open('rb') as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise BagError(f'{name}: expected an MCAP file, its first bytes are others')
            summary = self._read_summary(file)
            self._walk(file, summary)
        self._discover()
        self._count(summary)

    def _read_summary(self, file: BinaryIO) -> Summary | None:
        """Return what the end of the file says about the rest; nothing if it is missing."""
        file.seek(0)
        try:
            return SeekingReader(file, record_size_limit=self._size).get_summary()
        except Exception as error:  # of many types, as any byte may be wrong
            reason = str(error) or type(error).__name__
            self._damage.note(f'{self._name}: the index at the end cannot be read ({reason})')
            return None

    def _walk(self, file: BinaryIO, summary: Summary | None) -> None:
        """Find all chunks and all messages outside of chunks, by the headers of the records."""
        known = sorted(index.chunk_start_offset for index in summary.chunk_indexes
                       ) if summary else []
        position, at_end = len(MAGIC), False
        while position < self._size:
            file.seek(position)
            header = file.read(RECORD.size)
            opcode, length = RECORD.unpack(header) if len(header) == RECORD.size else (0, 0)
            end = position + RECORD.size + length
            following = next((offset for offset in known if offset > position), self._size)
            cut = opcode == Opcode.CHUNK and following == self._size < end
            at_end = opcode in (Opcode.DATA_END, Opcode.FOOTER) and following == self._size
            if at_end:
                break
            if opcode not in NO_RECORDS and (end <= self._size or cut):
                try:
                    self._take(file, opcode, position, length, cut)
                    position = end
                    continue
                except (BagError, McapError, ValueError, struct.error):
                    pass  # what ends here, or has impossible content, is no record
            self._damage.note(f'{self._name}: no record at byte {position}; '
                              f'{following - position} bytes are left out')
            position = following
        if not at_end:
            self._damage.note(f'{self._name}: the end is missing, as if the recording was killed')
        if summary:
            for channel in summary.channels.values():
                self._add_channel(channel, summary.schemas)

    def _take(self, file: BinaryIO, opcode: int, position: int, length: int, cut: bool) -> None:
        if opcode == Opcode.CHUNK:
            self._chunks.append(self._read_chunk_header(file, position, length, cut))
        elif opcode == Opcode.MESSAGE:
            channel, _, time, _ = MESSAGE.unpack(file.read(MESSAGE.size))
            begin = position + RECORD.size
            self._loose.append(Entry(time, channel, begin + MESSAGE.size, begin + length,
                                     None))
        elif opcode == Opcode.MESSAGE_INDEX:
            if self._chunks:
                channel, size = struct.unpack('<HI', file.read(6))
                counts = self._counted.setdefault(self._chunks[-1].offset, Counter())
                counts[channel] += size // 16
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            check_size('record', length, self._limits.chunk)
            self._take_definition(opcode, file.read(length))

    def _read_chunk_header(self, file: BinaryIO, position: int, length: int, cut: bool) -> Chunk:
        start, end, size, crc, letters = CHUNK.unpack(file.read(CHUNK.size))
        if letters > 16:
            raise BagError(f'a chunk whose compression has a name of {letters} letters')
        compression = file.read(letters).decode()
        announced, = struct.unpack('<Q', file.read(8))
        data = file.tell()
        there = max(0, min(position + RECORD.size + length, self._size) - data)
        return Chunk(position, start, end, size, crc, compression, data, min(announced, there),
                     cut)

    def _take_definition(self, opcode: int, data: bytes) -> None:
        stream = ReadDataStream(BytesIO(data))
        if opcode == Opcode.SCHEMA:
            schema = Schema.read(stream)
            self._schemas[schema.id] = schema.name
        else:
            self._add_channel(Channel.read(stream), {})

    def _add_channel(self, channel: Channel, schemas: dict[int, Schema]) -> None:
        schema = schemas.get(channel.schema_id)
        kind = schema.name if schema else self._schemas.get(channel.schema_id, '')
        topic = Topic(channel.topic, type_name(kind))
        is_ros1 = channel.message_encoding == 'ros1' and convertible_from_ros1(topic.type)
        if channel.message_encoding == 'cdr' or is_ros1:
            self._channels[channel.id] = topic
            if is_ros1:
                self._ros1.add(channel.id)
        elif all(known.name != topic.name for known in self.foreign):
            self.foreign.append(Topic(channel.topic,
                                      f'{kind or "no type"}, {channel.message_encoding}'))

    def _discover(self) -> None:
        """Look into those chunks that may be the first to use a channel."""
        for chunk in self._chunks:
            counted = self._counted.get(chunk.offset)
            if counted is None or not counted.keys() <= self._channels.keys():
                try:
                    entries = self._unpacked(chunk)[1]
                except BagError:
                    continue  # told when its messages are read
                self._counted[chunk.offset] = counted or Counter(e.channel for e in entries)

    def _count(self, summary: Summary | None) -> None:
        found = Counter(entry.channel for entry in self._loose)
        for counts in self._counted.values():
            found.update(counts)
        statistics = summary.statistics if summary else None
        announced = statistics.channel_message_counts if statistics else {}
        self.counts: dict[Topic, int] = dict.fromkeys(self._channels.values(), 0)
        for channel, topic in self._channels.items():
            self.counts[topic] += max(found[channel], announced.get(channel, 0))
        times = [entry.time for entry in self._loose]
        for chunk in self._chunks:
            if self._counted.get(chunk.offset, {0: 1}):  # a chunk without messages has any time
                times += chunk.start, chunk.end
        self.start, self.end = (min(times), max(times)) if times else (0, 0)

    def read(self, topics: Iterable[Topic], start: int, stop: int) -> Iterator[Message]:
        wanted = set(topics)
        channels = {number for number, topic in self._channels.items() if topic in wanted}
        loose = self._select(self._loose, channels, start, stop)
        parts = [Part(loose[0].time, partial(iter, loose))] if loose else []
        for chunk in self._chunks:
            counted = self._counted.get(chunk.offset)
            if (counted is None or counted.keys() & channels) \
                    and chunk.start < stop and start <= max(chunk.end, chunk.start):
                parts.append(Part(chunk.start, partial(self._read_chunk, chunk, channels, start,
                                                       stop)))
        for entry in in_time_order(parts):
            try:
                yield self._read_message(entry)
            except BagError as error:
                where = f'byte {entry.begin}' if entry.chunk is None else \
                    f'byte {entry.begin} of the chunk at byte {entry.chunk.offset}'
                self._damage.note(f'{self._name}: message at {where}: {error}')

    def _select(self, entries: Iterable[Entry], channels: Collection[int], start: int, stop: int
                ) -> list[Entry]:
        """Return the wanted entries by time, and those of equal times as in the file."""
        return sorted((entry for entry in entries
                       if entry.channel in channels and start <= entry.time < stop),
                      key=lambda entry: (entry.time, entry.begin))

    def _read_chunk(self, chunk: Chunk, channels: Collection[int], start: int, stop: int
                    ) -> Iterator[Entry]:
        """Return the wanted messages of a chunk; note which are missing."""
        where = f'{self._name}: chunk at byte {chunk.offset}'
        counted = self._counted.get(chunk.offset, Counter())
        promised = sum(counted[channel] for channel in channels)
        try:
            entries = self._unpacked(chunk)[1]
        except BagError as error:
            self._damage.note(f'{where}: {error}; its {promised or ""} messages are missing')
            return iter(())
        missing = promised - sum(entry.channel in channels for entry in entries)
        if missing > 0:
            self._damage.note(f'{where}: {missing} of {promised} messages are missing')
        return iter(self._select(entries, channels, start, stop))

    def _read_message(self, entry: Entry) -> Message:
        check_size('message', entry.end - entry.begin, self._limits.chunk)
        if entry.chunk is None:
            data = self._read_bytes(entry.begin, entry.end)
        else:
            data = self._unpacked(entry.chunk)[0][entry.begin:entry.end]
        topic = self._channels[entry.channel]
        data = unpack_message(data, self._limits.chunk)
        if entry.channel in self._ros1:
            data = cdr_from_ros1(data, topic.type)
        return Message(topic, entry.time, data)

    def _read_bytes(self, begin: int, end: int) -> bytes:
        # Opened each time: a recording may have more files than a process may have open.
        with self._path.open('rb') as file:
            file.seek(begin)
            return file.read(end - begin)

    def _unpack(self, chunk: Chunk) -> tuple[bytes, list[Entry]]:
        """Return a chunk uncompressed, and the messages in it; take the channels in it."""
        check_size('chunk', max(chunk.size, chunk.length), self._limits.chunk)
        data = unpack_chunk(self._read_bytes(chunk.data, chunk.data + chunk.length),
                            chunk.compression, chunk.size, partial=chunk.cut)
        if chunk.crc and not chunk.cut and crc32(data) != chunk.crc:
            raise BagError('wrong checksum')
        entries = []
        position = 0
        while position + RECORD.size <= len(data):
            opcode, length = RECORD.unpack_from(data, position)
            begin, end = position + RECORD.size, position + RECORD.size + length
            if not opcode or end > len(data):
                break
            if opcode == Opcode.MESSAGE and length >= MESSAGE.size:
                channel, _, time, _ = MESSAGE.unpack_from(data, begin)
                entries.append(Entry(time, channel, begin + MESSAGE.size, end, chunk))
            elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                try:
                    self._take_definition(opcode, data[begin:end])
                except Exception as error:  # of many types, as any byte may be wrong
                    raise BagError(f'a damaged definition ({error})') from error
            position = end
        if position < len(data) and not chunk.cut:
            self._damage.note(f'{self._name}: chunk at byte {chunk.offset}: no complete record '
                              f'at byte {position} of its {len(data)}')
        return data, entries
