"""Grouping equals the plain formulas, and does the right thing on cases worked out by hand."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_info

from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.grouping import assign_pixels, find_centers
from instseg_ros.core.model_info import ModelError
from instseg_ros.core.types import Centers, NetworkOutput

INFO = tiny_info()  # classes 0 to 4, all but 0 are things


def squared_distance(a, b):
    """Sum over the last axis, one term after the other, in single precision."""
    total = np.zeros(np.broadcast_shapes(a.shape, b.shape)[:-1], np.float32)
    for d in range(a.shape[-1]):
        difference = a[..., d] - b[..., d]
        total = total + difference * difference  # ** 2 of NumPy 1 has double precision
    return total


def reference_centers(output, info, config):
    """Return kept centers as (y, x) and the number of dropped ones, by definition."""
    candidates = [(y, x) for y, x in np.ndindex(output.center_heatmap.shape)
                  if output.center_heatmap[y, x] >= np.float32(config.center_threshold)
                  and output.center_heatmap[y, x] > 0
                  and output.semantic_ids[y, x] in info.thing_ids]
    candidates.sort(key=lambda p: -output.center_heatmap[p])  # stable: ties in raster order
    kept, dropped = [], 0
    limit = np.float32((config.duplicate_distance or info.duplicate_distance) ** 2)
    for p in candidates:
        if any(output.semantic_ids[p] == output.semantic_ids[q]
               and squared_distance(output.embedding[p], output.embedding[q]) < limit
               for q in kept):
            continue
        if len(kept) < config.max_instances:
            kept.append(p)
        else:
            dropped += 1
    return kept, dropped


def reference_assignment(output, centers):
    distances = np.stack([squared_distance(output.embedding, e) for e in centers.embeddings]
                         or [np.zeros(output.semantic_ids.shape, np.float32)])
    ids = np.zeros(output.semantic_ids.shape, np.uint16)
    for y, x in np.ndindex(ids.shape):
        own_centers = np.flatnonzero(centers.class_ids == output.semantic_ids[y, x])
        if len(own_centers):
            ids[y, x] = own_centers[np.argmin(distances[own_centers, y, x])] + 1
    return ids


@st.composite
def outputs(draw):
    """Draw maps with many ties: few classes, few confidences, embeddings on a coarse grid."""
    rng = np.random.default_rng(draw(st.integers(0, 2 ** 32 - 1)))
    shape = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    classes = draw(st.integers(1, 5))
    levels = draw(st.sampled_from([1, 2, 5, 1000]))
    steps = draw(st.sampled_from([1, 3, 1000]))
    density = draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    heatmap = rng.integers(0, levels + 1, shape) / levels * (rng.random(shape) < density)
    length = draw(st.sampled_from([1, 2, 7, 32]))
    embedding = rng.integers(0, steps + 1, (*shape, length)) / steps * draw(
        st.sampled_from([1, 4]))
    return NetworkOutput(
        semantic_ids=(5 - rng.integers(1, classes + 1, shape)).astype(np.uint8),
        center_heatmap=heatmap.astype(np.float32), embedding=embedding.astype(np.float32))


configs = st.builds(
    GroupingConfig, center_threshold=st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]),
    duplicate_distance=st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0]),
    max_instances=st.sampled_from([1, 3, 500]))


@settings(max_examples=300, deadline=None)
@given(outputs(), configs)
def test_equals_the_reference(output, config):
    centers, dropped = find_centers(output, INFO, config)
    kept, expected_dropped = reference_centers(output, INFO, config)
    assert [tuple(point) for point in centers.points.astype(int)] == kept
    assert dropped == expected_dropped
    for k, p in enumerate(kept):
        assert centers.confidences[k] == output.center_heatmap[p]
        assert centers.class_ids[k] == output.semantic_ids[p]
        assert np.array_equal(centers.embeddings[k], output.embedding[p])
    ids = assign_pixels(output, centers)
    assert np.array_equal(ids, reference_assignment(output, centers))


@settings(max_examples=60, deadline=None)
@given(outputs(), configs)
def test_instances_are_of_one_class_and_hold_their_center(output, config):
    centers, _ = find_centers(output, INFO, config)
    ids = assign_pixels(output, centers)
    for k in range(len(centers)):
        assert set(output.semantic_ids[ids == k + 1]) <= {centers.class_ids[k]}
    has_center = np.isin(output.semantic_ids, centers.class_ids)
    assert np.array_equal(ids > 0, has_center)
    points = tuple(centers.points.astype(int).T)
    assert np.array_equal(ids[points], np.arange(1, len(centers) + 1))


@pytest.mark.parametrize('shape, count, length', [((256, 130), 60, 32), ((9, 513), 300, 5)])
def test_equals_the_reference_on_larger_maps(shape, count, length):
    rng = np.random.default_rng(1)
    output = NetworkOutput(
        rng.integers(0, 5, shape).astype(np.uint8), np.zeros(shape, np.float32),
        rng.normal(size=(*shape, length)).astype(np.float32))
    centers = Centers(np.zeros((count, 2), np.float32), np.ones(count, np.float32),
                      rng.integers(0, 4, count).astype(np.uint8),
                      rng.normal(size=(count, length)).astype(np.float32))
    expected = reference_assignment(output, centers)
    for threads in (1, 2, 5):
        assert np.array_equal(assign_pixels(output, centers, threads), expected)


def test_equals_the_reference_on_thousands_of_maps():
    rng = np.random.default_rng(2)
    kinds = set()
    for _ in range(2000):
        shape = rng.integers(1, 9, 2)
        length = int(rng.integers(1, 10))
        steps = rng.choice([1, 3, 1000])  # few values make ties
        embedding = rng.integers(0, steps + 1, (*shape, length)) / steps
        heatmap = rng.integers(0, 6, shape) / 5 * (rng.random(shape) < rng.random())
        output = NetworkOutput(rng.integers(0, 5, shape).astype(np.uint8),
                               heatmap.astype(np.float32), embedding.astype(np.float32))
        config = GroupingConfig(duplicate_distance=float(rng.choice([0, 0.5, 1])),
                                max_instances=int(rng.integers(1, 20)))
        centers, dropped = find_centers(output, INFO, config)
        kept, expected_dropped = reference_centers(output, INFO, config)
        assert [tuple(point) for point in centers.points.astype(int)] == kept
        assert dropped == expected_dropped
        ids = assign_pixels(output, centers)
        assert np.array_equal(ids, reference_assignment(output, centers))
        kinds.add((len(centers) > 1, dropped > 0, bool((ids == 0).any())))
    assert len(kinds) >= 6  # with and without centers, dropped ones and pixels without an instance


def test_more_centers_than_a_block_holds_are_compared_with_each_other():
    rng = np.random.default_rng(3)
    shape = 1, 400
    embedding = rng.normal(size=(*shape, 6)).astype(np.float32)
    embedding[0, 250:] = embedding[0, 150:0:-1] + np.float32(0.1)  # duplicates of weaker ones
    output = NetworkOutput(rng.integers(1, 3, shape).astype(np.uint8),
                           np.linspace(1, 0.75, 400, dtype=np.float32)[np.newaxis], embedding)
    for most in (64, 65, 128, 500):
        config = GroupingConfig(duplicate_distance=0.5, max_instances=most)
        centers, dropped = find_centers(output, INFO, config)
        kept, expected_dropped = reference_centers(output, INFO, config)
        assert [tuple(point) for point in centers.points.astype(int)] == kept
        assert dropped == expected_dropped and len(kept) >= 64


def row(classes, confidences, values):
    """Return an output of one row with embeddings of length 1."""
    grid = np.array([confidences], np.float32)
    return NetworkOutput(np.array([classes], np.uint8), grid,
                         np.array([values], np.float32)[..., np.newaxis])


def points(centers):
    return centers.points[:, 1].astype(int).tolist()


def test_strongest_first_and_the_threshold_itself_is_enough():
    output = row([1] * 5, [0.5, 0.9, 0.7, 0.69, 0.8], [0, 10, 20, 30, 40])
    centers, dropped = find_centers(output, INFO)
    assert points(centers) == [1, 4, 2] and dropped == 0
    assert centers.points.tolist() == [[0, 1], [0, 4], [0, 2]]


def test_centers_on_stuff_are_dropped():
    centers, _ = find_centers(row([0, 1], [0.9, 0.8], [0, 10]), INFO)
    assert points(centers) == [1]
    stuff_only = dataclasses.replace(INFO, thing_ids=())
    assert len(find_centers(row([0, 1], [0.9, 0.8], [0, 10]), stuff_only)[0]) == 0


def test_a_threshold_of_zero_takes_local_maxima_only():
    centers, _ = find_centers(row([1, 1], [0.0, 0.1], [0, 10]), INFO,
                              GroupingConfig(center_threshold=0.0))
    assert points(centers) == [1]


def test_duplicates_are_dropped_within_a_class_only():
    centers, _ = find_centers(row([1, 1, 2], [0.9, 0.8, 0.75], [0, 1, 1]), INFO)
    assert points(centers) == [0, 2]


def test_a_dropped_center_drops_no_other():
    # 1 is a duplicate of 0, and 2 is near to 1, but not to 0.
    centers, _ = find_centers(row([1, 1, 1], [0.9, 0.8, 0.75], [0, 1, 2]), INFO)
    assert points(centers) == [0, 2]


def test_exactly_the_duplicate_distance_is_no_duplicate():
    distance = INFO.duplicate_distance
    centers, _ = find_centers(row([1, 1], [0.9, 0.8], [0, distance]), INFO)
    assert points(centers) == [0, 1]


@pytest.mark.parametrize('own, option, kept', [
    (2, 0, 1), (0.5, 0, 2), (0.5, 2, 1), (2, 0.5, 2), (0, 0, 2)])
def test_the_model_has_a_duplicate_distance_that_the_option_may_override(own, option, kept):
    info = dataclasses.replace(INFO, duplicate_distance=own)
    centers, _ = find_centers(row([1, 1], [0.9, 0.8], [0, 1]), info,
                              GroupingConfig(duplicate_distance=option))
    assert len(centers) == kept


def test_max_instances_drops_the_weakest_and_counts_no_duplicates():
    output = row([1] * 4, [0.9, 0.8, 0.95, 0.85], [0, 10, 20, 0.5])
    centers, dropped = find_centers(output, INFO, GroupingConfig(max_instances=1))
    assert points(centers) == [2] and dropped == 3
    centers, dropped = find_centers(output, INFO, GroupingConfig(max_instances=2))
    assert points(centers) == [2, 0] and dropped == 1  # 3 is a duplicate of 0


def test_without_centers_nothing_is_assigned():
    output = row([1, 0, 2], [0, 0, 0], [0, 0, 0])
    centers, dropped = find_centers(output, INFO)
    assert len(centers) == 0 and dropped == 0 and centers.embeddings.shape == (0, 1)
    assert assign_pixels(output, centers).tolist() == [[0, 0, 0]]


def test_things_without_a_center_of_their_class_belong_to_no_instance():
    output = row([1, 2, 1, 0], [0.9, 0, 0, 0], [0, 0, 50, 0])
    assert assign_pixels(output, find_centers(output, INFO)[0]).tolist() == [[1, 0, 1, 0]]


def test_nearest_center_wins_and_the_stronger_one_in_a_tie():
    output = row([1] * 5, [0.8, 0, 0, 0, 0.9], [0, 1, 2, 3, 4])
    assert assign_pixels(output, find_centers(output, INFO)[0]).tolist() == [[2, 2, 1, 1, 1]]


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 1e30])
def test_embeddings_that_can_not_be_compared_are_refused(value):
    of_center = row([1] * 2, [0.9, 0], [value, 0])
    if not np.isfinite(value):
        with pytest.raises(ModelError, match='output embedding: expected finite numbers'):
            find_centers(of_center, INFO)
    of_pixel = row([1] * 100, [0.9] + 99 * [0], [0] * 60 + [value] + [0] * 39)
    centers, _ = find_centers(of_pixel, INFO)
    with pytest.raises(ModelError, match='output embedding: expected finite numbers'):
        assign_pixels(of_pixel, centers)


def test_embeddings_of_pixels_without_a_center_do_not_matter():
    output = row([1, 2, 0], [0.9, 0, 0], [0, np.nan, np.nan])
    assert assign_pixels(output, find_centers(output, INFO)[0]).tolist() == [[1, 0, 0]]


def test_as_many_centers_as_ids_are_refused_beyond_16_bits():
    output, many = row([1], [0], [0]), 65536
    centers = Centers(np.zeros((many, 2), np.float32), np.zeros(many, np.float32),
                      np.ones(many, np.uint8), np.zeros((many, 1), np.float32))
    with pytest.raises(ValueError, match='centers: expected at most 65535, got 65536'):
        assign_pixels(output, centers)


def test_embeddings_of_another_length_are_refused():
    output = row([1], [0.9], [0])
    centers, _ = find_centers(output, INFO)
    longer = dataclasses.replace(centers, embeddings=np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match=r'embeddings: expected shape \(1, 1\), got \(1, 3\)'):
        assign_pixels(output, longer)
