"""The compiled refinement against slow and obvious computations, and against scikit-image."""
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from refinement_scenes import disc_scene, scenes
from slow_refinement import slow_bilateral, slow_slic

from instseg_ros.benchmark.reference import reference_refine, vote
from instseg_ros.core.config import RefinementConfig
from instseg_ros.core.refinement import refine
from instseg_ros.core.refinement.pixels import first_index, nearest_index
from instseg_ros.evaluation.boundary import BoundaryScore, boundary_score

SLOW = {'slic': slow_slic, 'bilateral': slow_bilateral}


@pytest.mark.parametrize('method', SLOW)
@settings(max_examples=40, deadline=None)
@given(scene=scenes(largest=36), size=st.floats(1, 4), unit=st.floats(1, 40),
       purity=st.floats(0.5, 1), iterations=st.integers(1, 3))
def test_kernels_compute_what_the_slow_way_computes(method, scene, size, unit, purity, iterations):
    image, semantic_ids, instance_ids, scale = scene
    assume(max(scale) <= 1)
    config = RefinementConfig(method=method, superpixel_size=size, compactness=unit,
                              color_sigma=unit, purity=purity, iterations=iterations)
    semantic, instance = refine(*scene, config)
    codes = semantic_ids.astype(np.uint32) << 16 | instance_ids
    slow = SLOW[method](image, codes, scale, config)
    expected = codes if min(scale) == 1 else slow
    np.testing.assert_array_equal(semantic.astype(np.uint32) << 16 | instance, expected)


@pytest.mark.parametrize('method, count', [('slic', 600), ('bilateral', 1000)])
def test_kernels_compute_what_the_slow_way_computes_on_thousands_of_maps(method, count):
    rng = np.random.default_rng(5)
    changed = 0
    for _ in range(count):
        sides = rng.integers(1, 13, 2)
        bright = np.add.outer(*(np.arange(side) * rng.normal() for side in sides)) > rng.normal()
        image = np.clip(rng.normal(100 + 80 * bright[..., np.newaxis], 15, (*sides, 3)), 0, 255)
        image = image.astype(np.uint8)
        shape = [max(1, round(length / stride))
                 for length, stride in zip(sides, rng.uniform(1.5, 5, 2))]
        codes = rng.choice(np.array([3 << 16, 3 << 16 | 1, 5 << 16 | 2], np.uint32), shape,
                           p=[0.7, 0.25, 0.05])
        scale = shape[0] / image.shape[0], shape[1] / image.shape[1]
        config = RefinementConfig(method=method, superpixel_size=rng.uniform(1, 2), iterations=1,
                                  compactness=rng.uniform(1, 40), color_sigma=rng.uniform(5, 40),
                                  purity=rng.uniform(0.5, 1))
        labels = (codes >> 16).astype(np.uint8), (codes & 0xffff).astype(np.uint16)
        semantic, instance = refine(image, *labels, scale, config)
        found = semantic.astype(np.uint32) << 16 | instance
        if min(scale) < 1:
            np.testing.assert_array_equal(found, SLOW[method](image, codes, scale, config))
        nearest = refine(image, *labels, scale, RefinementConfig(method='nearest'))
        changed += not all(map(np.array_equal, nearest, (semantic, instance)))
    assert changed > count / 10


@pytest.mark.parametrize('stride', [4, 8])
def test_boundaries_are_met_as_well_as_with_the_superpixels_of_scikit_image(stride):
    score = dict.fromkeys((refine, reference_refine), BoundaryScore())
    for seed in range(6):
        image, semantic_ids, instance_ids, inside = disc_scene(stride, 0.5 * stride, seed, 256)
        for refinement in score:
            semantic, _ = refinement(image, semantic_ids, instance_ids, (1 / stride, 1 / stride))
            score[refinement] += boundary_score(inside.astype(np.uint8), semantic)
    assert score[refine].recall >= score[reference_refine].recall - 0.01


def test_a_superpixel_takes_its_majority_only_where_it_is_clear():
    superpixel_ids = np.array([[0, 0, 0, 0, 1, 1, 1, 1, 2]])
    codes = np.array([[5, 5, 5, 9, 5, 5, 9, 9, 7]], np.uint32)
    np.testing.assert_array_equal(vote(codes, superpixel_ids, 0.7),
                                  [[5, 5, 5, 5, 5, 5, 9, 9, 7]])
    np.testing.assert_array_equal(vote(codes, superpixel_ids, 0.75), codes)


@given(length=st.integers(1, 300), stride=st.floats(0.3, 40))
def test_blocks_of_image_rows_are_those_with_the_same_nearest_output_row(length, stride):
    output_length = max(1, round(length / stride))
    nearest = nearest_index(length, output_length, output_length / length)
    first = first_index(nearest, output_length)
    assert first[0] == 0 and first[-1] == length
    for row in range(output_length):
        assert (nearest[first[row]:first[row + 1]] == row).all()
