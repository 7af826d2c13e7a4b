"""Augmentation: image and labels move together, and nothing is invented."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.core.scaling import PADDING
from instseg_ros.core.types import UNLABELLED
from instseg_ros.learning.augmentation import (
    AugmentationConfig,
    Sample,
    augment,
    change_colors,
    paste_instances,
    random_color_map,
    random_crop,
)


def painted(height=120, width=160):
    """A sample whose colours say the labels: red 60 * class, green 40 * instance."""
    semantic = np.zeros((height, width), np.uint8)
    instances = np.zeros((height, width), np.uint16)
    semantic[20:90, 30:60], instances[20:90, 30:60] = 1, 1
    semantic[50:110, 80:150], instances[50:110, 80:150] = 2, 2
    image = np.stack([semantic * 60, instances.astype(np.uint8) * 40,
                      np.full_like(semantic, 9)], -1)
    return Sample(image, semantic, instances)


CONFIG = AugmentationConfig(crop_size=96, long_side_min=64, long_side_max=400, color=0.0,
                            paste_probability=0.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10 ** 6))
def test_image_and_labels_move_together(seed):
    crop = random_crop(painted(), CONFIG, np.random.default_rng(seed))
    assert crop.image.shape == (96, 96, 3) and crop.semantic_ids.shape == (96, 96)
    outside = crop.semantic_ids == UNLABELLED
    wrong = np.abs(crop.image[..., 0].astype(int) - crop.semantic_ids.astype(int) * 60) > 30
    # An enlarged pixel's colours reach its neighbours: up to 400 / 160 pixels, and one more.
    kernel = np.ones((9, 9), np.uint8)
    edge = cv2.dilate(crop.semantic_ids, kernel) != cv2.erode(crop.semantic_ids, kernel)
    # On the rim of the crop, the rim of the image may lie just outside.
    edge[[0, -1]] = edge[:, [0, -1]] = True
    assert (~edge & ~outside).any()
    assert not (wrong & ~outside & ~edge).any()
    assert (crop.instance_ids[outside] == 0).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10 ** 6))
def test_what_lies_outside_is_grey_and_ignored(seed):
    tiny = AugmentationConfig(crop_size=96, long_side_min=48, long_side_max=64)
    crop = random_crop(painted(), tiny, np.random.default_rng(seed))
    assert (crop.semantic_ids == UNLABELLED).mean() > 0.4
    inside = (crop.semantic_ids != UNLABELLED).astype(np.uint8)
    inner = cv2.dilate(inside, np.ones((5, 5), np.uint8)) == 0
    assert (crop.image[inner] == PADDING).all()


@pytest.mark.parametrize('size', [(1, 4000), (4000, 1), (1, 1)])
def test_images_of_a_single_row_column_or_pixel_can_be_cropped(size):
    crop = random_crop(painted(*size), CONFIG, np.random.default_rng(0))
    assert crop.image.shape == (96, 96, 3) and crop.semantic_ids.shape == (96, 96)


def test_a_crop_depends_on_its_seed_alone():
    crops = [augment(painted(), painted(), AugmentationConfig(crop_size=64),
                     np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert np.array_equal(crops[0].image, crops[1].image)
    assert np.array_equal(crops[0].instance_ids, crops[1].instance_ids)
    assert not np.array_equal(crops[0].image, crops[2].image)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10 ** 6))
def test_pasted_instances_are_whole_in_front_and_get_new_ids(seed):
    onto, source = painted(), painted()
    result = paste_instances(onto, Sample(255 - source.image, source.semantic_ids,
                                          source.instance_ids),
                             CONFIG, np.random.default_rng(seed))
    new = sorted(set(np.unique(result.instance_ids)) - {0, 1, 2})
    assert 1 <= len(new) <= 2
    for instance in new:
        mask = result.instance_ids == instance
        assert np.array_equal(mask, source.instance_ids == instance - 2)
        assert np.array_equal(result.semantic_ids[mask], source.semantic_ids[mask])
    untouched = ~np.isin(result.instance_ids, new)
    assert np.array_equal(result.semantic_ids[untouched], onto.semantic_ids[untouched])


def test_pasting_from_an_image_without_instances_changes_nothing():
    empty = Sample(np.zeros((120, 160, 3), np.uint8), np.zeros((120, 160), np.uint8),
                   np.zeros((120, 160), np.uint16))
    assert paste_instances(painted(), empty, CONFIG, np.random.default_rng(0)).image.tolist() == \
        painted().image.tolist()


def test_a_rectangular_crop_has_its_shape():
    config = AugmentationConfig(crop_size=128, crop_height=64, long_side_min=100,
                                long_side_max=300)
    for seed in range(20):
        crop = augment(painted(), painted(), config, np.random.default_rng(seed))
        assert crop.image.shape == (64, 128, 3)
        assert crop.semantic_ids.shape == crop.instance_ids.shape == (64, 128)


def changed(image, strength, seed):
    """Return an image after a random change of colours."""
    color_map = random_color_map(image, strength, np.random.default_rng(seed))
    batch = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    return change_colors(batch, torch.from_numpy(color_map)[None])[0].permute(1, 2, 0).numpy()


def test_a_change_of_colours_of_strength_zero_changes_nothing():
    image = painted().image
    assert np.array_equal(changed(image, 0.0, 0), image)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10 ** 6), st.floats(0.01, 1.0))
def test_grey_stays_grey_but_for_the_white_balance_and_values_stay_in_range(seed, strength):
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    result = changed(ramp, strength, seed)
    assert result.min() >= 0 and result.max() <= 255
    assert (np.diff(result, axis=1) >= 0).all()  # contrast is never inverted
    inside = result[(result > 0).all(-1) & (result < 255).all(-1)]
    if len(inside):
        ratio = inside / inside.mean(-1, keepdims=True)
        assert np.abs(ratio - 1).max() <= 0.25 * strength * 2 + 1e-4


def test_each_image_of_a_batch_has_its_own_colours():
    images = np.stack([painted().image.transpose(2, 0, 1)] * 2)
    maps = np.stack([np.eye(3, 4), np.zeros((3, 4))]).astype(np.float32)
    result = change_colors(torch.from_numpy(images), torch.from_numpy(maps)).numpy()
    assert np.array_equal(result[0], images[0]) and not result[1].any()


def test_bounds_of_the_scale_are_checked():
    with pytest.raises(ValueError, match='long_side_min.*at most long_side_max.*100.*got 200'):
        AugmentationConfig(long_side_min=200, long_side_max=100)
