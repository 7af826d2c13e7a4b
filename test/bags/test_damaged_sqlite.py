"""Damaged SQLite3 files: what can be read comes back, and what is missing is named."""
import sqlite3

import pytest
from damaged_recordings import ALL, damaged, read, read_unless_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import CAMERA, SECOND, frame, write_db3, write_metadata


def write_big_db3(path):
    """Write messages of which each fills several pages of the file."""
    return write_db3(path, [(number * SECOND, frame(number, 100, 120)) for number in range(30)])


@pytest.fixture(scope='module')
def sound_db3(tmp_path_factory):
    """Return the path of a sound file, to be overwritten, and its content."""
    path = write_big_db3(tmp_path_factory.mktemp('bag') / 'a.db3')
    return path, path.read_bytes()


def test_the_write_ahead_log_of_sqlite_is_read(tmp_path):
    path = write_db3(tmp_path / 'a.db3', ALL[:5])
    database = sqlite3.connect(path)
    database.execute('PRAGMA journal_mode=WAL')
    database.executemany('INSERT INTO messages(topic_id, timestamp, data) VALUES (1, ?, ?)',
                         ALL[5:])
    database.commit()
    for name in ('a.db3', 'a.db3-wal'):  # as they are when the recorder is killed
        (tmp_path / 'killed').mkdir(exist_ok=True)
        (tmp_path / 'killed' / name).write_bytes((tmp_path / name).read_bytes())
    database.close()
    assert read(tmp_path / 'killed') == (ALL, [], 0)


def test_an_unreadable_page_costs_few_messages(tmp_path):
    path = write_big_db3(tmp_path / 'a.db3')
    whole, _, _ = read(path)
    size = path.stat().st_size
    damaged(path, size // 2 // 4096 * 4096, size // 2 // 4096 * 4096 + 4096, 7)
    messages, damage, missing = read(path)
    assert 20 <= len(messages) <= 30
    assert {time for time, _ in messages} <= {time for time, _ in whole}
    assert len(messages) + missing >= 29 or damage


@pytest.mark.parametrize('share', [0.3, 0.6, 0.95])
def test_a_file_that_ends_early(tmp_path, share):
    path = write_big_db3(tmp_path / 'bag_0.db3')
    whole, _, _ = read(path)
    write_metadata(tmp_path, ['bag_0.db3'], 30)
    path.write_bytes(path.read_bytes()[:int(share * path.stat().st_size)])
    messages, damage, missing = read(tmp_path)
    assert missing == 30 - len(messages) > 0
    assert damage
    assert set(messages) <= set(whole)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_any_wrong_byte_is_survived(data, sound_db3):
    path, whole = sound_db3
    position = data.draw(st.integers(0, 8191))  # header, schema and index pages
    bad = bytearray(whole)
    bad[position] = data.draw(st.integers(0, 255))
    path.write_bytes(bad)
    found = read_unless_refused(path)
    if found:
        messages, damage, _ = found
        assert len(messages) <= 30
        assert all(isinstance(text, str) for text in damage)


def test_rows_of_zeros_are_named(tmp_path):
    """A page of zeros gives rows without number, time and topic, and no error."""
    path = write_db3(tmp_path / 'a.db3', ALL)
    data = path.read_bytes()
    place = int(0.5918830812434421 * len(data))  # in the page that holds the rows
    damaged(path, place, place + 4096)
    messages, damage, _ = read(path)
    assert messages != ALL
    assert damage


def test_a_message_from_before_all_time_is_missing(tmp_path):
    """One flipped bit of a row's time."""
    path = write_db3(tmp_path / 'a.db3', [(-5 * SECOND, frame(0)), *ALL[1:]])
    messages, damage, missing = read(path)
    assert (messages, missing) == (ALL[1:], 1)
    assert f'1 of 12 messages missing on {CAMERA}' in damage[0]
