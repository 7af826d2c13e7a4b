"""Where an image pixel lies on the output grid, exactly."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.core.scaling import PADDING, scale_image, to_image
from instseg_ros.core.types import NetworkOutput

sizes = st.tuples(st.integers(1, 300), st.integers(1, 300))


@settings(max_examples=200, deadline=None)
@given(sizes, st.integers(1, 300), st.sampled_from([(4, 32), (4, 4), (8, 16), (1, 1)]))
def test_any_size_fits(size, long_side, grid):
    stride, multiple = grid
    scaled = scale_image(np.full((*size, 3), 7, np.uint8), long_side, multiple, stride)
    assert scaled.pixels.dtype == np.uint8 and scaled.pixels.flags.c_contiguous
    assert all(side % multiple == 0 and side > 0 for side in scaled.pixels.shape[:2])
    # The scaled image has the given length, keeps its shape, and is at the upper left.
    height, width = (round(s * stride * n) for s, n in zip(scaled.scale, size))
    assert max(height, width) == long_side
    for old, new in zip(size, (height, width)):
        assert abs(new - old * long_side / max(size)) <= 0.5 or new == 1
    assert np.all(scaled.pixels[:height, :width] == 7)
    assert np.all(scaled.pixels[height:] == PADDING)
    assert np.all(scaled.pixels[:, width:] == PADDING)
    # No smaller grid covers it, and no padding is more than needed.
    assert scaled.grid == (-(-height // stride), -(-width // stride))
    assert scaled.pixels.shape[0] - height < multiple > scaled.pixels.shape[1] - width


@settings(max_examples=100, deadline=None)
@given(sizes, st.integers(1, 300))
def test_corners_of_image_and_scaled_image_coincide(size, long_side):
    scaled = scale_image(np.zeros((*size, 3), np.uint8), long_side, 32, 4)
    for axis_scale, length, cells in zip(scaled.scale, size, scaled.grid):
        assert to_image(-0.5, axis_scale) == pytest.approx(-0.5)
        end = length * axis_scale  # in cells from the corner
        assert cells - 1 < end + 1e-9 and end <= cells + 1e-9
        assert to_image(end - 0.5, axis_scale) == pytest.approx(length - 0.5)


@given(st.integers(0, 5000), st.floats(0.01, 1))
def test_mapping_there_and_back(pixel, axis_scale):
    cell = (pixel + 0.5) * axis_scale - 0.5  # refinement's mapping
    assert to_image(cell, axis_scale) == pytest.approx(pixel, abs=1e-6)


def test_a_worked_example():
    # 480 x 640 at 320 and stride 4: one output pixel is 8 x 8 image pixels.
    scaled = scale_image(np.zeros((480, 640, 3), np.uint8), 320, 32, 4)
    assert scaled.pixels.shape == (256, 320, 3)
    assert scaled.grid == (60, 80)
    assert scaled.scale == (0.125, 0.125)
    assert to_image(0, 0.125) == 3.5  # middle of pixels 0 to 7


def test_scaling_keeps_things_where_they_are():
    image = np.zeros((200, 400, 3), np.uint8)
    image[60:80, 300:340] = 255
    for long_side in (100, 200, 800):
        scaled = scale_image(image, long_side, 32, 4)
        weights = scaled.pixels[:long_side // 2, :long_side, 0].astype(float)
        middle = [(weights.sum(axis=1 - axis) * np.arange(weights.shape[axis])).sum()
                  / weights.sum() for axis in (0, 1)]
        # In scaled pixels; the mapping is that of the output at stride 1.
        factor = long_side / 400
        assert middle == pytest.approx([70 * factor - 0.5, 320 * factor - 0.5], abs=0.05)


def test_an_image_of_the_size_of_the_padded_one_is_scaled_all_the_same():
    scaled = scale_image(np.full((32, 128, 3), 7, np.uint8), 97, 32, 4)
    assert scaled.pixels.shape == (32, 128, 3) and scaled.grid == (6, 25)
    assert np.all(scaled.pixels[:24, :97] == 7) and np.all(scaled.pixels[24:] == PADDING)


def test_nothing_to_do_costs_no_copy():
    image = np.zeros((64, 96, 3), np.uint8)
    assert scale_image(image, 96, 32, 4).pixels is image


def test_crop_leaves_what_shows_the_image():
    scaled = scale_image(np.zeros((50, 90, 3), np.uint8), 90, 32, 4)
    assert scaled.pixels.shape == (64, 96, 3) and scaled.grid == (13, 23)
    ids = np.arange(16 * 24, dtype=np.uint8).reshape(16, 24)
    grid = ids.astype(np.float32)
    output = scaled.crop(NetworkOutput(ids, grid + 1, grid[..., np.newaxis] + 2))
    assert np.array_equal(output.semantic_ids, ids[:13, :23])
    assert np.array_equal(output.center_heatmap, grid[:13, :23] + 1)
    assert np.array_equal(output.embedding[..., 0], grid[:13, :23] + 2)
    assert output.embedding.flags.c_contiguous
