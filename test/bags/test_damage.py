"""Damaged recordings: all that is complete comes back, and what is missing is named."""
import sqlite3
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import CompressionType, IndexType
from recordings import CAMERA, SECOND, frame, frames, write_db3, write_mcap, write_metadata
from rosbags.rosbag1 import Writer as Ros1Writer

from instseg_ros.bags.compression import zstd
from instseg_ros.bags.messages import IMAGE, ros1_typestore
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import BagError
from instseg_ros.limits import Limits

COUNT = 12
ALL = frames(range(COUNT))


def read(path, limits=Limits()):
    """Return (time, data) of all messages of all topics, what is damaged, and how many miss."""
    with BagReader(path, limits) as bag:
        messages = [(message.time, message.data) for message in bag.read(bag.topics)]
        return messages, list(bag.damage), bag.missing


def damaged(path, first, last, value=0):
    """Overwrite a range of bytes of a file."""
    data = bytearray(path.read_bytes())
    data[first:last] = bytes([value]) * (last - first)
    path.write_bytes(data)


def chunks(path):
    """Return the index of the chunks of a sound MCAP file."""
    with path.open('rb') as file:
        return make_reader(file).get_summary().chunk_indexes


def complete_messages(data):
    """Return which frames are completely in the data of an uncompressed file."""
    return [(time, image) for time, image in ALL if image in data]


def write_big_db3(path):
    """Write messages of which each fills several pages of the file."""
    return write_db3(path, [(number * SECOND, frame(number, 100, 120)) for number in range(30)])


@pytest.fixture(scope='module')
def sound_mcap(tmp_path_factory):
    """Return the path of a sound file, to be overwritten, and its content."""
    path = write_mcap(tmp_path_factory.mktemp('bag') / 'a.mcap', ALL, chunk_size=250)
    return path, path.read_bytes()


@pytest.fixture(scope='module')
def sound_db3(tmp_path_factory):
    """Return the path of a sound file, to be overwritten, and its content."""
    path = write_big_db3(tmp_path_factory.mktemp('bag') / 'a.db3')
    return path, path.read_bytes()


class TestKilled:

    @settings(deadline=None, max_examples=120)
    @given(share=st.floats(0, 1, exclude_max=True), padded=st.booleans(), options=st.sampled_from([
        {'use_chunking': False}, {'compression': CompressionType.NONE},
        {'compression': CompressionType.NONE, 'index_types': IndexType.NONE}]))
    def test_every_complete_message_is_used(self, tmp_path_factory, share, padded, options):
        path = write_mcap(tmp_path_factory.mktemp('bag') / 'a.mcap', ALL, **options)
        data = path.read_bytes()
        cut = data[:max(8, int(share * len(data)))]
        padded = padded and 'use_chunking' in options  # else the checksum of the chunk is wrong
        path.write_bytes(cut + bytes(1000 * padded))  # a file system may leave zeros
        messages, damage, _ = read(path)
        complete = complete_messages(cut)
        assert set(complete) <= set(messages)
        assert len(messages) - len(complete) <= padded  # the last one may end in those zeros
        assert damage

    @pytest.mark.parametrize('compression', CompressionType)
    def test_a_recording_that_ends_in_a_chunk(self, tmp_path, compression):
        path = write_mcap(tmp_path / 'a.mcap', ALL, compression=compression, chunk_size=400)
        data = path.read_bytes()
        path.write_bytes(data[:len(data) // 3])
        messages, damage, missing = read(path)
        assert 0 < len(messages) < COUNT
        assert messages == ALL[:len(messages)]
        assert any('the end is missing, as if the recording was killed' in text for text in damage)
        assert missing == 0  # nothing says how many there were

    def test_the_metadata_say_how_many_are_missing(self, tmp_path):
        path = write_mcap(tmp_path / 'bag_0.mcap', ALL, chunk_size=1)
        write_metadata(tmp_path, ['bag_0.mcap'], COUNT)
        data = path.read_bytes()
        path.write_bytes(data[:len(data) // 3])
        messages, damage, missing = read(tmp_path)
        assert missing == COUNT - len(messages) > 0
        assert f'{missing} of {COUNT} messages missing on {CAMERA}' in damage[-1]

    def test_a_split_without_a_byte_is_named(self, tmp_path):
        write_mcap(tmp_path / 'bag_0.mcap', ALL)
        (tmp_path / 'bag_1.mcap').touch()
        messages, damage, _ = read(tmp_path)
        assert messages == ALL
        assert damage == [f'{tmp_path / "bag_1.mcap"}: expected a bag file or the folder of a '
                          'recording, got an empty file']

    def test_a_split_that_is_gone_is_named(self, tmp_path):
        write_mcap(tmp_path / 'bag_0.mcap', ALL[:5])
        write_metadata(tmp_path, ['bag_0.mcap', 'bag_1.mcap'], COUNT)
        messages, damage, missing = read(tmp_path)
        assert (messages, missing) == (ALL[:5], 7)
        assert 'bag_1.mcap: no such file, but metadata.yaml lists it' in damage[0]
        assert f'7 of 12 messages missing on {CAMERA}' in damage[1]

    @pytest.mark.parametrize('write, suffix', [(write_mcap, '.mcap'), (write_db3, '.db3')])
    def test_a_compressed_file_that_ends_early(self, tmp_path, write, suffix):
        path = write(tmp_path / f'a{suffix}', frames(range(4000)))
        packed = zstd.compress(path.read_bytes(), 1)
        path.with_name(f'{path.name}.zstd').write_bytes(packed[:len(packed) * 4 // 5])
        path.unlink()
        messages, damage, _ = read(tmp_path)
        assert 1000 < len(messages) < 4000
        assert set(messages) < set(frames(range(4000)))
        assert 'decompression ends after' in damage[0]

    def test_the_write_ahead_log_of_sqlite_is_read(self, tmp_path):
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


class TestMcap:

    @pytest.mark.parametrize('chunk', [0, 2, 5])
    @pytest.mark.parametrize('compression', CompressionType)
    def test_a_zeroed_chunk_costs_its_messages_and_no_others(self, tmp_path, chunk, compression):
        path = write_mcap(tmp_path / 'a.mcap', ALL, chunk_size=1, compression=compression)
        place = chunks(path)[chunk]
        data = place.chunk_start_offset + 9 + 40 + len(place.compression)
        damaged(path, data, data + place.compressed_size)
        messages, damage, missing = read(path)
        assert messages == ALL[:chunk] + ALL[chunk + 1:]
        assert missing == 1
        assert f'chunk at byte {place.chunk_start_offset}' in damage[0]
        assert 'messages lost: 1' in damage[0]
        assert damage[-1] == f'{path}: 1 of 12 messages missing on {CAMERA}'

    @pytest.mark.parametrize('options', [
        {}, {'use_statistics': False}, {'compression': CompressionType.NONE}])
    def test_a_zeroed_header_of_a_chunk_too(self, tmp_path, options):
        path = write_mcap(tmp_path / 'a.mcap', ALL, chunk_size=1, **options)
        begin = chunks(path)[2].chunk_start_offset
        damaged(path, begin, begin + 40)
        messages, damage, missing = read(path)
        assert messages == ALL[:2] + ALL[3:]
        assert f'no record at byte {begin}' in damage[0]
        assert missing == options.get('use_statistics', True)

    @settings(deadline=None, max_examples=100)
    @given(data=st.data())
    def test_without_checksums_any_wrong_byte_is_survived(self, data, tmp_path_factory):
        path = write_mcap(tmp_path_factory.mktemp('bag') / 'a.mcap', ALL, use_chunking=False)
        size = path.stat().st_size
        position = data.draw(st.integers(0, size - 1))
        damaged(path, position, position + 1, data.draw(st.integers(0, 255)))
        try:
            messages, damage, _ = read(path)
        except BagError as error:
            assert str(path) in str(error)  # noqa: PT017 - it may also be read
            return
        assert len(messages) == COUNT or damage

    def test_a_message_without_room_for_its_time_is_none(self, tmp_path):
        path = write_mcap(tmp_path / 'a.mcap', ALL, use_chunking=False)
        length = path.read_bytes().index(ALL[3][1]) - 30
        damaged(path, length, length + 8)
        messages, damage, missing = read(path)
        assert messages == ALL[:3]
        assert missing == COUNT - 3
        assert f'no record at byte {length - 1}' in damage[0]

    def test_a_damaged_index_is_not_believed(self, tmp_path):
        path = write_mcap(tmp_path / 'a.mcap', ALL)
        whole = path.read_bytes()
        last = whole.rindex(b'cdr')  # of the repetition of the channel
        damaged(path, last, last + 1, ord('C'))
        messages, damage, _ = read(path)
        assert messages == ALL
        assert damage == [f'{path}: the index at the end cannot be read (wrong checksum)']

    def test_statistics_that_promise_more_than_there_is(self, tmp_path):
        whole = write_mcap(tmp_path / 'whole.mcap', ALL, use_chunking=False).read_bytes()
        where = whole.index(ALL[3][1]) - 31
        path = tmp_path / 'a.mcap'
        path.write_bytes(whole[:where] + b'\x99' + whole[where + 1:])  # an unknown record
        messages, damage, missing = read(path)
        assert messages == ALL[:3] + ALL[4:]
        assert (missing, damage) == (1, [f'{path}: 1 of 12 messages missing on {CAMERA}'])

    @settings(deadline=None, max_examples=300)
    @given(data=st.data())
    def test_any_wrong_byte_costs_messages_only_with_a_word(self, data, sound_mcap):
        path, whole = sound_mcap
        position = data.draw(st.integers(0, len(whole) - 1))
        value = data.draw(st.integers(0, 255))
        bad = whole[:position] + bytes([value]) + whole[position + 1:]
        path.write_bytes(bad)
        try:
            messages, damage, _ = read(path)
        except BagError as error:
            assert str(path) in str(error)  # noqa: PT017 - it may also be read
            return
        known = {image for _, image in ALL}
        assert all(image in known for _, image in messages)
        assert len(messages) == COUNT or damage


class TestSqlite:

    def test_an_unreadable_page_costs_few_messages(self, tmp_path):
        path = write_big_db3(tmp_path / 'a.db3')
        whole, _, _ = read(path)
        size = path.stat().st_size
        damaged(path, size // 2 // 4096 * 4096, size // 2 // 4096 * 4096 + 4096, 7)
        messages, damage, missing = read(path)
        assert 20 <= len(messages) <= 30
        assert {time for time, _ in messages} <= {time for time, _ in whole}
        assert len(messages) + missing >= 29 or damage

    @pytest.mark.parametrize('share', [0.3, 0.6, 0.95])
    def test_a_file_that_ends_early(self, tmp_path, share):
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
    def test_any_wrong_byte_is_survived(self, data, sound_db3):
        path, whole = sound_db3
        position = data.draw(st.integers(0, 8191))  # header, schema and index pages
        bad = bytearray(whole)
        bad[position] = data.draw(st.integers(0, 255))
        path.write_bytes(bad)
        try:
            messages, damage, _ = read(path)
        except BagError as error:
            assert str(path) in str(error)  # noqa: PT017 - it may also be read
            return
        assert len(messages) <= 30
        assert all(isinstance(text, str) for text in damage)


class TestRos1:

    @pytest.fixture
    def path(self, tmp_path):
        writer = Ros1Writer(tmp_path / 'a.bag')
        types = ros1_typestore()
        with writer:
            text = writer.add_connection('/text', 'std_msgs/msg/String', typestore=types)
            for number in range(5):
                data = types.serialize_ros1(types.types['std_msgs/msg/String'](f'{number}' * 999),
                                            'std_msgs/msg/String')
                writer.write(text, number, data)
        return tmp_path / 'a.bag'

    def test_a_killed_one_names_what_repairs_it(self, path):
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(BagError, match='rosbag reindex'):
            read(path)

    def test_messages_that_cannot_be_read_are_counted(self, path):
        whole = path.read_bytes()
        damaged(path, whole.index(b'2222') - 60, whole.index(b'2222') + 10)
        messages, damage, missing = read(path)
        assert len(messages) + missing == 5
        assert missing > 0
        assert 'missing on /text' in damage[-1]


class TestLimits:

    @pytest.mark.parametrize('compression', [CompressionType.LZ4, CompressionType.ZSTD])
    def test_a_chunk_that_unpacks_to_too_much_is_not_unpacked(self, tmp_path, compression):
        bomb = [(SECOND, bytes(10 ** 7))]
        path = write_mcap(tmp_path / 'a.mcap', bomb, compression=compression)
        assert path.stat().st_size < 10 ** 5
        assert read(path)[0] == bomb
        messages, damage, missing = read(path, Limits(chunk=10 ** 6))
        assert (messages, missing) == ([], 1)
        assert 'chunk: expected at most 1000000 bytes, got 100' in damage[0]

    def test_nor_one_that_poses_as_the_index(self, tmp_path):
        path = write_mcap(tmp_path / 'a.mcap', [(SECOND, bytes(10 ** 8))])
        footer = path.stat().st_size - 28
        data = bytearray(path.read_bytes())
        data[footer:footer + 8] = chunks(path)[0].chunk_start_offset.to_bytes(8, 'little')
        path.write_bytes(data)
        tracemalloc.start()
        messages, damage, _ = read(path, Limits(chunk=10 ** 6))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert messages == []
        assert most < 10 ** 7
        assert damage

    def test_nor_a_message(self, tmp_path):
        path = write_db3(tmp_path / 'a.db3', [(1, zstd.compress(bytes(10 ** 7))), *ALL])
        messages, damage, missing = read(path, Limits(chunk=10 ** 6))
        assert (messages, missing) == (ALL, 1)
        assert 'message in row 1: message: expected at most 1000000 bytes' in damage[0]

    def test_nor_a_file(self, tmp_path):
        (tmp_path / 'a.mcap.zstd').write_bytes(zstd.compress(bytes(10 ** 7)))
        with pytest.raises(BagError, match='expected at most 1000000 bytes'):
            read(tmp_path / 'a.mcap.zstd', Limits(file=10 ** 6))

    def test_a_chunk_that_unpacks_to_more_than_it_announces(self, tmp_path):
        path = write_mcap(tmp_path / 'a.mcap', [(SECOND, bytes(10 ** 6))])
        size = chunks(path)[0].chunk_start_offset + 9 + 16
        damaged(path, size, size + 8)
        damaged(path, size, size + 1, 50)
        messages, damage, _ = read(path)
        assert messages == []
        assert 'expected 50 bytes uncompressed, got more' in damage[0]


class TestNoBag:

    def test_what_is_no_bag_is_refused(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='gone.mcap: no such file or folder'):
            BagReader(tmp_path / 'gone.mcap')
        (tmp_path / 'notes.txt').write_text('milk, bread')
        (tmp_path / 'notes.mcap').write_text('milk, bread')
        (tmp_path / 'empty.mcap').touch()
        (tmp_path / 'folder').mkdir()
        sqlite3.connect(tmp_path / 'empty.db3').close()
        for name in ('notes.txt', 'notes.mcap', 'empty.mcap', 'folder', 'empty.db3'):
            with pytest.raises(BagError, match=f'{name}: expected a bag file or the folder of a'):
                BagReader(tmp_path / name)
        with sqlite3.connect(tmp_path / 'other.db3') as database:
            database.execute('CREATE TABLE shopping(item TEXT)')
        with pytest.raises(BagError, match='other.db3: expected an SQLite3 file of rosbag2'):
            BagReader(tmp_path / 'other.db3')

    def test_what_is_no_file_is_not_opened(self, tmp_path):
        import os
        os.mkfifo(tmp_path / 'pipe.mcap')
        with pytest.raises(BagError, match='got something that is no file'):
            BagReader(tmp_path / 'pipe.mcap')

    def test_bytes_that_are_no_message_are_an_error(self, tmp_path):
        path = write_mcap(tmp_path / 'a.mcap', [(SECOND, b'\0\1\0\0rubbish')])
        with BagReader(path) as bag:
            message, = bag.read(bag.topics)
            with pytest.raises(BagError, match=f'{CAMERA} at 1000000000 ns: expected a {IMAGE}'):
                bag.parse(message)


def test_rows_of_zeros_are_named(tmp_path):
    """A page of zeros gives rows without number, time and topic, and no error."""
    path = write_db3(tmp_path / 'a.db3', ALL)
    data = path.read_bytes()
    place = int(0.5918830812434421 * len(data))  # in the page that holds the rows
    damaged(path, place, place + 4096)
    messages, damage, _ = read(path)
    assert messages != ALL
    assert damage


def test_a_wrong_time_in_the_header_of_a_chunk_is_named(tmp_path):
    """No checksum covers it, and it decides when the chunk is read."""
    path = write_mcap(tmp_path / 'a.mcap', ALL)
    middle = chunks(path)[2]
    start = middle.chunk_start_offset + 9  # behind opcode and length
    damaged(path, start + 5, start + 6, 200)
    messages, damage, missing = read(path)
    assert sorted(messages) == ALL and messages != ALL
    assert missing == 0
    assert 'its messages are of other times than its header says' in damage[0]


def test_a_message_from_before_all_time_is_missing(tmp_path):
    """One flipped bit of a row's time."""
    path = write_db3(tmp_path / 'a.db3', [(-5 * SECOND, frame(0)), *ALL[1:]])
    messages, damage, missing = read(path)
    assert (messages, missing) == (ALL[1:], 1)
    assert f'1 of 12 messages missing on {CAMERA}' in damage[0]
