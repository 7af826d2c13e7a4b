"""The cores that the process may use."""
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.core.parallel import thread_count
from instseg_ros.node.affinity import parse_cores, use_cores

needs_affinity = pytest.mark.skipif(not hasattr(os, 'sched_setaffinity'), reason='needs Linux')


@given(st.sets(st.integers(0, 300)), st.booleans())
def test_a_list_names_the_cores(cores, as_ranges):
    text = ', '.join(f'{core}-{core}' if as_ranges else str(core) for core in cores)
    assert parse_cores(text) == cores


@pytest.mark.parametrize('text, cores', [
    ('', set()), (' , ', set()), ('0,2-3', {0, 2, 3}), ('1 - 2 , 2', {1, 2})])
def test_ranges(text, cores):
    assert parse_cores(text) == cores


@pytest.mark.parametrize('text', ['a', '3-1', '-1', '1-', '1.5', '0x1', '99999', '1;2'])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match='cores: expected numbers and ranges such as 0,2-3, got'):
        parse_cores(text)


@needs_affinity
def test_every_thread_moves_and_comes_back():
    before = os.sched_getaffinity(0)
    core = min(before)
    seen, may_look, may_end = [], threading.Event(), threading.Event()

    def look():
        may_look.wait(60)
        seen.append(os.sched_getaffinity(0))
        may_end.wait(60)
        seen.append(os.sched_getaffinity(0))
    thread = threading.Thread(target=look)
    thread.start()
    try:
        use_cores({core})
        assert os.sched_getaffinity(0) == {core}
        assert thread_count(0) == 1
        may_look.set()
        while not seen:
            pass
    finally:
        use_cores(set())
        may_look.set()
        may_end.set()
        thread.join()
    assert seen == [{core}, before]
    assert os.sched_getaffinity(0) == before


@needs_affinity
def test_a_core_that_there_is_not_is_refused_and_changes_nothing():
    before = os.sched_getaffinity(0)
    with pytest.raises(ValueError, match=r'cores: expected some of the cores .* got \[9000\]'):
        use_cores({9000})
    assert os.sched_getaffinity(0) == before


@needs_affinity
def test_the_node_uses_the_cores_that_its_parameter_names(graph, tiny_model):
    pytest.importorskip('tiny_models', reason='needs onnx')
    before = os.sched_getaffinity(0)
    try:
        graph.start(model=str(tiny_model), cores='9000')
        assert not graph.change_state('configure')
        assert 'cores: expected some of the cores' in graph.node._conditions.last_error
        assert "got 'x'" in graph.set_parameter('cores', 'x')
        assert graph.set_parameter('cores', str(max(before))) == ''
        assert graph.change_state('configure')
        assert os.sched_getaffinity(0) == {max(before)}
        assert graph.change_state('cleanup')
        assert graph.set_parameter('cores', '') == ''
        assert graph.change_state('configure')
        assert os.sched_getaffinity(0) == before
    finally:
        use_cores(set())
