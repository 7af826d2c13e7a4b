"""Recordings that unpack to more than a limit allows."""
import tracemalloc

import pytest
from damaged_recordings import ALL, chunks, damaged, read
from mcap.writer import CompressionType
from recordings import SECOND, write_db3, write_mcap

from instseg_ros.bags.compression import zstd
from instseg_ros.bags.types import BagError
from instseg_ros.limits import Limits


@pytest.mark.parametrize('compression', [CompressionType.LZ4, CompressionType.ZSTD])
def test_a_chunk_that_unpacks_to_too_much_is_not_unpacked(tmp_path, compression):
    bomb = [(SECOND, bytes(10 ** 7))]
    path = write_mcap(tmp_path / 'a.mcap', bomb, compression=compression)
    assert path.stat().st_size < 10 ** 5
    assert read(path)[0] == bomb
    messages, damage, missing = read(path, Limits(chunk=10 ** 6))
    assert (messages, missing) == ([], 1)
    assert 'chunk: expected at most 1000000 bytes, got 100' in damage[0]


def test_nor_one_that_poses_as_the_index(tmp_path):
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


def test_nor_a_message(tmp_path):
    path = write_db3(tmp_path / 'a.db3', [(1, zstd.compress(bytes(10 ** 7))), *ALL])
    messages, damage, missing = read(path, Limits(chunk=10 ** 6))
    assert (messages, missing) == (ALL, 1)
    assert 'message in row 1: message: expected at most 1000000 bytes' in damage[0]


def test_nor_a_file(tmp_path):
    (tmp_path / 'a.mcap.zstd').write_bytes(zstd.compress(bytes(10 ** 7)))
    with pytest.raises(BagError, match='expected at most 1000000 bytes'):
        read(tmp_path / 'a.mcap.zstd', Limits(file=10 ** 6))


def test_a_chunk_that_unpacks_to_more_than_it_announces(tmp_path):
    path = write_mcap(tmp_path / 'a.mcap', [(SECOND, bytes(10 ** 6))])
    size = chunks(path)[0].chunk_start_offset + 9 + 16
    damaged(path, size, size + 8)
    damaged(path, size, size + 1, 50)
    messages, damage, _ = read(path)
    assert messages == []
    assert 'expected 50 bytes uncompressed, got more' in damage[0]
