"""Small objects, and what is around them, weigh more in the semantic loss."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.learning.losses import LossConfig, total_loss
from instseg_ros.learning.model import Prediction
from instseg_ros.learning.size_weights import AROUND, EMPTY_SIDE, LEAST_SIDE, size_weights

BOXES = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 70), st.integers(1, 90),
                           st.integers(1, 70)), max_size=4)


def drawn(boxes):
    """Return instance ids (1, 80, 100) with rectangles: left, top, width, height."""
    ids = torch.zeros(1, 80, 100, dtype=torch.int64)
    for k, (left, top, width, height) in enumerate(boxes, 1):
        ids[0, top:top + height, left:left + width] = k
    return ids


def test_the_weight_is_one_over_the_side_on_the_object_and_around_it():
    weights = size_weights(drawn([(20, 30, 16, 4)]), 1.0)[0]
    near = torch.zeros(80, 100, dtype=torch.bool)
    near[30 - 2:34 + 2, 20 - 5:36 + 5] = True
    assert (weights[near] == 1 / 8).all()
    assert (weights[~near] == 1 / EMPTY_SIDE).all()


@settings(max_examples=50, deadline=None)
@given(BOXES, st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_each_pixel_has_the_weight_of_the_smallest_object_near_it(boxes, power):
    ids = drawn(boxes)
    y, x = np.mgrid[:80, :100]
    sizes = np.full((80, 100), EMPTY_SIDE)
    for number in np.unique(ids):
        if number:
            rows, columns = np.nonzero(ids[0].numpy() == number)
            height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
            up, aside = 1 + int(AROUND * height), 1 + int(AROUND * width)
            near = ((y >= rows.min() - up) & (y <= rows.max() + up)
                    & (x >= columns.min() - aside) & (x <= columns.max() + aside))
            size = max(np.sqrt(height * width), LEAST_SIDE)
            sizes[near] = np.minimum(sizes[near], size)
    np.testing.assert_allclose(size_weights(ids, power)[0], sizes ** -power, rtol=1e-5)


def semantic_loss_without(lost, power):
    """Return the semantic loss where a network misses one of two objects, 4 and 32 pixels wide."""
    ids = drawn([(5, 5, 4, 4), (40, 30, 32, 32)])
    logits = 8.0 * torch.nn.functional.one_hot(
        ((ids > 0) & (ids != lost)).long(), 2).movedim(-1, 1) - 4.0
    prediction = Prediction(logits, torch.zeros(1, 80, 100), torch.zeros(1, 4, 80, 100))
    return total_loss(prediction, (ids > 0).long(), ids, torch.zeros(1, 80, 100), torch.ones(2),
                      LossConfig(object_size_power=power))['semantic'].item()


@pytest.mark.parametrize('power, ratio', [(0.0, 64.0), (1.0, 8.0), (2.0, 1.0)])
def test_a_power_of_1_makes_objects_count_as_their_sides_are_long(power, ratio):
    small, large = (semantic_loss_without(lost, power) for lost in (1, 2))
    right = semantic_loss_without(0, power)
    assert (large - right) / (small - right) == pytest.approx(ratio, rel=1e-3)
