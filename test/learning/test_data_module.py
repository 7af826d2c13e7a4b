"""The split into training and validation images, and shares of several processes."""
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.learning.data_module import Share, split_images


class Numbers:
    """A sampler whose epochs are other numbers."""

    def __init__(self, count):
        self.count = count
        self.epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.count

    def __iter__(self):
        return iter(range(self.epoch * self.count, (self.epoch + 1) * self.count))


@settings(deadline=None)
@given(count=st.integers(0, 50), processes=st.integers(1, 8), epoch=st.integers(0, 3))
def test_shares_are_disjoint_equally_long_and_leave_out_next_to_nothing(count, processes, epoch):
    shares = [Share(Numbers(count), rank, processes) for rank in range(processes)]
    for share in shares:
        share.set_epoch(epoch)
    numbers = [list(share) for share in shares]
    assert {len(share) for share in numbers} == {len(shares[0])}
    together = {number for share in numbers for number in share}
    assert len(together) == sum(map(len, numbers))
    assert count - processes < len(together) <= count
    assert together <= set(range(epoch * count, (epoch + 1) * count))


@settings(deadline=None)
@given(shows=st.lists(st.booleans(), max_size=60), wanted=st.integers(0, 20),
       seed=st.integers(0, 2 ** 32))
def test_all_validation_images_show_an_object_and_all_others_are_trained_on(shows, wanted, seed):
    training, validation = split_images(shows, wanted, seed)
    assert all(shows[index] for index in validation)
    assert len(validation) == min(wanted, sum(shows) // 4)
    assert sorted(training + validation) == list(range(len(shows)))
    assert training == sorted(training) and validation == sorted(validation)
    assert split_images(shows, wanted, seed) == (training, validation)
