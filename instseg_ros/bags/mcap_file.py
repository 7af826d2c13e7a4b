"""MCAP files, sound or damaged.

A walk over the headers of all records finds what is there; statistics and index, where the file
has them, only say what should be there and where to go on behind a damaged place. So a recording
that was killed, has no index or a wrong one, is read like any other.
"""
from __future__ import annotations

import struct
from bisect import bisect_right
from collections import Counter
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO, Collection, Iterable, Iterator

from mcap.exceptions import McapError
from mcap.opcode import Opcode

from instseg_ros.bags.compression import check_size, unpack_message
from instseg_ros.bags.mcap_channels import DEFINITIONS, Channels
from instseg_ros.bags.mcap_chunk import MESSAGE, RECORD, Chunk, Entry, read_header, unpack
from instseg_ros.bags.mcap_summary import MAGIC, Summary, read_summary
from instseg_ros.bags.merging import Part, in_time_order
from instseg_ros.bags.types import BagError, Damage, Message, Topic
from instseg_ros.limits import Limits

NO_RECORDS = (0, Opcode.DATA_END, Opcode.FOOTER)
"""What is not found ahead of messages: 0 is no opcode."""

CHUNKS_IN_MEMORY = 4
"""Uncompressed chunks that are kept: more only overlap in files that are out of order."""


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
        self._channels = Channels()
        self.foreign, self.definitions = self._channels.foreign, self._channels.definitions
        self.qos = self._channels.qos
        self._chunks: list[Chunk] = []
        self._counted: dict[int, Counter[int]] = {}  # by the offset of the chunk, from its index
        self._loose: list[Entry] = []
        self._unpacked = lru_cache(CHUNKS_IN_MEMORY)(self._unpack)
        with path.open('rb') as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise BagError(f'{name}: expected an MCAP file, its first bytes are others')
            summary = read_summary(file, self._size)
            self._walk(file, summary)
        self._channels.take_summary(summary)
        self._discover()
        self._count(summary)

    def _walk(self, file: BinaryIO, summary: Summary) -> None:
        """Find all chunks and all messages outside of chunks, by the headers of the records."""
        known = [*summary.chunks, self._size]
        position, at_end = len(MAGIC), False
        while position < self._size:
            file.seek(position)
            header = file.read(RECORD.size)
            opcode, length = RECORD.unpack(header) if len(header) == RECORD.size else (0, 0)
            end = position + RECORD.size + length
            following = min(known[bisect_right(known, position)], self._size)
            cut = opcode == Opcode.CHUNK and following == self._size < end
            at_end = opcode in (Opcode.DATA_END, Opcode.FOOTER) and following == self._size
            if at_end:
                break
            if opcode not in NO_RECORDS and (end <= self._size or cut):
                try:
                    self._take(file, opcode, position, end)
                    position = end
                    continue
                except (BagError, McapError, ValueError, struct.error):
                    pass  # what ends here, or has impossible content, is no record
            self._damage.note(f'{self._name}: no record at byte {position}; '
                              f'{following - position} bytes are left out')
            position = following
        if not at_end:
            self._damage.note(f'{self._name}: the end is missing, as if the recording was killed')
        elif summary.problem:
            self._damage.note(f'{self._name}: the index at the end cannot be read '
                              f'({summary.problem})')

    def _take(self, file: BinaryIO, opcode: int, position: int, end: int) -> None:
        """Take the record between two bytes of the file, which is read from its content on."""
        if opcode == Opcode.CHUNK:
            chunk = read_header(file, position, min(end, self._size), cut=end > self._size)
            self._chunks.append(chunk)
            if chunk.data + chunk.length < end and not chunk.cut:
                self._damage.note(f'{self._name}: chunk at byte {position}: {chunk.length} bytes '
                                  f'of data in a record of {end - position}')
        elif opcode == Opcode.MESSAGE:
            channel, _, time, _ = MESSAGE.unpack(file.read(MESSAGE.size))
            begin = position + RECORD.size + MESSAGE.size
            if begin > end:
                raise BagError('a message without room for its time')
            self._loose.append(Entry(time, channel, begin, end, None))
        elif opcode == Opcode.MESSAGE_INDEX:
            if self._chunks:
                channel, size = struct.unpack('<HI', file.read(6))
                counts = self._counted.setdefault(self._chunks[-1].offset, Counter())
                counts[channel] += size // 16
        elif opcode in DEFINITIONS:
            check_size('record', end - position, self._limits.chunk)
            self._channels.take(opcode, file.read(end - position - RECORD.size))

    def _discover(self) -> None:
        """Look into those chunks that may be the first to use a channel."""
        for chunk in self._chunks:
            counted = self._counted.get(chunk.offset)
            if counted is None or not counted.keys() <= self._channels.known:
                try:
                    entries = self._unpacked(chunk)[1]
                except BagError:
                    continue  # told when its messages are read
                self._counted[chunk.offset] = counted or Counter(e.channel for e in entries)

    def _count(self, summary: Summary) -> None:
        found = Counter(entry.channel for entry in self._loose)
        for counts in self._counted.values():
            found.update(counts)
        self.counts: dict[Topic, int] = dict.fromkeys(self._channels.topics.values(), 0)
        for channel, topic in self._channels.topics.items():
            self.counts[topic] += max(found[channel], summary.counts.get(channel, 0))
        times = [entry.time for entry in self._loose]
        for chunk in self._chunks:
            if self._counted.get(chunk.offset, {0: 1}):  # a chunk without messages has any time
                times += chunk.start, chunk.end
        self.start, self.end = (min(times), max(times)) if times else (0, 0)

    def read(self, topics: Iterable[Topic], start: int, stop: int) -> Iterator[Message]:
        wanted = set(topics)
        channels = {number for number, topic in self._channels.topics.items() if topic in wanted}
        loose = self._select(self._loose, channels, start, stop)
        parts = [Part(loose[0].time, partial(iter, loose))] if loose else []
        for chunk in self._chunks:
            counted = self._counted.get(chunk.offset)
            if (counted is None or counted.keys() & channels) \
                    and chunk.start < stop and start <= max(chunk.end, chunk.start):
                parts.append(Part(chunk.start, partial(self._read_chunk, chunk, channels, start,
                                                       stop)))
        try:
            for entry in in_time_order(parts):
                try:
                    yield self._read_message(entry)
                except BagError as error:
                    where = f'byte {entry.begin}' if entry.chunk is None else \
                        f'byte {entry.begin} of the chunk at byte {entry.chunk.offset}'
                    self._damage.note(f'{self._name}: message at {where}: {error}')
        finally:
            self._unpacked.cache_clear()

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
            self._damage.note(f'{where}: {error}; messages lost: {promised or "unknown"}')
            return iter(())
        missing = promised - sum(entry.channel in channels for entry in entries)
        if missing > 0:
            self._damage.note(f'{where}: {missing} of {promised} messages lost')
        if any(not chunk.start <= entry.time <= chunk.end for entry in entries):
            # Its header, which no checksum covers, decides when it is its turn.
            self._damage.note(f'{where}: its messages are of other times than its header says, '
                              'so they may be out of order')
        return iter(self._select(entries, channels, start, stop))

    def _read_message(self, entry: Entry) -> Message:
        check_size('message', entry.end - entry.begin, self._limits.chunk)
        if entry.chunk is None:
            data = self._read_bytes(entry.begin, entry.end)
        else:
            data = self._unpacked(entry.chunk)[0][entry.begin:entry.end]
        data = self._channels.to_cdr(entry.channel, unpack_message(data, self._limits.chunk))
        return Message(self._channels.topics[entry.channel], entry.time, data)

    def _read_bytes(self, begin: int, end: int) -> bytes:
        # Opened each time: a recording may have more files than a process may have open.
        with self._path.open('rb') as file:
            file.seek(begin)
            return file.read(end - begin)

    def _unpack(self, chunk: Chunk) -> tuple[bytes, list[Entry]]:
        """Return a chunk uncompressed, and the messages in it; take the channels in it."""
        check_size('chunk', max(chunk.size, chunk.length), self._limits.chunk)
        packed = self._read_bytes(chunk.data, chunk.data + chunk.length)
        data, entries, problem = unpack(chunk, packed, self._channels.take)
        if problem:
            self._damage.note(f'{self._name}: chunk at byte {chunk.offset}: {problem}')
        return data, entries
