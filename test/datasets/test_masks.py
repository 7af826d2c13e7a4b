import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from instseg_ros.datasets.masks import decode_segmentation, encode_mask

HEIGHT, WIDTH = 10, 20


def decode(segmentation):
    return decode_segmentation(segmentation, HEIGHT, WIDTH)


def box(left, top, right, bottom):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def test_a_polygon_covers_the_pixels_between_its_edges():
    assert np.array_equal(decode([[3, 2, 8, 2, 8, 6, 3, 6]]), box(3, 2, 8, 6))


def test_several_polygons_are_one_mask():
    mask = decode([[0, 0, 5, 0, 5, 5, 0, 5], [10, 0, 15, 0, 15, 5, 10, 5]])
    assert np.array_equal(mask, box(0, 0, 5, 5) | box(10, 0, 15, 5))


def test_a_polygon_slightly_outside_is_clipped():
    assert np.array_equal(decode([[15, -3, 24, -3, 24, 4, 15, 4]]), box(15, 0, 20, 4))


@pytest.mark.parametrize('polygon', [
    [21, 1, 25, 1, 25, 5], [-9, 1, -5, 1, -5, 5], [1, 11, 5, 11, 5, 15], [1, -9, 5, -9, 5, -1],
    [1, 1, 41, 1, 41, 5], [1, 1, 1e9, 1, 5, 5]])
def test_a_polygon_outside_or_far_beyond_the_image_is_an_error(polygon):
    with pytest.raises(ValueError, match=r'polygon outside the image: [xy] from .* 20x10'):
        decode([polygon])


@pytest.mark.parametrize('polygon', [
    [], [1, 1, 5, 1], [1, 1, 5, 1, 5, 5, 1], [1, 1, 5, float('nan'), 5, 5],
    [1, 1, float('inf'), 1, 5, 5], ['1', 1, 5, 1, 5, 5], None, 7])
def test_a_polygon_that_is_none_is_an_error(polygon):
    with pytest.raises(ValueError, match='at least three points'):
        decode([polygon])


@given(hnp.arrays(bool, (HEIGHT, WIDTH)))
@settings(max_examples=50, deadline=None)
def test_run_lengths_plain_and_compressed_give_the_mask_back(mask):
    compressed = encode_mask(mask)
    column_by_column = mask.T.ravel()
    changes = np.flatnonzero(np.diff(column_by_column)) + 1
    runs = np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()
    runs = [0, *runs] if column_by_column[0] else runs
    for counts in (runs, compressed['counts'], compressed['counts'].decode()):
        assert np.array_equal(decode({'size': [HEIGHT, WIDTH], 'counts': counts}), mask)


@pytest.mark.parametrize('runs', [[0, 200], [200], [5, 0, 10, 185], [5, 100, 3, 80, 10, 2]])
def test_compressed_runs_need_not_be_canonical(runs):
    encoded = coco_mask.frPyObjects({'size': [HEIGHT, WIDTH], 'counts': runs}, HEIGHT, WIDTH)
    assert np.array_equal(decode(encoded), decode({'size': [HEIGHT, WIDTH], 'counts': runs}))


@pytest.mark.parametrize('counts', [
    [5, 5], [150, 51], [-5, 205], [1.5, 198.5], ['200'], [True] * 200, [], '', '01', 'zzzz', 'P',
    'ääää', b'\xff\xff', None, 200])
def test_damaged_run_lengths_are_an_error(counts):
    with pytest.raises(ValueError, match='do not add up to the 20x10 pixels'):
        decode({'size': [HEIGHT, WIDTH], 'counts': counts})


@pytest.mark.parametrize('size, message', [
    ([20, 10], 'made for an image of 10x20 pixels, the image has 20x10'),
    (None, 'no size'), ([10], 'no size'), ('10x20', 'no size')])
def test_run_lengths_of_another_size_are_an_error(size, message):
    with pytest.raises(ValueError, match=message):
        decode({'size': size, 'counts': [200]})


@pytest.mark.parametrize('segmentation, message', [
    (None, 'a mask is needed, a box is not enough'), ('text', 'neither'), (3, 'neither'),
    ([], 'empty list'), ({}, 'no size')])
def test_what_is_no_segmentation_is_an_error(segmentation, message):
    with pytest.raises(ValueError, match=message):
        decode(segmentation)


def test_an_error_does_not_repeat_a_long_value():
    with pytest.raises(ValueError, match='no size') as error:
        decode_segmentation({'counts': [200], 'size': 'x' * 100_000}, 10, 20)
    assert len(str(error.value)) < 200
