"""Which depth image belongs to a colour image."""
import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.node.depth_matching import KEPT, DepthMatcher

MS = 10 ** 6
LONG = 30.0
stamps = st.lists(st.integers(0, 2000), min_size=1, max_size=KEPT, unique=True).map(sorted)


@given(stamps, st.integers(-50, 2100), st.integers(0, 300))
def test_the_nearest_within_the_tolerance_is_taken(known, wanted, tolerance):
    matcher = DepthMatcher()
    for stamp in known:
        matcher.put(stamp, stamp)
    found = matcher.take(wanted, tolerance, 0.0)
    nearest = min(abs(stamp - wanted) for stamp in known)
    if nearest <= tolerance:
        assert abs(found - wanted) == nearest
    else:
        assert found is None


@given(stamps, st.lists(st.integers(0, 2000), min_size=1, max_size=20).map(sorted))
def test_images_in_order_all_find_theirs_although_earlier_ones_are_forgotten(known, wanted):
    matcher = DepthMatcher()
    for stamp in known:
        matcher.put(stamp, stamp)
    for stamp in wanted:
        found = matcher.take(stamp, 2000, 0.0)
        assert abs(found - stamp) == min(abs(other - stamp) for other in known)


def test_a_later_image_ends_the_wait_and_an_exact_one_too():
    matcher = DepthMatcher()
    matcher.put(10 * MS, 'early')
    for stamp, item, wanted, found in [(30 * MS, 'exact', 30 * MS, 'exact'),
                                       (90 * MS, 'late', 60 * MS, None)]:
        timer = threading.Timer(0.05, matcher.put, (stamp, item))
        timer.start()
        assert matcher.take(wanted, 20 * MS, LONG) == found
        timer.join()


def test_the_wait_ends_after_its_time_and_does_not_begin_without_a_stream():
    matcher = DepthMatcher()
    assert matcher.is_silent
    begun = time.monotonic()
    assert matcher.take(0, MS, LONG) is None  # nobody publishes
    assert time.monotonic() - begun < LONG / 2
    matcher.put(10 * MS, 'early')
    assert not matcher.is_silent
    assert matcher.take(20 * MS, 15 * MS, 0.01) == 'early'
    assert matcher.take(50 * MS, 15 * MS, 0.01) is None


def test_closing_ends_the_wait():
    matcher = DepthMatcher()
    matcher.put(0, 'early')
    timer = threading.Timer(0.05, matcher.close)
    timer.start()
    assert matcher.take(1000 * MS, MS, LONG) is None
    assert matcher.take(1000 * MS, MS, LONG) is None
    timer.join()


def test_a_jump_back_forgets_what_came_ahead_of_it():
    matcher = DepthMatcher()
    for stamp in (0, 10, 20, 30):
        matcher.put(stamp * MS, f'first {stamp}')
    matcher.put(10 * MS, 'second 10')
    assert matcher.take(10 * MS, 4 * MS, 0.0) == 'second 10'
    timer = threading.Timer(0.05, matcher.put, (20 * MS, 'second 20'))
    timer.start()
    assert matcher.take(20 * MS, 4 * MS, LONG) == 'second 20'
    timer.join()


def test_repeated_stamps_give_the_newest_image():
    matcher = DepthMatcher()
    for number in range(5):
        matcher.put(0, number)
        assert matcher.take(0, 0, 0.0) == number


def test_no_more_images_are_kept_than_allowed():
    matcher = DepthMatcher()
    for number in range(3 * KEPT):
        matcher.put(number, number)
    assert matcher.take(0, 3 * KEPT, 0.0) == 2 * KEPT
