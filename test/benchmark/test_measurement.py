"""Calls that take turns."""
import pytest

from instseg_ros.benchmark.measurement import Times, measure
from instseg_ros.benchmark.stages import exponents


def test_calls_take_turns_after_one_call_each():
    calls = []
    times = measure({name: lambda name=name: calls.append(name) for name in 'ab'}, 2, turns=2,
                    yardstick={'slow': lambda: calls.append('slow')})
    assert calls == ['a', 'b', 'slow'] + 2 * ['a', 'b', 'a', 'b', 'slow']
    assert set(times) == {'a', 'b', 'slow'}
    assert all(value.wall_ms > 0 and value.cpu_ms > 0 for value in times.values())


def test_progress_sees_every_round():
    seen = []

    def progress(rounds):
        for number in rounds:
            seen.append(number)
            yield number
    measure({'a': lambda: None}, 3, progress)
    assert seen == [0, 1, 2, 3]


def test_the_ratio_is_how_much_longer_the_other_takes():
    assert Times(2, 4).ratios_to(Times(100, 100)) == {'wall': 50, 'cpu': 25}


@pytest.mark.parametrize('power', [0, .5, 1, 2])
def test_exponents_of_a_power_law(power):
    amounts = [0, 10, 100, 1000]
    points = [{'times': {'stage': {'cpu_ms': 3 * amount**power if amount else 7}}}
              for amount in amounts]
    assert exponents(points, amounts) == {'stage': pytest.approx(power)}
