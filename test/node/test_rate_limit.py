"""The limit of the rate of images, with made-up times."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.node.rate_limit import RateLimit


def passed(rate, times):
    limit = RateLimit(rate)
    return [time for time in times if limit.allows(time)]


def regular(rate, seconds, start=0.0):
    return [start + number / rate for number in range(round(rate * seconds))]


@given(rate=st.floats(0.1, 200), gaps=st.lists(st.floats(0, 3), max_size=200))
def test_the_rate_is_never_exceeded(rate, gaps):
    times = [sum(gaps[:number]) for number in range(len(gaps))]
    kept = passed(rate, times)
    for first in range(len(kept)):
        for last in range(first, len(kept)):
            # A period's worth of unevenness: an image may come late, the next one on time.
            assert last - first <= (kept[last] - kept[first]) * rate + 1 + 1e-6


@pytest.mark.parametrize('camera, rate', [(30, 10), (30, 15), (30, 7), (25, 10), (200, 33)])
def test_a_regular_camera_gets_the_whole_rate(camera, rate):
    assert len(passed(rate, regular(camera, 10))) == pytest.approx(10 * rate, abs=1)


@pytest.mark.parametrize('rate', [0.0, 30.0, 100.0])
def test_a_slower_camera_loses_nothing(rate):
    times = regular(29, 10)
    assert passed(rate, times) == times


def test_no_burst_follows_a_pause():
    limit = RateLimit(10)
    assert limit.allows(0.0) and limit.allows(100.0)
    assert [limit.allows(100 + number / 1000) for number in range(1, 90)].count(True) == 0


def test_a_change_takes_effect_at_once():
    limit = RateLimit(0.1)
    assert limit.allows(0.0) and not limit.allows(1.0)
    limit.rate = 10
    assert not limit.allows(1.05) and limit.allows(1.16)
    limit.rate = 0
    assert all(limit.allows(1.16) for _ in range(10))
