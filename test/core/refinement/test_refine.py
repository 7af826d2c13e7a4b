"""Refinement of label maps to the resolution of the image."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from numba.core.event import install_recorder
from refinement_scenes import disc_scene, scenes

from instseg_ros.benchmark.reference import reference_refine
from instseg_ros.core.config import REFINEMENT_METHODS, RefinementConfig
from instseg_ros.core.refinement import refine
from instseg_ros.core.types import UNLABELLED

VARIANTS = (*REFINEMENT_METHODS, 'reference')


def refine_by(variant, *scene):
    """Refine by a method, or by the reference that benchmarks compare slic with."""
    return (reference_refine(*scene) if variant == 'reference'
            else refine(*scene, RefinementConfig(method=variant)))


def nearest_by_definition(labels, shape, scale):
    """Look up each pixel's nearest output pixel, one by one."""
    result = np.empty(shape, labels.dtype)
    for y, x in np.ndindex(*shape):
        i = min(int((y + 0.5) * scale[0]), labels.shape[0] - 1)
        j = min(int((x + 0.5) * scale[1]), labels.shape[1] - 1)
        result[y, x] = labels[i, j]
    return result


def pairs_of(semantic_ids, instance_ids):
    return set(zip(semantic_ids.ravel().tolist(), instance_ids.ravel().tolist()))


@pytest.mark.parametrize('variant', VARIANTS)
@settings(max_examples=60, deadline=None)
@given(scene=scenes())
def test_result_has_the_images_size_and_only_pairs_of_ids_that_were_there(variant, scene):
    image, semantic_ids, instance_ids, _scale = scene
    semantic, instance = refine_by(variant, *scene)
    assert (semantic.dtype, instance.dtype) == (np.uint8, np.uint16)
    assert semantic.shape == instance.shape == image.shape[:2]
    assert pairs_of(semantic, instance) <= pairs_of(semantic_ids, instance_ids)


@settings(max_examples=60, deadline=None)
@given(scene=scenes(largest=40))
def test_nearest_is_the_nearest_output_pixel(scene):
    image, semantic_ids, instance_ids, scale = scene
    semantic, instance = refine(image, semantic_ids, instance_ids, scale,
                                RefinementConfig(method='nearest'))
    np.testing.assert_array_equal(
        semantic, nearest_by_definition(semantic_ids, image.shape[:2], scale))
    np.testing.assert_array_equal(
        instance, nearest_by_definition(instance_ids, image.shape[:2], scale))


@pytest.mark.parametrize('variant', VARIANTS)
@settings(max_examples=40, deadline=None)
@given(scene=scenes())
def test_pixels_far_from_a_boundary_keep_their_label(variant, scene):
    image, semantic_ids, instance_ids, scale = scene
    semantic, instance = refine_by(variant, *scene)
    nearest = refine(image, semantic_ids, instance_ids, scale, RefinementConfig(method='nearest'))
    codes = semantic_ids.astype(np.int64) << 16 | instance_ids
    padded = np.pad(codes, 1, mode='edge')
    height, width = codes.shape
    window = np.stack([padded[a:a + height, b:b + width] for a in range(3) for b in range(3)])
    inner = nearest_by_definition((window == codes).all(axis=0), image.shape[:2], scale)
    np.testing.assert_array_equal(semantic[inner], nearest[0][inner])
    np.testing.assert_array_equal(instance[inner], nearest[1][inner])


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('pair', [(UNLABELLED, 0), (0, 0), (3, 65535)])
def test_a_map_without_boundaries_stays_as_it_is(variant, pair):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (37, 53, 3), dtype=np.uint8)
    semantic, instance = refine_by(variant, image, np.full((10, 14), pair[0], np.uint8),
                                   np.full((10, 14), pair[1], np.uint16), (10 / 37, 14 / 53))
    assert pairs_of(semantic, instance) == {pair}


@pytest.mark.parametrize('method', REFINEMENT_METHODS)
@pytest.mark.parametrize('shape, grid', [
    ((1, 1), (1, 1)), ((1, 1), (160, 160)), ((1, 50), (1, 13)), ((50, 1), (13, 1)),
    ((2, 2), (1, 1)), ((479, 641), (120, 161)), ((5, 700), (1, 88)), ((300, 200), (1, 1))])
def test_any_size_of_image_and_grid_works(method, shape, grid):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    semantic_ids = rng.integers(0, 3, grid, dtype=np.uint8)
    instance_ids = rng.integers(0, 9, grid, dtype=np.uint16)
    scale = grid[0] / shape[0], grid[1] / shape[1]
    semantic, instance = refine(image, semantic_ids, instance_ids, scale,
                                RefinementConfig(method=method))
    assert semantic.shape == instance.shape == shape
    assert pairs_of(semantic, instance) <= pairs_of(semantic_ids, instance_ids)


@pytest.mark.parametrize('method', REFINEMENT_METHODS)
def test_a_grid_as_fine_as_the_image_is_returned_unchanged(method):
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    semantic_ids = rng.integers(0, 3, (30, 40), dtype=np.uint8)
    instance_ids = rng.integers(0, 9, (30, 40), dtype=np.uint16)
    semantic, instance = refine(image, semantic_ids, instance_ids, (1, 1),
                                RefinementConfig(method=method))
    np.testing.assert_array_equal(semantic, semantic_ids)
    np.testing.assert_array_equal(instance, instance_ids)


@pytest.mark.parametrize('variant', [variant for variant in VARIANTS if variant != 'nearest'])
@pytest.mark.parametrize('stride, jitter', [(4, 3), (8, 5)])
def test_an_edge_in_the_image_attracts_a_jittered_boundary(variant, stride, jitter):
    image, semantic_ids, instance_ids, inside = disc_scene(stride, jitter)
    scale = 1 / stride, 1 / stride
    wrong = {}
    for name in (variant, 'nearest'):
        _, instance = refine_by(name, image, semantic_ids, instance_ids, scale)
        wrong[name] = np.count_nonzero((instance == 9) != inside)
    assert wrong[variant] < 0.6 * wrong['nearest']


@pytest.mark.parametrize('method', ['slic', 'bilateral'])
@pytest.mark.parametrize('column', [21, 22, 23])
def test_a_straight_boundary_moves_onto_the_edge_beside_it(method, column):
    bright = np.arange(64) >= column  # the border of output pixels 5 and 6 is at column 24
    noise = np.random.default_rng(0).normal(0, 8, (64, 64, 3))
    image = np.clip(np.where(bright[:, None], 200, 50) + noise, 0, 255).astype(np.uint8)
    semantic_ids = np.zeros((16, 16), np.uint8)
    semantic_ids[:, 6:] = 1
    semantic, _ = refine(image, semantic_ids, semantic_ids.astype(np.uint16), (0.25, 0.25),
                         RefinementConfig(method=method))
    wrong = np.count_nonzero(semantic != bright)
    assert wrong <= 64 * (24 - column) / 3


@pytest.mark.parametrize('method', ['slic', 'bilateral'])
def test_without_colour_a_straight_boundary_stays_where_it_is(method):
    semantic_ids = np.zeros((16, 16), np.uint8)
    semantic_ids[:, 6:] = 1
    semantic, _ = refine(np.full((64, 64, 3), 90, np.uint8), semantic_ids,
                         np.zeros((16, 16), np.uint16), (0.25, 0.25),
                         RefinementConfig(method=method))
    np.testing.assert_array_equal(semantic, np.kron(semantic_ids, np.ones((4, 4), np.uint8)))


@pytest.mark.parametrize('method', REFINEMENT_METHODS)
@pytest.mark.parametrize('stride', [2.0, 3.7])
@pytest.mark.parametrize('threads', [2, 3, 7])
def test_threads_do_not_change_the_result(method, stride, threads):
    rng = np.random.default_rng(threads)
    image = np.kron(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8),
                    np.ones((8, 8, 1), np.uint8))
    semantic_ids = rng.integers(0, 3, (round(480 / stride), round(640 / stride)), dtype=np.uint8)
    scene = (image, semantic_ids, semantic_ids.astype(np.uint16) * 7, (1 / stride, 1 / stride))
    alone = refine(*scene, RefinementConfig(method=method), threads=1)
    together = refine(*scene, RefinementConfig(method=method), threads=threads)
    for one, other in zip(alone, together):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('method', REFINEMENT_METHODS)
def test_several_threads_may_refine_at_once(method):
    scenes_ = [disc_scene(4, 3, seed)[:3] for seed in range(8)]
    config = RefinementConfig(method=method)
    expected = [refine(*scene, (0.25, 0.25), config, threads=4) for scene in scenes_]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(
            lambda scene: refine(*scene, (0.25, 0.25), config, threads=4), scenes_ * 6))
    for result, want in zip(results, expected * 6):
        np.testing.assert_array_equal(result[0], want[0])
        np.testing.assert_array_equal(result[1], want[1])


@pytest.mark.parametrize('method', REFINEMENT_METHODS)
def test_inputs_are_not_changed(method):
    image, semantic_ids, instance_ids, _ = disc_scene(4, 3)
    copies = [array.copy() for array in (image, semantic_ids, instance_ids)]
    for array in (image, semantic_ids, instance_ids):
        array.setflags(write=False)
    refine(image, semantic_ids, instance_ids, (0.25, 0.25), RefinementConfig(method=method))
    for array, copy in zip((image, semantic_ids, instance_ids), copies):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize('method', REFINEMENT_METHODS)
def test_views_give_what_their_copies_give(method):
    image, semantic_ids, instance_ids, _ = disc_scene(4, 3)
    config = RefinementConfig(method=method)
    want = refine(image, semantic_ids, instance_ids, (0.25, 0.25), config)
    wide = np.zeros((192, 200, 4), np.uint8)
    wide[:, 4:196, :3] = image
    got = refine(wide[:, 4:196, :3], np.asfortranarray(semantic_ids), instance_ids,
                 (0.25, 0.25), config)
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[1], want[1])


@pytest.mark.parametrize('method', REFINEMENT_METHODS)
def test_kernels_are_compiled_for_the_first_image_only(method):
    image, semantic_ids, instance_ids, _ = disc_scene(4, 3)
    refine(image, semantic_ids, instance_ids, (0.25, 0.25), RefinementConfig(method=method))
    frozen = image.copy()
    frozen.setflags(write=False)
    with install_recorder('numba:compile') as compilations:
        for other, scale, purity in [(frozen, (0.25, 0.25), 1), (image[:, ::-1], (1, 0.25), 0.5),
                                     (np.asfortranarray(image), (np.float32(0.2), 1 / 3), 0.75),
                                     (image[:1, :1], (0.25, 0.25), 0.75)]:
            refine(other, semantic_ids, instance_ids, scale,
                   RefinementConfig(method=method, purity=purity), threads=2)
    assert not compilations.buffer


@pytest.mark.parametrize('change, message', [
    ({'image': np.zeros((8, 8), np.uint8)}, r'image: expected shape \(H0, W0, 3\), got \(8, 8\)'),
    ({'image': np.zeros((8, 8, 3), np.float32)}, 'image: expected dtype uint8, got float32'),
    ({'image': np.zeros((0, 8, 3), np.uint8)}, 'image: expected at least one pixel'),
    ({'semantic_ids': np.zeros((2, 2), np.int64)}, 'semantic_ids: expected dtype uint8'),
    ({'instance_ids': np.zeros((2, 3), np.uint16)}, r'instance_ids: expected shape \(2, 2\)'),
    ({'scale': (0.25, 0.0)}, 'scale: expected two positive numbers, got'),
    ({'scale': (float('nan'), 0.25)}, 'scale: expected two positive numbers, got')])
def test_bad_input_is_named(change, message):
    arguments = {'image': np.zeros((8, 8, 3), np.uint8),
                 'semantic_ids': np.zeros((2, 2), np.uint8),
                 'instance_ids': np.zeros((2, 2), np.uint16), 'scale': (0.25, 0.25), **change}
    with pytest.raises((TypeError, ValueError), match=message):
        refine(**arguments)


@pytest.mark.parametrize('options', [
    {'method': 'magic'}, {'superpixel_size': 0.0}, {'purity': 0.4},
    {'compactness': 0}, {'iterations': 1.5}, {'color_sigma': -1.0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=f'refinement.{next(iter(options))}: expected'):
        RefinementConfig(**options)
