"""Folders of recordings, of which parts are gone, empty or cut off."""
import pytest
from damaged_recordings import ALL, COUNT, read
from recordings import CAMERA, frames, write_db3, write_mcap, write_metadata

from instseg_ros.bags.compression import zstd


def test_the_metadata_say_how_many_are_missing(tmp_path):
    path = write_mcap(tmp_path / 'bag_0.mcap', ALL, chunk_size=1)
    write_metadata(tmp_path, ['bag_0.mcap'], COUNT)
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 3])
    messages, damage, missing = read(tmp_path)
    assert missing == COUNT - len(messages) > 0
    assert f'{missing} of {COUNT} messages missing on {CAMERA}' in damage[-1]


def test_a_split_without_a_byte_is_named(tmp_path):
    write_mcap(tmp_path / 'bag_0.mcap', ALL)
    (tmp_path / 'bag_1.mcap').touch()
    messages, damage, _ = read(tmp_path)
    assert messages == ALL
    assert damage == [f'{tmp_path / "bag_1.mcap"}: expected a bag file or the folder of a '
                      'recording, got an empty file']


def test_a_split_that_is_gone_is_named(tmp_path):
    write_mcap(tmp_path / 'bag_0.mcap', ALL[:5])
    write_metadata(tmp_path, ['bag_0.mcap', 'bag_1.mcap'], COUNT)
    messages, damage, missing = read(tmp_path)
    assert (messages, missing) == (ALL[:5], 7)
    assert 'bag_1.mcap: no such file, but metadata.yaml lists it' in damage[0]
    assert f'7 of 12 messages missing on {CAMERA}' in damage[1]


@pytest.mark.parametrize('write, suffix', [(write_mcap, '.mcap'), (write_db3, '.db3')])
def test_a_compressed_file_that_ends_early(tmp_path, write, suffix):
    path = write(tmp_path / f'a{suffix}', frames(range(4000)))
    packed = zstd.compress(path.read_bytes(), 1)
    path.with_name(f'{path.name}.zstd').write_bytes(packed[:len(packed) * 4 // 5])
    path.unlink()
    messages, damage, _ = read(tmp_path)
    assert 1000 < len(messages) < 4000
    assert set(messages) < set(frames(range(4000)))
    assert 'decompression ends after' in damage[0]
