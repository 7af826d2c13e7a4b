"""Damaged MCAP files: all that is complete comes back, and what is missing is named."""
import pytest
from damaged_recordings import ALL, COUNT, chunks, damaged, read, read_unless_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, IndexType
from recordings import CAMERA, write_mcap


def complete_messages(data):
    """Return which frames are completely in the data of an uncompressed file."""
    return [(time, image) for time, image in ALL if image in data]


@pytest.fixture(scope='module')
def sound_mcap(tmp_path_factory):
    """Return the path of a sound file, to be overwritten, and its content."""
    path = write_mcap(tmp_path_factory.mktemp('bag') / 'a.mcap', ALL, chunk_size=250)
    return path, path.read_bytes()


@settings(deadline=None, max_examples=120)
@given(share=st.floats(0, 1, exclude_max=True), padded=st.booleans(), options=st.sampled_from([
    {'use_chunking': False}, {'compression': CompressionType.NONE},
    {'compression': CompressionType.NONE, 'index_types': IndexType.NONE}]))
def test_every_complete_message_is_used(tmp_path_factory, share, padded, options):
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
def test_a_recording_that_ends_in_a_chunk(tmp_path, compression):
    path = write_mcap(tmp_path / 'a.mcap', ALL, compression=compression, chunk_size=400)
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 3])
    messages, damage, missing = read(path)
    assert 0 < len(messages) < COUNT
    assert messages == ALL[:len(messages)]
    assert any('the end is missing, as if the recording was killed' in text for text in damage)
    assert missing == 0  # nothing says how many there were


@pytest.mark.parametrize('chunk', [0, 2, 5])
@pytest.mark.parametrize('compression', CompressionType)
def test_a_zeroed_chunk_costs_its_messages_and_no_others(tmp_path, chunk, compression):
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
def test_a_zeroed_header_of_a_chunk_too(tmp_path, options):
    path = write_mcap(tmp_path / 'a.mcap', ALL, chunk_size=1, **options)
    begin = chunks(path)[2].chunk_start_offset
    damaged(path, begin, begin + 40)
    messages, damage, missing = read(path)
    assert messages == ALL[:2] + ALL[3:]
    assert f'no record at byte {begin}' in damage[0]
    assert missing == options.get('use_statistics', True)


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


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_without_checksums_any_wrong_byte_is_survived(data, tmp_path_factory):
    path = write_mcap(tmp_path_factory.mktemp('bag') / 'a.mcap', ALL, use_chunking=False)
    size = path.stat().st_size
    position = data.draw(st.integers(0, size - 1))
    damaged(path, position, position + 1, data.draw(st.integers(0, 255)))
    found = read_unless_refused(path)
    if found:
        messages, damage, _ = found
        assert len(messages) == COUNT or damage


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_any_wrong_byte_costs_messages_only_with_a_word(data, sound_mcap):
    path, whole = sound_mcap
    position = data.draw(st.integers(0, len(whole) - 1))
    value = data.draw(st.integers(0, 255))
    bad = whole[:position] + bytes([value]) + whole[position + 1:]
    path.write_bytes(bad)
    found = read_unless_refused(path)
    if found:
        messages, damage, _ = found
        known = {image for _, image in ALL}
        assert all(image in known for _, image in messages)
        assert len(messages) == COUNT or damage


def test_a_message_without_room_for_its_time_is_none(tmp_path):
    path = write_mcap(tmp_path / 'a.mcap', ALL, use_chunking=False)
    length = path.read_bytes().index(ALL[3][1]) - 30
    damaged(path, length, length + 8)
    messages, damage, missing = read(path)
    assert messages == ALL[:3]
    assert missing == COUNT - 3
    assert f'no record at byte {length - 1}' in damage[0]


def test_a_damaged_index_is_not_believed(tmp_path):
    path = write_mcap(tmp_path / 'a.mcap', ALL)
    whole = path.read_bytes()
    last = whole.rindex(b'cdr')  # of the repetition of the channel
    damaged(path, last, last + 1, ord('C'))
    messages, damage, _ = read(path)
    assert messages == ALL
    assert damage == [f'{path}: the index at the end cannot be read (wrong checksum)']


def test_statistics_that_promise_more_than_there_is(tmp_path):
    whole = write_mcap(tmp_path / 'whole.mcap', ALL, use_chunking=False).read_bytes()
    where = whole.index(ALL[3][1]) - 31
    path = tmp_path / 'a.mcap'
    path.write_bytes(whole[:where] + b'\x99' + whole[where + 1:])  # an unknown record
    messages, damage, missing = read(path)
    assert messages == ALL[:3] + ALL[4:]
    assert (missing, damage) == (1, [f'{path}: 1 of 12 messages missing on {CAMERA}'])
