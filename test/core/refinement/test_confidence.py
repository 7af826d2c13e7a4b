"""The confidence of refined classes against a slow and obvious computation."""
import numpy as np
import pytest
from hypothesis import given, settings
from refinement_scenes import scenes

from instseg_ros.core.config import REFINEMENT_METHODS, RefinementConfig
from instseg_ros.core.refinement import confidence_of_classes, refine


def confidence_by_definition(refined, semantic_ids, confidence, scale):
    """Look for each pixel's nearest output pixel of its class, one by one."""
    result = np.zeros(refined.shape, np.uint8)
    for y, x in np.ndindex(*refined.shape):
        at = (np.array([y, x]) + 0.5) * scale - 0.5
        last = np.array(semantic_ids.shape) - 1
        nearest = np.minimum(((np.array([y, x]) + 0.5) * scale).astype(int), last)
        points = np.argwhere(semantic_ids == refined[y, x])
        around = points[np.abs(points - nearest).max(axis=1) <= 1]
        order = ((around - at)**2).sum(axis=1)
        if semantic_ids[tuple(nearest)] == refined[y, x]:
            result[y, x] = confidence[tuple(nearest)]
        elif len(around):
            result[y, x] = confidence[tuple(around[order.argmin()])]
    return result


@pytest.mark.parametrize('method', REFINEMENT_METHODS)
@settings(max_examples=40, deadline=None)
@given(scene=scenes(largest=30))
def test_every_pixel_has_the_confidence_of_its_own_class(method, scene):
    image, semantic_ids, _, scale = scene
    confidence = np.random.default_rng(0).integers(1, 256, semantic_ids.shape).astype(np.uint8)
    refined, _ = refine(*scene, RefinementConfig(method=method))
    found = confidence_of_classes(refined, semantic_ids, confidence, scale)
    np.testing.assert_array_equal(
        found, confidence_by_definition(refined, semantic_ids, confidence, scale))
    assert found.all()  # every class comes from an output pixel nearby


def test_a_class_that_no_output_pixel_has_nearby_has_no_confidence():
    semantic_ids = np.zeros((4, 4), np.uint8)
    refined = np.zeros((8, 8), np.uint8)
    refined[0, 0] = 3
    found = confidence_of_classes(refined, semantic_ids, np.full((4, 4), 200, np.uint8), (.5, .5))
    assert found[0, 0] == 0 and np.all(found.ravel()[1:] == 200)


@pytest.mark.parametrize('threads', [1, 2, 3])
def test_the_result_does_not_depend_on_the_number_of_threads(threads):
    rng = np.random.default_rng(1)
    semantic_ids, confidence = rng.integers(0, 3, (2, 60, 80)).astype(np.uint8)
    refined, _ = refine(rng.integers(0, 256, (240, 320, 3)).astype(np.uint8), semantic_ids,
                        np.zeros((60, 80), np.uint16), (0.25, 0.25))
    found = confidence_of_classes(refined, semantic_ids, confidence, (0.25, 0.25), threads)
    assert np.array_equal(found, confidence_of_classes(refined, semantic_ids, confidence,
                                                       (0.25, 0.25), 1))


def test_wrong_arrays_are_refused():
    ids = np.zeros((4, 4), np.uint8)
    with pytest.raises(TypeError, match='confidence: expected dtype uint8, got float32'):
        confidence_of_classes(ids, ids, ids.astype(np.float32), (1, 1))
    with pytest.raises(ValueError, match=r'confidence: expected shape \(4, 4\), got \(4, 3\)'):
        confidence_of_classes(ids, ids, ids[:, :3], (1, 1))
