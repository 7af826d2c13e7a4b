"""Counting and timing of images."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.node.statistics import Statistics


def info(number, publisher=b'a'):
    return {'publication_sequence_number': number, 'publisher_gid': {'data': publisher}}


def test_gaps_in_the_numbers_of_a_publisher_are_superseded_images():
    statistics = Statistics(0.0)
    for number, publisher in [(5, b'a'), (6, b'a'), (100, b'b'), (10, b'a'), (101, b'b')]:
        statistics.frame_arrived(info(number, publisher))
    assert (statistics.frames_in, statistics.frames_superseded) == (5, 3)


def test_a_middleware_that_numbers_nothing_supersedes_nothing():
    statistics = Statistics(0.0)
    for _ in range(2):
        statistics.frame_arrived({'publication_sequence_number': None, 'publisher_gid': None})
        statistics.frame_arrived({})
    assert (statistics.frames_in, statistics.frames_superseded) == (4, 0)


def test_an_image_that_is_given_up_is_superseded_like_one_that_never_arrived():
    statistics = Statistics(0.0)
    for number in (1, 2, 5):
        statistics.frame_arrived(info(number))
    statistics.frames_given_up(1)
    assert (statistics.frames_in, statistics.frames_superseded) == (2, 3)


@settings(deadline=None)
@given(fates=st.lists(st.sampled_from(['arrived', 'lost', 'superseded']), max_size=30),
       late=st.booleans())
def test_every_image_is_in_one_count(fates, late):
    """Whether the middleware reports a loss before the next image or after it."""
    statistics, lost = Statistics(0.0), 0
    for number, fate in enumerate(['arrived', *fates, 'arrived']):
        lost += fate == 'lost'
        if fate != 'arrived':
            continue
        if not late:
            statistics.frames_missed(lost)
        statistics.frame_arrived(info(number))
        if late:
            statistics.frames_missed(lost)
        lost = 0
    assert (statistics.frames_in, statistics.frames_lost, statistics.frames_superseded) == (
        fates.count('arrived') + 2, fates.count('lost'), fates.count('superseded'))


def test_images_that_are_lost_before_the_first_one_explain_no_later_gap():
    statistics = Statistics(0.0)
    statistics.frames_missed(7)
    for number in (8, 10):
        statistics.frame_arrived(info(number))
    assert (statistics.frames_lost, statistics.frames_superseded) == (7, 1)


@pytest.mark.parametrize('age, shown', [(None, ''), (0.25, '250.000'), (-0.01, '-10.000'),
                                        (1e9, ''), (-1e9, '')])
def test_an_age_by_another_clock_is_not_shown(age, shown):
    statistics = Statistics(0.0)
    statistics.frame_done({}, 0.1, age=age)
    assert statistics.report(1.0)['age_ms'] == shown


def test_dropped_instances_add_up():
    statistics = Statistics(0.0)
    for count in (0, 3, 4):
        statistics.frame_done({}, 0.1, instances_dropped=count)
    assert statistics.report(1.0)['instances_dropped'] == '7'


def test_rates_are_recent_and_stages_are_means_since_activation():
    statistics = Statistics(10.0)
    statistics.frame_done({'network': 0.1, 'grouping': 0.01}, 0.2)
    values = statistics.report(12.0)
    assert (values['fps'], values['latency_ms']) == ('0.50', '200.000')
    statistics.frame_done({'network': 0.3, 'grouping': 0.02}, 0.4)
    statistics.frame_done({'network': 0.2, 'grouping': 0.03}, 0.6)
    values = statistics.report(13.0)
    assert (values['fps'], values['latency_ms'], values['frames_out']) == ('2.00', '500.000', '3')
    assert (values['stage_ms.network'], values['stage_ms.grouping']) == ('200.000', '20.000')
