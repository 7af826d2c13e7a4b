"""SQLite3 files of rosbag2, from every distribution, sound or damaged.

Times and row numbers are read first, rows one by one afterwards: so an unreadable page of the
file costs the messages on it and no others.
"""
from __future__ import annotations

import sqlite3
import struct
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Iterable, Iterator

import numpy as np

from instseg_ros.bags.compression import check_size, unpack_message
from instseg_ros.bags.messages import type_name
from instseg_ros.bags.qos import KEY
from instseg_ros.bags.types import BagError, Damage, Message, Topic
from instseg_ros.limits import Limits

MAGIC = b'SQLite format 3\0'

FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file raises; the second one while the text of the first one is made."""

BLOCK = 65536
"""Rows that are looked up at once."""

ROWS_TRIED = 4096
"""Unreadable rows in succession after which the rest counts as lost."""


def announced_size(path: Path) -> int:
    """Return how many bytes a file has by its own header; 0 if that doesn't say."""
    with path.open('rb') as file:
        header = file.read(100)
    if len(header) < 100:
        return 0
    page, = struct.unpack_from('>H', header, 16)
    pages, = struct.unpack_from('>I', header, 28)
    return (65536 if page == 1 else page) * pages


def read_definitions(database: sqlite3.Connection) -> dict[str, str]:
    """Return the definitions of types by name; there are none in files of Humble and before."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND "
                            "name = 'message_definitions'").fetchone():
        return {}
    rows = database.execute('SELECT topic_type, encoded_message_definition '
                            'FROM message_definitions')
    return {type_name(str(name)): str(text) for name, text in rows if text}


class SqliteFile:
    """A `.db3` file; see `types.BagFile`.

    Raises
    ------
    BagError
        It is no SQLite3 file of rosbag2.
    """

    def __init__(self, path: Path, name: str, damage: Damage, limits: Limits) -> None:
        self._path, self._name, self._damage, self._limits = path, name, damage, limits
        try:
            with closing(self._open()) as database:
                self._read_topics(database)
                self.definitions = read_definitions(database)
                self._index = self._read_index(database)
        except FAILURES as error:
            raise BagError(f'{name}: expected an SQLite3 file of rosbag2 ({error})') from error
        counts = Counter(self._index['topic'].tolist())
        self.counts: dict[Topic, int] = dict.fromkeys(self._topics.values(), 0)
        for number, topic in self._topics.items():
            self.counts[topic] += counts[number]
        times = self._index['time']
        self.start, self.end = (int(times[0]), int(times[-1])) if len(times) else (0, 0)

    def _open(self) -> sqlite3.Connection:
        """Open the file with its write-ahead log; without, where that needs a writable folder."""
        problem: Exception | None = None
        for mode in ('mode=ro', 'mode=ro&immutable=1'):
            database = sqlite3.connect(f'{self._path.absolute().as_uri()}?{mode}', uri=True,
                                       check_same_thread=False)
            database.text_factory = lambda data: data.decode('utf-8', 'replace')
            try:
                database.execute('SELECT count(*) FROM sqlite_master').fetchone()
            except FAILURES as error:
                problem = error
                database.close()
            else:
                log = self._path.with_name(f'{self._path.name}-wal')
                if 'immutable' in mode and log.exists() and log.stat().st_size:
                    self._damage.note(f'{self._name}: the messages in {log.name} are left out, '
                                      f'because {problem}')
                return database
        raise BagError(f'{self._name}: expected an SQLite3 file of rosbag2 ({problem})')

    def _read_topics(self, database: sqlite3.Connection) -> None:
        columns = [row[1] for row in database.execute('PRAGMA table_info(topics)')]
        qos = KEY if KEY in columns else "''"  # not in files of Foxy and before
        rows = database.execute(f'SELECT id, name, type, serialization_format, {qos} FROM topics')
        self.qos: dict[Topic, str] = {}
        self._topics: dict[int, Topic] = {}
        self._foreign_numbers: list[int] = []
        self.foreign: list[Topic] = []
        for number, name, kind, encoding, profiles in rows:
            if encoding == 'cdr' and isinstance(number, int):
                self._topics[number] = topic = Topic(str(name), type_name(str(kind)))
                self.qos[topic] = str(profiles)
            else:
                self.foreign.append(Topic(str(name), f'{kind}, {encoding}'))
                if isinstance(number, int):
                    self._foreign_numbers.append(number)

    def _read_index(self, database: sqlite3.Connection) -> np.ndarray:
        """Return time, row and topic of all messages by time, as far as rows can be read."""
        pieces, failed, senseless, row = [], 0, 0, -(2 ** 63)
        while True:
            piece, more, error = self._read_rows(database, row)
            pieces.append(piece)
            senseless += more
            if error is None:
                break
            row = int(piece['row'][-1]) if len(piece) else max(row, 0)
            lost = self._skip_unreadable(database, row)
            if lost is None:
                self._damage.note(f'{self._name}: messages behind row {row} cannot be read '
                                  f'({error})')
                break
            failed += lost
            row += lost
        if failed:
            self._damage.note(f'{self._name}: {failed} rows cannot be read')
        index = np.concatenate(pieces)
        known = np.isin(index['topic'], [*self._topics, *self._foreign_numbers])
        senseless += int(np.count_nonzero(~known))
        if senseless:
            self._damage.note(f'{self._name}: {senseless} rows have no number, time or topic')
        self._compare_with_index(database, len(index) + failed + senseless)
        index = index[known]
        return index[np.lexsort((index['row'], index['time']))]

    def _compare_with_index(self, database: sqlite3.Connection, found: int) -> None:
        """Note how many rows SQLite's own index of times has beyond those that were found."""
        try:
            promised, = database.execute('SELECT count(*) FROM messages').fetchone()
        except FAILURES:
            return  # without the index every row was found that there is
        if promised > found:
            self._damage.note(f'{self._name}: {promised - found} of {promised} rows are missing')

    def _read_rows(self, database: sqlite3.Connection, behind: int
                   ) -> tuple[np.ndarray, int, Exception | None]:
        """Return rows with a number above `behind`, how many made no sense, and what ended them.

        Damage can give rows any values and any order; a row has to be behind the one before it.
        """
        kind = np.dtype([('time', np.int64), ('row', np.int64), ('topic', np.int64)])
        blocks: list[np.ndarray] = []
        error: Exception | None = None
        senseless = 0
        while True:
            block = []
            try:
                for values in database.execute(
                        'SELECT timestamp, id, topic_id FROM messages WHERE id > ? '
                        'ORDER BY id LIMIT ?', (behind, BLOCK)):
                    block.append(values)  # noqa: PERF402 - rows ahead of an error count
            except FAILURES as problem:
                error = problem
            rows, before = [], behind
            for values in block:
                if all(isinstance(value, int) for value in values) and values[1] > behind:
                    rows.append(values)
                    behind = values[1]
            senseless += len(block) - len(rows)
            blocks.append(np.array(rows, kind))
            if error or len(block) < BLOCK or behind == before:
                return np.concatenate(blocks), senseless, error

    def _skip_unreadable(self, database: sqlite3.Connection, row: int) -> int | None:
        """Return how many rows behind `row` cannot be read; nothing if no later one can."""
        for lost in range(1, ROWS_TRIED):
            try:
                if database.execute('SELECT timestamp FROM messages WHERE id = ?',
                                    (row + lost + 1,)).fetchone():
                    return lost
            except FAILURES:
                continue
        return None

    def read(self, topics: Iterable[Topic], start: int, stop: int) -> Iterator[Message]:
        wanted = set(topics)
        numbers = [number for number, topic in self._topics.items() if topic in wanted]
        index = self._index[np.isin(self._index['topic'], numbers)]
        index = index[(index['time'] >= start) & (index['time'] < min(stop, 2 ** 63 - 1))]
        with closing(self._open()) as database:
            for time, row, number in index:
                try:
                    yield Message(self._topics[int(number)], int(time),
                                  self._read_data(database, int(row)))
                except (BagError, *FAILURES) as error:
                    self._damage.note(f'{self._name}: message in row {row}: {error}')

    def _read_data(self, database: sqlite3.Connection, row: int) -> bytes:
        size = self._look_up(database, 'length(data)', row)
        check_size('message', size if isinstance(size, int) else 0, self._limits.chunk)
        data = self._look_up(database, 'data', row)
        if not isinstance(data, bytes):
            raise BagError(f'expected bytes, got {type(data).__name__}')
        return unpack_message(data, self._limits.chunk)

    def _look_up(self, database: sqlite3.Connection, column: str, row: int) -> Any:
        values = database.execute(f'SELECT {column} FROM messages WHERE id = ?',
                                  (row,)).fetchone()
        return values[0] if values else None
