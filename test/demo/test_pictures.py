"""The contact sheet."""
import numpy as np
import pytest

from instseg_ros.demo.pictures import TILE_WIDTH, contact_sheet


@pytest.mark.parametrize('count', [1, 5, 6])
def test_pictures_stand_in_reading_order_and_missing_ones_are_black(count):
    pictures = [np.full((20, 30, 3), 40 * number, np.uint8) for number in range(1, count + 1)]
    sheet = contact_sheet(pictures)
    assert sheet.shape == (40, 90, 3)
    tiles = [sheet[top:top + 20, left:left + 30] for top in (0, 20) for left in (0, 30, 60)]
    assert [int(tile.max()) for tile in tiles] == [
        40 * number for number in range(1, count + 1)] + [0] * (6 - count)
    assert [int(tile.min()) for tile in tiles] == [int(tile.max()) for tile in tiles]


def test_large_pictures_are_scaled_down():
    assert contact_sheet([np.zeros((1080, 1920, 3), np.uint8)]).shape == (
        2 * 432, 3 * TILE_WIDTH, 3)
