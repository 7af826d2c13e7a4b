"""Options are declared once, and bad values are refused by name."""
import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.core.config import (
    DepthConfig,
    GroupingConfig,
    NetworkConfig,
    RefinementConfig,
    SelectionConfig,
    TrackingConfig,
    check_options,
    option,
    options_of,
)

CONFIGS = (NetworkConfig, GroupingConfig, RefinementConfig, SelectionConfig, TrackingConfig,
           DepthConfig)
WITH_NUMBERS = (NetworkConfig, GroupingConfig, RefinementConfig, TrackingConfig, DepthConfig)


@pytest.mark.parametrize('config', CONFIGS)
def test_every_option_can_be_shown_to_a_person(config):
    for item in options_of(config):
        assert len(item.help) > 10
        assert item.choices is None or item.default in item.choices
        assert item.type in (bool, int, float, str)
        # A parameter server wants a range for every number.
        assert item.type not in (int, float) or None not in (item.minimum, item.maximum)


def test_options_of_an_instance_have_its_values():
    values = {item.name: item.default for item in options_of(GroupingConfig(max_instances=7))}
    assert values == {'center_threshold': 0.7, 'duplicate_distance': 0.0, 'max_instances': 7}


@pytest.mark.parametrize('config', CONFIGS)
def test_bounds_are_part_of_the_range(config):
    for item in options_of(config):
        for value in (item.minimum, item.maximum):
            if value is not None:
                config(**{item.name: item.type(value)})


@given(st.sampled_from(WITH_NUMBERS), st.data())
def test_values_outside_the_range_are_refused_by_name(config, data):
    item = data.draw(st.sampled_from([o for o in options_of(config) if o.minimum is not None]))
    number = st.integers if item.type is int else st.floats
    beyond = (number(max_value=item.minimum) | number(min_value=item.maximum)).filter(
        lambda value: not item.minimum <= value <= item.maximum)
    with pytest.raises(ValueError, match=rf'{item.name}: expected a value from'):
        config(**{item.name: data.draw(beyond)})


@pytest.mark.parametrize('make, message', [
    (lambda: DepthConfig(nearest=3.0, farthest=3.0),
     r'depth.nearest: expected a value below depth.farthest \(3 m\), got 3'),
    (lambda: NetworkConfig(provider='gpu'),
     "network.provider: expected one of auto, cpu, cuda, tensorrt, got 'gpu'"),
    (lambda: NetworkConfig(threads=-1), r'network.threads: expected a value from 0'),
    (lambda: NetworkConfig(input_size=1.5), r'network.input_size: .* type int, got 1.5'),
    (lambda: RefinementConfig(iterations=5.0), r'refinement.iterations: .* type int, got 5.0'),
    (lambda: NetworkConfig(threads=float('nan')), r'network.threads: .* type int, got nan'),
    (lambda: NetworkConfig(input_size=9000), 'from 0 to 8192 px, got 9000'),
    (lambda: GroupingConfig(center_threshold='high'), "type float, got 'high'"),
    (lambda: SelectionConfig(['car']), "selection.classes: .* type str, got .'car'."),
    (lambda: GroupingConfig(center_threshold=True), 'type float, got True'),
    (lambda: GroupingConfig(center_threshold=float('nan')), 'expected a value from'),
])
def test_messages(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_check_options_of_any_dataclass():
    @dataclass(frozen=True)
    class Some:
        flag: bool = option(False, 'A flag')

    check_options(Some(True), 'some')
    with pytest.raises(ValueError, match=r'some\.flag: expected a value of type bool, got 1'):
        check_options(Some(1), 'some')


@pytest.mark.parametrize('minimum, maximum, words', [
    (1, None, 'of at least 1 px'), (None, 2.5, 'of at most 2.5 px'), (-1, 0, 'from -1 to 0 px'),
    (0, None, 'of at least 0 px')])
def test_bounds_are_told_in_words(minimum, maximum, words):
    @dataclass(frozen=True)
    class Some:
        size: int = option(0, 'A size', unit='px', minimum=minimum, maximum=maximum)

    assert next(options_of(Some)).bounds == words
    value = -9 if minimum is not None else 9
    with pytest.raises(ValueError, match=f'^size: expected a value {words}, got {value}$'):
        check_options(Some(value), '')


def test_configs_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GroupingConfig().max_instances = 3


def test_numpy_numbers_are_numbers():
    config = GroupingConfig(center_threshold=np.float32(0.5), max_instances=np.int64(3))
    assert (config.center_threshold, config.max_instances) == (0.5, 3)
