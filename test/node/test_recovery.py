"""What follows when images are lost in a row, without ROS."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.node.recovery import FAILURES, Recovery


@pytest.fixture
def make():
    """Return a recovery with the list of what it did; each wake-up is followed at once."""
    def make_recovery(delayed=False):
        done = []
        recovery = Recovery(lambda: None if delayed else act())

        def act():
            recovery.act(lambda reason: done.append(('rebuild', reason)),
                         lambda reason: done.append(('give up', reason)))
        return recovery, done, act
    return make_recovery


def fail(recovery, count):
    for number in range(count):
        recovery.failed(ValueError(f'the lamp is off, {number}'))


def test_a_few_failures_call_for_nothing(make):
    recovery, done, _ = make()
    for _ in range(10):
        fail(recovery, FAILURES - 1)
        recovery.succeeded()
    assert done == []


def test_the_session_is_rebuilt_once_and_then_the_node_gives_up(make):
    recovery, done, _ = make()
    fail(recovery, 2 * FAILURES)
    assert [measure for measure, _ in done] == ['rebuild', 'give up']
    assert done[0][1] == ('3 images in a row were lost, the last one to ValueError: the lamp is '
                          'off, 2')


def test_a_result_after_the_rebuild_makes_the_next_incident_a_new_one(make):
    recovery, done, _ = make()
    for _ in range(3):
        fail(recovery, FAILURES)
        recovery.succeeded()
    assert [measure for measure, _ in done] == ['rebuild'] * 3


def test_images_lost_until_the_measure_is_taken_count_for_nothing_more(make):
    recovery, done, act = make(delayed=True)
    fail(recovery, 5 * FAILURES)
    act()
    act()
    fail(recovery, FAILURES - 1)
    act()
    assert [measure for measure, _ in done] == ['rebuild']
    fail(recovery, 1)
    act()
    assert [measure for measure, _ in done] == ['rebuild', 'give up']


def test_a_result_that_comes_before_the_measure_makes_it_unnecessary(make):
    recovery, done, act = make(delayed=True)
    fail(recovery, FAILURES)
    recovery.succeeded()
    act()
    assert done == []


@given(st.lists(st.booleans(), max_size=40))
def test_it_never_gives_up_without_as_many_failures_after_a_rebuild(results):
    recovery = Recovery(lambda: recovery.act(lambda reason: done.append('rebuild'),
                                             lambda reason: done.append('give up')))
    done, in_row, expected = [], 0, []
    for is_good in results:
        if is_good:
            recovery.succeeded()
            in_row = 0
        else:
            fail(recovery, 1)
            in_row += 1
            if in_row % FAILURES == 0:
                expected.append('rebuild' if in_row == FAILURES else 'give up')
    assert done == expected
