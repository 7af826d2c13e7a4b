"""Order and overlap of the stages."""
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.recorded.pipeline import run_in_order


@given(takes_part=st.lists(st.booleans(), max_size=30), depth=st.integers(1, 5))
def test_everything_comes_back_in_order(takes_part, depth):
    results = list(run_in_order(enumerate(takes_part), [lambda n: n + 1, lambda n: 2 * n], depth))
    assert [item for item, _ in results] == list(range(len(takes_part)))
    assert [future.result() if future else None for _, future in results] == [
        2 * (number + 1) if part else None for number, part in enumerate(takes_part)]


def test_an_error_belongs_to_its_item():
    def reciprocal(number):
        return 1 / number

    results = run_in_order([(1, True), (0, True), (2, True)], [reciprocal, str], 2)
    futures = [future for _, future in results]
    assert (futures[0].result(), futures[2].result()) == ('1.0', '0.5')
    with pytest.raises(ZeroDivisionError):
        futures[1].result()


def test_stages_work_at_the_same_time():
    """The first stage ends an item only when the second has begun the one before."""
    second_begins = [threading.Event() for _ in range(3)]

    def first(number):
        if number:
            assert second_begins[number - 1].wait(60)
        return number

    def second(number):
        second_begins[number].set()
        return number

    results = run_in_order([(number, True) for number in range(3)], [first, second], 3)
    assert [future.result() for _, future in results] == [0, 1, 2]


def test_no_more_items_are_taken_than_there_is_room_for():
    taken = []

    def items():
        for number in range(10):
            taken.append(number)
            yield number, True

    results = run_in_order(items(), [lambda n: n], 3)
    next(results)
    assert len(taken) == 4
    results.close()
    assert len(taken) == 4
