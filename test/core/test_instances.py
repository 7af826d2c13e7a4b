"""The extent of instances equals that of each one's mask, and scores follow their calibration."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_info

from instseg_ros.core.instances import instance_scores, instance_table

INFO = tiny_info()


@st.composite
def maps(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2 ** 32 - 1)))
    count = draw(st.integers(0, 12))
    shape = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    ids = rng.integers(0, count + 1, shape).astype(np.uint16)
    return np.repeat(ids, draw(st.integers(1, 5)), axis=1), count


@settings(max_examples=200, deadline=None)
@given(maps())
def test_table_equals_a_look_at_each_instance(drawn):
    ids, count = drawn
    table = instance_table(ids, count)
    assert table.boxes_xyxy.shape == (count, 4) and table.areas.shape == (count,)
    for k in range(count):
        ys, xs = np.nonzero(ids == k + 1)
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(ys) else [0, 0, 0, 0]
        assert table.boxes_xyxy[k].tolist() == box
        assert table.areas[k] == len(ys)


def test_table_equals_the_slow_way_on_thousands_of_maps():
    rng = np.random.default_rng(1)
    empty = 0
    for _ in range(3000):
        shape, count = rng.integers(1, 10, 2), int(rng.integers(0, 6))
        ids = rng.integers(0, count + 1, shape).astype(np.uint16)
        ids = ids.repeat(rng.integers(1, 13), axis=1)
        table = instance_table(ids, count)
        for k in range(count):
            ys, xs = np.nonzero(ids == k + 1)
            empty += not len(ys)
            box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(ys) else [0, 0, 0, 0]
            assert table.boxes_xyxy[k].tolist() == box and table.areas[k] == len(ys)
    assert empty


def test_map_that_is_a_view():
    ids = np.zeros((6, 8), np.uint16)
    ids[1:3, 2:7:2] = 1
    table = instance_table(ids[:, ::2], 1)
    assert table.boxes_xyxy.tolist() == [[1, 1, 4, 3]] and table.areas.tolist() == [6]


def test_id_beyond_the_table_is_an_error():
    ids = np.array([[0, 3]], np.uint16)
    with pytest.raises(ValueError, match='instance_ids: expected ids up to 2, got 3'):
        instance_table(ids, 2)
    with pytest.raises(TypeError, match='instance_ids: expected dtype uint16'):
        instance_table(ids.astype(int), 3)


@given(scale=st.floats(0.1, 5), shift=st.floats(-5, 5),
       confidences=st.lists(st.floats(2 ** -20, 1, width=32), max_size=20))
def test_scores_are_a_monotone_map_of_center_confidences(scale, shift, confidences):
    ordered = np.sort(np.array(confidences, np.float32))
    assert instance_scores(ordered, INFO) == pytest.approx(ordered.astype(float))
    info = dataclasses.replace(INFO, score_scale=scale, score_shift=shift)
    scores = instance_scores(ordered, info)
    assert np.all(np.diff(scores) >= 0) and np.all((scores >= 0) & (scores <= 1))
