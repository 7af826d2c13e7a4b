"""The order in which waiting frames of several cameras are processed; without ROS."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.node.turns import Turns

SOURCES = 'abcd'


def test_sources_take_turns_however_fast_one_is():
    turns = Turns(1)
    for number in range(10):
        turns.put('fast', f'fast {number}')
    turns.put('slow', 'slow 0')
    assert turns.take() == ['fast 9']
    assert turns.put('fast', 'fast 10') == 0
    assert [turns.take(), turns.take(), turns.take()] == [['slow 0'], ['fast 10'], []]


def test_newer_frames_of_a_source_keep_its_place():
    turns = Turns(1)
    turns.put('a', 'a 0')
    turns.put('b', 'b 0')
    assert turns.put('a', 'a 1') == 1
    assert turns.take(2) == ['a 1', 'b 0']


def test_frames_of_one_source_are_taken_one_at_a_time_and_in_order():
    turns = Turns(3)
    for frame in ('a 0', 'a 1', 'a 2', 'a 3', 'b 0'):
        turns.put(frame[0], frame)
    assert [turns.take(5) for _ in range(4)] == [['a 1', 'b 0'], ['a 2'], ['a 3'], []]


@pytest.mark.parametrize('limit, taken', [(1, ['a4']), (2, ['a4', 'c4']), (9, ['a4', 'c4', 'd4'])])
def test_frames_of_other_keys_keep_their_places(limit, taken):
    turns = Turns(1)
    for frame in ('a4', 'b8', 'c4', 'd4'):
        turns.put(frame[0], frame)
    assert turns.take(limit, key=lambda frame: frame[1]) == taken
    assert turns.take() == ['b8']


@given(steps=st.lists(st.sampled_from([*SOURCES, 'take'])), depth=st.integers(1, 3),
       limit=st.integers(1, 3))
def test_a_waiting_frame_lets_each_other_source_go_first_at_most_once(steps, depth, limit):
    turns, made = Turns(depth), 0
    waiting = {source: [] for source in SOURCES}
    overtaken = {source: [] for source in SOURCES}  # by whom, while it waits
    for step in [*steps, *['take'] * len(steps)]:
        if step != 'take':
            waiting[step].append((step, made))
            given_up = turns.put(step, (step, made))
            assert given_up == (len(waiting[step]) > depth)
            del waiting[step][:given_up]
            made += 1
            continue
        batch = turns.take(limit)
        assert len(batch) == min(limit, sum(map(bool, waiting.values())))
        for source, number in batch:
            assert waiting[source].pop(0) == (source, number)
            overtaken[source] = []
        taken = {source for source, _ in batch}
        for source in set(SOURCES) - taken:
            overtaken[source] += taken if waiting[source] else []
            assert len(set(overtaken[source])) == len(overtaken[source])
    assert not any(waiting.values())


def test_clear_returns_all_that_waits():
    turns = Turns(2)
    for frame in ('a 0', 'b 0', 'a 1'):
        turns.put(frame[0], frame)
    assert sorted(turns.clear()) == ['a 0', 'a 1', 'b 0']
    assert turns.take() == []
