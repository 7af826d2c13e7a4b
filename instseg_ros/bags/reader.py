"""Any recording, read without ROS: one file, or a folder with the parts of one.

What `ros2 bag record` and other recorders write: MCAP and SQLite3, compressed in any way, split,
without or with a wrong `metadata.yaml`, killed while recording; and bags of ROS 1. What was read
is compared with what file and metadata promise.
"""
from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Iterable, Iterator

from instseg_ros.bags import mcap_file, mcap_summary, ros1_file, sqlite_file
from instseg_ros.bags.compression import ZSTD_MAGIC, unpack_file
from instseg_ros.bags.merging import Part, in_time_order
from instseg_ros.bags.messages import COMPRESSED_IMAGE, IMAGE, typestore
from instseg_ros.bags.metadata import NAME, Metadata, read_metadata
from instseg_ros.bags.outputs import is_output
from instseg_ros.bags.qos import NO_PROFILES
from instseg_ros.bags.types import BagError, BagFile, Damage, Message, Topic
from instseg_ros.limits import Limits

FORMATS: dict[bytes, Callable[[Path, str, Damage, Limits], BagFile]] = {
    mcap_summary.MAGIC: mcap_file.McapFile, sqlite_file.MAGIC: sqlite_file.SqliteFile,
    ros1_file.MAGIC: ros1_file.Ros1File}
"""The reader of each format, by the first bytes of its files."""

SUFFIXES = ('.mcap', '.db3', '.bag', '.zstd', '.zst', '.active')
"""Files in a folder that belong to the recording; metadata may name others."""

END = 2 ** 64
"""Later than any time, in nanoseconds."""


class BagReader:
    """A recording to read; use it as a context manager.

    Parameters
    ----------
    path : path
        A file, or a folder that holds all files of one recording.
    limits : Limits

    Attributes
    ----------
    path : Path
    topics : tuple of Topic
        By name; two types on one name are two topics.
    counts : dict of Topic to int
        Number of messages that file and metadata promise.
    foreign : tuple of Topic
        Channels that are not messages of ROS (protobuf, JSON), which are ignored.
    definitions : dict of str to str
        Definition of each type, in the MSG or IDL language, as far as the recording has them.
    qos : dict of Topic to str
        Quality of service, see `instseg_ros.bags.qos`, as far as the recording has it.
    start, end : int
        Times of the first and the last message, in nanoseconds; 0 if there is none.
    damage : list of str
        What is missing, a sentence each; complete when all messages are read.
    remarks : list of str
        What is wrong with the recording but costs no message.
    missing : int
        Number of promised messages that `read` didn't find, of those reads that ran to their end.

    Raises
    ------
    OSError
        There is no such file, or it may not be read.
    BagError
        It is no recording, or so damaged that not even its topics are known.
    """

    def __init__(self, path: Path | str, limits: Limits = Limits()) -> None:
        self.path = Path(path)
        self._limits, self._damage = limits, Damage()
        self.damage = self._damage.notes
        self.remarks: list[str] = []
        self.missing = 0
        if not self.path.exists():
            raise FileNotFoundError(f'{path}: no such file or folder')
        self._folder = tempfile.TemporaryDirectory(prefix='instseg_bag_')
        try:
            self._files, metadata = self._open_folder() if self.path.is_dir() else (
                [self._open_file(self.path)], Metadata())
        except PermissionError:
            self._folder.cleanup()
            raise PermissionError(f'{path}: no permission to read this bag') from None
        except BaseException:
            self._folder.cleanup()
            raise
        found: Counter[Topic] = Counter()
        for file in self._files:
            found.update(file.counts)
        self.counts = {topic: max(found[topic], metadata.counts.get(topic, 0))
                       for topic in sorted(found.keys() | metadata.counts.keys())}
        self.topics = tuple(self.counts)
        self.foreign = tuple(sorted({topic for file in self._files for topic in file.foreign}))
        self.definitions: dict[str, str] = {}
        self.qos = metadata.qos
        for file in self._files:
            self.definitions.update(file.definitions)
            self.qos.update({topic: profiles for topic, profiles in file.qos.items()
                             if profiles not in NO_PROFILES})
        filled = [file for file in self._files if any(file.counts.values())]
        self.start = min((file.start for file in filled), default=0)
        self.end = max((file.end for file in filled), default=0)

    def _open_folder(self) -> tuple[list[BagFile], Metadata]:
        """Return all files of a recording, and its metadata."""
        metadata = read_metadata(self.path)
        if metadata.problem:
            self.remarks.append(f'{self.path}: {metadata.problem}')
        there = sorted(path.name for path in self.path.iterdir()
                       if path.suffix in SUFFIXES or path.name in metadata.files)
        # Compression deletes the file that it was made from last.
        there = [name for name in there
                 if uncompressed(name) == name or uncompressed(name) not in there]
        listed, found = set(map(uncompressed, metadata.files)), set(map(uncompressed, there))
        for name in sorted(listed - found):
            self._damage.note(f'{self.path / name}: no such file, but {NAME} lists it')
        if listed and (others := found - listed):
            self.remarks.append(f'{self.path}: {NAME} does not list {", ".join(sorted(others))}; '
                                'read as well')
        files, problems = [], []
        for name in there:
            try:
                files.append(self._open_file(self.path / name))
            except BagError as error:
                problems.append(str(error))
        if not files:
            raise BagError('; '.join(problems) or f'{self.path}: expected a bag file or the '
                           'folder of a recording, got a folder without any bag file')
        for problem in problems:
            self._damage.note(problem)
        return files, metadata

    def _open_file(self, path: Path) -> BagFile:
        if not path.is_file():
            raise BagError(f'{path}: expected a bag file, got something that is no file')
        source = path
        if read_start(path).startswith(ZSTD_MAGIC):
            source = Path(self._folder.name) / path.stem
            if problem := unpack_file(path, source, self._limits.file):
                self._damage.note(f'{path}: {problem}')
        first = read_start(source)
        if first.startswith(sqlite_file.MAGIC):
            source = self._whole(path, source)
        for magic, kind in FORMATS.items():
            if first.startswith(magic):
                return kind(source, str(path), self._damage, self._limits)
        got = 'an empty file' if not first else f'a file that begins with {first!r}'
        raise BagError(f'{path}: expected a bag file or the folder of a recording, got {got}')

    def _whole(self, path: Path, source: Path) -> Path:
        """Return an SQLite3 file, or, as SQLite refuses one without its end, a longer copy."""
        size, announced = source.stat().st_size, sqlite_file.announced_size(source)
        if not size < announced <= self._limits.file:
            return source
        self._damage.note(f'{path}: expected {announced} bytes, got {size}: the end is missing')
        copy = Path(self._folder.name) / path.name
        if copy != source:
            shutil.copyfile(source, copy)
        with copy.open('r+b') as file:
            file.truncate(announced)
        return copy

    def topic_of_type(self, message_type: str, name: str = '') -> Topic:
        """Return the topic to read: the one called `name`, or the only one that has the type.

        Raises
        ------
        BagError
            There is none or, without `name`, more than one.
        """
        matching = [topic for topic in self.topics
                    if topic.type == message_type and name in ('', topic.name)]
        if len(matching) == 1:
            return matching[0]
        wanted = f'a topic {name}' if name else 'one topic'
        got = [topic.name for topic in self.topics if topic.type == message_type]
        raise BagError(f'{self.path}: expected {wanted} of type {message_type}, got '
                       f'{", ".join(got) or "none"}')

    def image_topics(self, names: Iterable[str] = ()) -> list[Topic]:
        """Return the topics of images, raw and compressed: those called `names`, or all.

        Raises
        ------
        BagError
            There are none, or a name is none of them or an output of the node. The text lists
            all topics.
        """
        names, every = list(names), {topic.name for topic in self.topics}
        images = [topic for topic in self.topics if topic.type in (IMAGE, COMPRESSED_IMAGE)]
        there = ', '.join(map(str, (*self.topics, *self.foreign))) or 'no topic at all'
        for name in names:
            if is_output(name, every):
                raise BagError(f'{self.path}: {name} is an output of the node; expected a topic '
                               'of camera images')
            if all(topic.name != name for topic in images):
                raise BagError(f'{self.path}: expected a topic {name} of images, got {there}')
        wanted = set(names)
        found = [topic for topic in images
                 if topic.name in wanted or not (wanted or is_output(topic.name, every))]
        if not found:
            raise BagError(f'{self.path}: expected a topic of camera images, of type {IMAGE} or '
                           f'{COMPRESSED_IMAGE}, got {there}')
        return found

    def read(self, topics: Iterable[Topic], start: int = 0, stop: int = END) -> Iterator[Message]:
        """Yield the messages of some topics with start <= time < stop, by time.

        Memory doesn't grow with the length of the recording, but for an index of the messages in
        files without chunks (200 bytes each) and in SQLite3 (24 bytes). At the end, `damage` and
        `missing` are complete.
        """
        topics = list(dict.fromkeys(topics))
        read: Counter[Topic] = Counter()
        parts = [Part(file.start, partial(file.read, topics, start, stop))
                 for file in self._files]
        for message in in_time_order(parts):
            read[message.topic] += 1
            yield message
        # A damaged time can be negative, before which nobody asks for messages.
        if start <= max(self.start, 0) and self.end < stop:
            for topic in topics:
                missing = self.counts.get(topic, 0) - read[topic]
                if missing > 0:
                    self.missing += missing
                    self._damage.note(f'{self.path}: {missing} of {self.counts[topic]} messages '
                                      f'missing on {topic.name}')

    def parse(self, message: Message) -> Any:
        """Return the object of a message, of the types in `messages.typestore`.

        Raises
        ------
        BagError
            Its bytes are no such message.
        """
        try:
            return typestore().deserialize_cdr(message.data, message.topic.type)
        except Exception as error:  # of many types: damaged bytes may have any size or offset
            reason = str(error) or type(error).__name__
            raise BagError(f'{self.path}: message on {message.topic.name} at {message.time} ns: '
                           f'expected a {message.topic.type} ({reason})') from error

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._folder.cleanup()


def uncompressed(name: str) -> str:
    """Return the name that a file has before it is compressed as a whole."""
    return name.removesuffix('.zstd').removesuffix('.zst')


def read_start(path: Path) -> bytes:
    """Return the first bytes of a file, in which its format shows."""
    with path.open('rb') as file:
        return file.read(16)
