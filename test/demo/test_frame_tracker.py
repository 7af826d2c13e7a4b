"""Book-keeping of a replay."""
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.demo.frame_tracker import FrameTracker

TOPICS = ('a', 'b', 'c')


def answer(tracker, stamp, now, topics=TOPICS):
    """Let results for a frame come in."""
    return [tracker.receive(topic, stamp, now) for topic in topics]


def test_a_frame_is_done_when_every_topic_has_answered():
    tracker = FrameTracker(TOPICS)
    tracker.send(7, 1.0)
    assert (tracker.in_flight, tracker.frames_out) == (1, 0)
    assert answer(tracker, 7, 1.2, ('a', 'b')) == [0, 0]
    assert (tracker.in_flight, tracker.frames_out) == (1, 0)
    assert tracker.receive('c', 7, 1.5) == 0
    assert (tracker.in_flight, tracker.frames_out, tracker.frames_dropped) == (0, 1, 0)
    assert tracker.latencies == [0.5]


def test_messages_that_belong_to_no_frame_under_way_are_not_taken():
    tracker = FrameTracker(TOPICS)
    tracker.send(7, 1.0)
    assert tracker.receive('a', 8, 1.1) is None
    assert tracker.receive('d', 7, 1.1) is None
    assert answer(tracker, 7, 1.2) == [0] * 3
    assert tracker.receive('a', 7, 1.3) is None


def test_a_frame_that_a_later_one_overtakes_was_dropped():
    tracker = FrameTracker(TOPICS)
    for stamp in (1, 2, 3):
        tracker.send(stamp, stamp)
    tracker.receive('a', 1, 4)
    answer(tracker, 2, 5)
    assert (tracker.in_flight, tracker.frames_out, tracker.frames_dropped) == (1, 1, 1)
    assert tracker.receive('b', 1, 6) is None


def test_the_nodes_own_count_settles_frames_that_nothing_overtakes():
    tracker = FrameTracker(TOPICS)
    for stamp in (1, 2, 3):
        tracker.send(stamp, stamp)
    answer(tracker, 1, 4)
    tracker.settle(1, 5)
    assert tracker.in_flight == 2  # either 2 or 3 may still come
    tracker.settle(2, 6)
    assert (tracker.in_flight, tracker.frames_dropped) == (0, 2)
    assert tracker.last_event == 6


def test_frames_of_one_stamp_are_answered_in_the_order_of_sending():
    tracker = FrameTracker(TOPICS)
    assert [tracker.send(0, now) for now in (0.0, 0.5, 1.0)] == [0, 1, 2]
    assert [tracker.receive(topic, 0, 2.0) for topic in 'aabcbc'] == [0, 1, 0, 0, 1, 1]
    assert (tracker.in_flight, tracker.frames_out, tracker.frames_dropped) == (1, 2, 0)
    assert tracker.latencies == [2.0, 1.5]


def test_a_frame_that_cannot_be_sent_counts_as_dropped():
    tracker = FrameTracker(TOPICS)
    tracker.leave_out()
    assert (tracker.in_flight, tracker.frames_in, tracker.frames_dropped) == (0, 1, 1)
    assert tracker.send(5, 1.0) == 1
    tracker.settle(0, 2.0)
    assert tracker.in_flight == 1


def test_the_report_of_a_case_worked_out_by_hand():
    tracker = FrameTracker(TOPICS)
    for number in range(5):
        tracker.send(number, 10.0 + number)
        if number != 2:
            answer(tracker, number, 10.1 + number if number < 4 else 14.5)
    assert tracker.report() == {
        'frames_in': 5, 'frames_out': 4, 'frames_dropped': 1, 'seconds': 4.5, 'fps': 0.89,
        'latency_ms': {'p50': 100.0, 'p95': 440.0, 'max': 500.0}}


def test_the_report_of_nothing():
    assert FrameTracker(TOPICS).report() == {
        'frames_in': 0, 'frames_out': 0, 'frames_dropped': 0, 'seconds': 0.0, 'fps': 0.0,
        'latency_ms': {'p50': None, 'p95': None, 'max': None}}


@given(answered=st.lists(st.booleans(), min_size=1, max_size=30), window=st.integers(1, 4),
       data=st.data())
def test_every_frame_is_accounted_for_once(answered, window, data):
    """A node that works in order, drops some frames and answers on its topics one by one."""
    tracker, now = FrameTracker(TOPICS), 0.0
    waiting, dropped = [], 0
    for stamp, good in enumerate(answered):
        now += 1
        tracker.send(stamp, now)
        waiting.append((stamp, good))
        while waiting and (len(waiting) >= window or data.draw(st.booleans())):
            now += 1
            number, is_good = waiting.pop(0)
            dropped += not is_good
            if is_good:
                answer(tracker, number, now, data.draw(st.permutations(TOPICS)))
        assert tracker.frames_in == tracker.frames_out + tracker.frames_dropped + tracker.in_flight
    for number, is_good in waiting:
        now += 1
        dropped += not is_good
        if is_good:
            answer(tracker, number, now)
    tracker.settle(dropped, now)
    assert tracker.in_flight == 0
    assert tracker.frames_out == sum(answered)
    assert tracker.frames_dropped == len(answered) - sum(answered)
    assert all(0 < latency <= now for latency in tracker.latencies)
