"""The made-up street: the grouping finds exactly what was drawn."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.benchmark.scene import scene_info, street_scene
from instseg_ros.core.grouping import assign_pixels, find_centers


@settings(max_examples=25, deadline=None)
@given(size=st.tuples(st.integers(32, 200), st.integers(32, 200)),
       instances=st.integers(0, 60), classes=st.integers(1, 40),
       stride=st.sampled_from([1, 4, 8]), seed=st.integers(0, 1000))
def test_grouping_finds_the_objects_that_were_drawn(size, instances, classes, stride, seed):
    info = scene_info(classes, stride=stride)
    scene = street_scene(size, instances, info, seed=seed)
    image, output, scale = scene.inference.image, scene.inference.output, scene.inference.scale
    assert image.shape == (*size, 3) and scene.semantic_ids.shape == size
    assert output.semantic_ids.shape == tuple(-(-side // stride) for side in size)
    assert scale == tuple(low / full for low, full in zip(output.semantic_ids.shape, size))
    assert scene.semantic_ids.max() < classes and scene.instance_ids.max() <= instances
    # Each object of the truth is either covered on the output grid, or one center and one id.
    centers, dropped = find_centers(output, info)
    grouped = assign_pixels(output, centers)
    assert dropped == 0 and set(np.unique(grouped[grouped > 0])) == set(range(1, len(centers) + 1))
    assert len(centers) <= len(np.unique(scene.instance_ids[scene.instance_ids > 0]))


def test_objects_cover_the_same_share_whatever_their_number():
    shares = [(street_scene((256, 512), count).instance_ids > 0).mean() for count in (20, 50, 500)]
    assert min(shares) > .1
    assert max(shares) < 2 * min(shares)


def test_fifty_objects_are_told_apart():
    scene = street_scene((256, 512), 50)
    centers, _ = find_centers(scene.inference.output, scene.info)
    assert len(centers) > 40
    things = np.isin(scene.inference.output.semantic_ids, scene.info.thing_ids)
    assert np.array_equal(assign_pixels(scene.inference.output, centers) > 0, things)


def test_the_same_numbers_give_the_same_scene():
    one, other = street_scene((64, 96), 7), street_scene((64, 96), 7)
    assert np.array_equal(one.inference.image, other.inference.image)
    assert np.array_equal(one.inference.output.embedding, other.inference.output.embedding)
    assert not np.array_equal(one.inference.image,
                              street_scene((64, 96), 7, seed=1).inference.image)


@pytest.mark.parametrize('classes, things', [(1, 1), (5, 2), (19, 8), (20, 8)])
def test_share_of_thing_classes(classes, things):
    info = scene_info(classes)
    assert len(info.class_names) == classes and len(info.thing_ids) == things


def test_the_grid_of_a_real_network_can_be_had():
    scene = street_scene((90, 120), 5, grid=(24, 32))
    assert scene.inference.output.embedding.shape[:2] == (24, 32)
    assert scene.inference.scale == pytest.approx((24 / 90, 32 / 120))
