"""Crowds: instances are pasted beside or behind those of their class, as large as they are."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.learning.augmentation import Sample
from instseg_ros.learning.crowds import paste_beside

PERSON, CAR = 1, 2
PERSON_BOX, CAR_BOX = np.s_[60:120, 100:130], np.s_[150:200, 20:120]


def street():
    """A crop with a person 60 pixels high and a car."""
    semantic, instances = np.zeros((256, 256), np.uint8), np.zeros((256, 256), np.uint16)
    semantic[PERSON_BOX], instances[PERSON_BOX] = PERSON, 3
    semantic[CAR_BOX], instances[CAR_BOX] = CAR, 7
    return Sample(np.zeros((256, 256, 3), np.uint8), semantic, instances, (0, 4))


def photograph(class_id=PERSON, height=120, width=60):
    """A white object before black."""
    semantic, instances = np.zeros((200, 200), np.uint8), np.zeros((200, 200), np.uint16)
    inside = np.s_[30:30 + height, 50:50 + width]
    semantic[inside], instances[inside] = class_id, 1
    return Sample(np.where(instances, 255, 0)[..., None].repeat(3, 2).astype(np.uint8), semantic,
                  instances)


def pasted(seed, class_id=None):
    return paste_beside(street(), photograph(), np.random.default_rng(seed), class_id)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10 ** 6), st.sampled_from([None, PERSON]))
def test_image_and_labels_change_together_and_elsewhere_nothing(seed, class_id):
    result, before = pasted(seed, class_id), street()
    new = result.instance_ids == 8
    assert new.any() and set(np.unique(result.instance_ids)) <= {0, 3, 7, 8}
    assert (result.semantic_ids[new] == PERSON).all() and (result.image[new] > 127).all()
    assert (result.image[~new] < 128).all()
    for name in ('semantic_ids', 'instance_ids'):
        got, want = getattr(result, name), getattr(before, name)
        assert got.dtype == want.dtype and np.array_equal(got[~new], want[~new])
    assert result.candidates == before.candidates


def test_it_is_as_high_as_its_neighbor_stands_beside_it_and_is_sometimes_behind():
    heights, distances, lower, hidden = [], [], [], []
    for seed in range(300):
        rows, columns = np.nonzero(pasted(seed).instance_ids == 8)
        hidden.append((pasted(seed).instance_ids == 3).sum() == 60 * 30)
        heights.append(rows.max() + 1 - rows.min())
        lower.append(rows.max() + 1)
        distances.append(abs(columns.mean() - 114.5))
    assert np.median(heights) == pytest.approx(60, rel=0.1)
    assert np.median(lower) == pytest.approx(120, abs=3)
    assert 0.9 * max(distances) < 30 * 2 and np.median(distances) > 8
    assert 0.2 < np.mean(hidden) < 0.7


def test_a_crop_depends_on_its_seed_alone():
    assert np.array_equal(pasted(3).image, pasted(3).image)
    assert not np.array_equal(pasted(3).image, pasted(4).image)


@pytest.mark.parametrize('source, class_id', [
    (photograph(class_id=5), None),  # nothing of its class is there
    (photograph(class_id=5), 5),
    (photograph(), CAR),  # the source has no car
    (photograph(height=30, width=30), None),  # too small
    (photograph(class_id=0), 0)])
def test_a_crop_stays_as_it_is_where_nothing_fits(source, class_id):
    onto = street()
    if class_id == 0:
        source.instance_ids[:] = 0
    assert paste_beside(onto, source, np.random.default_rng(0), class_id) is onto


def test_nothing_is_set_beside_what_is_hardly_seen():
    onto = street()
    onto.instance_ids[80:] = 0
    assert paste_beside(onto, photograph(), np.random.default_rng(0)) is onto


def test_nothing_is_enlarged_much():
    onto = street()
    onto.semantic_ids[:], onto.instance_ids[:] = PERSON, 3
    for seed in range(20):
        result = paste_beside(onto, photograph(height=50, width=40), np.random.default_rng(seed))
        rows = np.flatnonzero((result.instance_ids == 4).any(1))
        assert not len(rows) or rows[-1] + 1 - rows[0] <= 101
