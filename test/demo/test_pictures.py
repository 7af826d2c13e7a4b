"""Tiles of the contact sheet."""
import numpy as np

from instseg_ros.demo.pictures import TILE_WIDTH, shrink


def test_large_pictures_are_shrunk_to_the_width_of_a_tile():
    assert shrink(np.zeros((1080, 1920, 3), np.uint8)).shape == (
        round(1080 * TILE_WIDTH / 1920), TILE_WIDTH, 3)


def test_small_pictures_stay_as_they_are():
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    assert np.array_equal(shrink(picture), picture)
