"""Kernels on several threads: every part of the work is done once."""
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.core.parallel import MAX_CHUNKS, run_parallel, thread_count


@given(count=st.integers(0, 50), threads=st.integers(1, 9), min_chunk=st.integers(1, 20))
def test_chunks_cover_the_work_once(count, threads, min_chunk):
    done, lock = [], threading.Lock()

    def kernel(start, stop, offset):
        with lock:
            done.append((start + offset, stop + offset))

    run_parallel(kernel, count, threads, 100, min_chunk=min_chunk)
    covered = [index for start, stop in done for index in range(start, stop)]
    assert sorted(covered) == list(range(100, 100 + count))
    assert len(done) <= threads
    assert len(done) == 1 or min(stop - start for start, stop in done) >= min_chunk


def test_an_error_in_any_chunk_is_raised():
    def kernel(start, stop):
        if stop == 40:
            raise ArithmeticError('chunk')

    with pytest.raises(ArithmeticError, match='chunk'):
        run_parallel(kernel, 40, 4, min_chunk=1)


def test_zero_threads_are_one_for_each_core():
    assert thread_count(0) >= 1
    assert thread_count(3) == 3
    chunks = []
    run_parallel(lambda start, stop: chunks.append((start, stop)), 1000, 0, min_chunk=1)
    assert len(chunks) == min(thread_count(0), MAX_CHUNKS)
