"""Book-keeping of a replay."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.demo.ledger import Ledger

TOPICS = ('a', 'b', 'c')


def answer(ledger, stamp, now, topics=TOPICS):
    """Let results for a frame come in."""
    return [ledger.receive(topic, stamp, now) for topic in topics]


def test_a_frame_is_done_when_every_topic_has_answered():
    ledger = Ledger(TOPICS)
    ledger.send(7, 1.0)
    assert (ledger.in_flight, ledger.frames_out) == (1, 0)
    assert answer(ledger, 7, 1.2, ('a', 'b')) == [True, True]
    assert (ledger.in_flight, ledger.frames_out) == (1, 0)
    assert ledger.receive('c', 7, 1.5)
    assert (ledger.in_flight, ledger.frames_out, ledger.frames_dropped) == (0, 1, 0)
    assert ledger.latencies == [0.5]


def test_messages_that_belong_to_no_frame_under_way_are_not_taken():
    ledger = Ledger(TOPICS)
    ledger.send(7, 1.0)
    assert not ledger.receive('a', 8, 1.1)
    assert not ledger.receive('d', 7, 1.1)
    assert answer(ledger, 7, 1.2) == [True] * 3
    assert not ledger.receive('a', 7, 1.3)


def test_a_frame_that_a_later_one_overtakes_was_dropped():
    ledger = Ledger(TOPICS)
    for stamp in (1, 2, 3):
        ledger.send(stamp, stamp)
    ledger.receive('a', 1, 4)
    answer(ledger, 2, 5)
    assert (ledger.in_flight, ledger.frames_out, ledger.frames_dropped) == (1, 1, 1)
    assert not ledger.receive('b', 1, 6)


def test_the_nodes_own_count_settles_frames_that_nothing_overtakes():
    ledger = Ledger(TOPICS)
    for stamp in (1, 2, 3):
        ledger.send(stamp, stamp)
    answer(ledger, 1, 4)
    ledger.settle(1, 5)
    assert ledger.in_flight == 2  # either 2 or 3 may still come
    ledger.settle(2, 6)
    assert (ledger.in_flight, ledger.frames_dropped) == (0, 2)
    assert ledger.last_event == 6


def test_two_frames_of_one_stamp_are_refused():
    ledger = Ledger(TOPICS)
    ledger.send(1, 0.0)
    with pytest.raises(ValueError, match='two frames have the stamp 1 ns'):
        ledger.send(1, 0.1)


def test_the_report_of_a_case_worked_out_by_hand():
    ledger = Ledger(TOPICS)
    for number in range(5):
        ledger.send(number, 10.0 + number)
        if number != 2:
            answer(ledger, number, 10.1 + number if number < 4 else 14.5)
    assert ledger.report() == {
        'frames_in': 5, 'frames_out': 4, 'frames_dropped': 1, 'seconds': 4.5, 'fps': 0.89,
        'latency_ms': {'p50': 100.0, 'p95': 440.0, 'max': 500.0}}


def test_the_report_of_nothing():
    assert Ledger(TOPICS).report() == {
        'frames_in': 0, 'frames_out': 0, 'frames_dropped': 0, 'seconds': 0.0, 'fps': 0.0,
        'latency_ms': {'p50': None, 'p95': None, 'max': None}}


@given(answered=st.lists(st.booleans(), min_size=1, max_size=30), window=st.integers(1, 4),
       data=st.data())
def test_every_frame_is_accounted_for_once(answered, window, data):
    """A node that works in order, drops some frames and answers on its topics one by one."""
    ledger, now = Ledger(TOPICS), 0.0
    waiting, dropped = [], 0
    for stamp, good in enumerate(answered):
        now += 1
        ledger.send(stamp, now)
        waiting.append((stamp, good))
        while waiting and (len(waiting) >= window or data.draw(st.booleans())):
            now += 1
            number, is_good = waiting.pop(0)
            dropped += not is_good
            if is_good:
                answer(ledger, number, now, data.draw(st.permutations(TOPICS)))
        assert ledger.frames_in == ledger.frames_out + ledger.frames_dropped + ledger.in_flight
    for number, is_good in waiting:
        now += 1
        dropped += not is_good
        if is_good:
            answer(ledger, number, now)
    ledger.settle(dropped, now)
    assert ledger.in_flight == 0
    assert ledger.frames_out == sum(answered)
    assert ledger.frames_dropped == len(answered) - sum(answered)
    assert all(0 < latency <= now for latency in ledger.latencies)
