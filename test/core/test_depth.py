"""Boxes and points in space, of made-up surfaces at known places."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.core.camera_model import CameraModel
from instseg_ros.core.depth import (
    MAX_POINTS,
    MIN_POINTS,
    POINT,
    Place,
    labelled_points,
    metric_depth,
    object_boxes,
    resample_depth,
)
from instseg_ros.core.types import Segmentation

SIZE = 90, 120
MODEL = CameraModel(SIZE, (100.0, 100.0), (59.5, 44.5))
RAYS = MODEL.rays()
NEAREST, FARTHEST = 0.1, 20.0


def wall(z, left, top, right, bottom):
    """Return depth and ids of an upright wall: its edges in metres, its distance z."""
    x, y = RAYS[..., 0] * z, RAYS[..., 1] * z
    inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    return np.where(inside, np.float32(z), np.float32(FARTHEST)), inside.astype(np.uint16)


sides = st.floats(0.2, 0.5)
walls = st.tuples(st.floats(1.0, 6.0), sides, sides, sides, sides)


@settings(max_examples=60, deadline=None)
@given(walls)
def test_a_wall_has_its_true_box(found):
    z, left, top, right, bottom = found
    reach = 0.5 * z  # so that it is in view
    edges = np.array([-left, -top, right, bottom]) * reach
    depth, ids = wall(z, *edges)
    box = object_boxes(depth, ids, RAYS)[1]
    pixel = z / 100  # metres that a pixel sees, and as much again for the trimmed points
    assert np.allclose(box.center_xyz[:2], (edges[:2] + edges[2:]) / 2, atol=1.5 * pixel)
    assert np.allclose(box.size_xyz[:2], edges[2:] - edges[:2],
                       atol=2 * pixel + 0.03 * (edges[2:] - edges[:2]).max())
    assert box.center_xyz[2] == pytest.approx(z, abs=1e-5) and box.size_xyz[2] == 0
    assert box.centroid_xyz == pytest.approx(box.center_xyz, abs=2 * pixel)


@settings(max_examples=60, deadline=None)
@given(walls, st.floats(0, 0.35), st.sampled_from(['background', 'flying', 'missing', 'near']),
       st.integers(0, 2 ** 32 - 1))
def test_pixels_that_do_not_show_the_object_do_not_move_its_box(found, share, kind, seed):
    z, *edges = found
    depth, ids = wall(z, *(np.array([-1, -1, 1, 1]) * edges * 0.5 * z))
    clean = object_boxes(depth, ids, RAYS)[1]
    rng = np.random.default_rng(seed)
    bad = (rng.random(SIZE) < share) & (ids == 1)
    depth[bad] = {'background': z + rng.uniform(1, 9, bad.sum()), 'missing': np.nan,
                  'flying': rng.uniform(NEAREST, FARTHEST, bad.sum()), 'near': NEAREST}[kind]
    box = object_boxes(depth, ids, RAYS)[1]
    assert np.allclose(box.center_xyz, clean.center_xyz, atol=0.03 * z)
    assert np.allclose(box.centroid_xyz, clean.centroid_xyz, atol=0.03 * z)
    assert np.allclose(box.size_xyz, clean.size_xyz, atol=0.08 * z)


@settings(max_examples=40, deadline=None)
@given(st.floats(1.5, 5.0), st.floats(-1.2, 1.2))
def test_a_slanted_surface_is_kept_whole(z, slope):
    ids = np.zeros(SIZE, np.uint16)
    ids[20:70, 30:90] = 1
    depth = (z / (1 - slope * RAYS[..., 0])).astype(np.float32)  # the plane z + slope * x
    box = object_boxes(depth, ids, RAYS)[1]
    inside = depth[ids == 1]
    whole = inside.max() - inside.min()
    assert 0.9 * whole - 1e-5 <= box.size_xyz[2] <= whole + 1e-5


def test_what_is_beside_the_object_in_its_box_does_not_count():
    """A person behind a post: the post is in the middle of the box in the image."""
    depth, ids = wall(3.0, -0.5, -0.5, 0.5, 0.5)
    ids[:, 50:70], depth[:, 50:70] = 2, 1.0
    boxes = object_boxes(depth, ids, RAYS)
    assert boxes[1].center_xyz[2] == pytest.approx(3.0)
    assert boxes[2].center_xyz[2] == pytest.approx(1.0)
    assert boxes[1].size_xyz[2] == boxes[2].size_xyz[2] == 0


@given(st.integers(0, 2 * MIN_POINTS))
def test_an_object_needs_some_measured_pixels(count):
    ids = np.ones(SIZE, np.uint16)
    depth = np.full(SIZE, np.nan, np.float32)
    depth.reshape(-1)[:count] = 2.0
    assert list(object_boxes(depth, ids, RAYS)) == ([1] if count >= MIN_POINTS else [])


def test_a_large_object_is_sampled_evenly():
    ids = np.full(SIZE, 65535, np.uint16)
    depth = np.full(SIZE, 2, np.float32)
    box = object_boxes(depth, ids, RAYS)[65535]
    assert box.points == MAX_POINTS
    assert np.allclose(box.size_xyz[:2], [2 * 1.2, 2 * 0.9], atol=0.08)


def test_pixels_of_an_object_lie_at_the_distance_of_its_centroid():
    depth, ids = wall(3.0, -0.5, -0.5, 0.5, 0.5)
    place = Place(RAYS, object_boxes(depth, ids, RAYS))
    points = place.points(1, np.array([[59, 44], [60, 45], [50, 40]]))
    assert np.allclose(points[2], [-9.5 * 0.03, -4.5 * 0.03, 3.0])
    assert points.shape == (3, 3) and np.allclose(points[:2].mean(0), [0, 0, 3])
    assert place.points(1, np.empty((0, 2), int)).shape == (0, 3)


def test_there_are_no_boxes_without_objects():
    nothing = np.zeros(SIZE, np.uint16)
    assert object_boxes(np.full(SIZE, 2, np.float32), nothing, RAYS) == {}


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=50))
def test_millimetres_and_metres_are_the_same(values):
    millimetres = np.array([values], np.uint16)
    metres = millimetres.astype(np.float32) / 1000
    found = metric_depth(millimetres, NEAREST, FARTHEST)
    assert np.allclose(found, metric_depth(metres, NEAREST, FARTHEST), equal_nan=True)
    is_in_range = (metres >= NEAREST) & (metres <= FARTHEST)
    assert np.array_equal(np.isnan(found), ~is_in_range)
    assert found.dtype == np.float32


@pytest.mark.parametrize('none', [0.0, np.nan, np.inf, -np.inf, -1.0])
def test_what_is_no_depth_is_nan(none):
    found = metric_depth(np.array([[none, 2.0]], np.float32), NEAREST, FARTHEST)
    assert np.isnan(found[0, 0]) and found[0, 1] == 2


def test_depth_of_another_resolution_is_that_of_the_nearest_pixel():
    depth = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(resample_depth(depth, (4, 6)), np.kron(depth, np.ones((2, 2))))
    assert np.array_equal(resample_depth(np.kron(depth, np.ones((3, 3))), (2, 3)), depth)
    with pytest.raises(ValueError, match='the size of the image, 6x5, or the same view'):
        resample_depth(depth, (5, 6))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2 ** 32 - 1), st.integers(1, 4))
def test_a_point_has_place_colour_class_and_object_of_its_pixel(seed, threads):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*SIZE, 3), np.uint8)
    segmentation = Segmentation(rng.integers(0, 256, SIZE, np.uint8),
                                rng.integers(0, 65536, SIZE, np.uint16))
    depth = rng.uniform(0.5, 9, SIZE).astype(np.float32)
    depth[rng.random(SIZE) < 0.2] = np.nan
    points = labelled_points(depth, RAYS, image, segmentation, threads)
    assert points.dtype == POINT and points.shape == SIZE
    place = np.stack([points['x'], points['y'], points['z']], -1)
    assert np.allclose(place[..., :2], RAYS * depth[..., None], equal_nan=True)
    assert np.array_equal(points['z'], depth, equal_nan=True)
    assert np.array_equal(np.isnan(place).any(-1), np.isnan(depth))
    colors = np.stack([points['rgb'] >> shift & 255 for shift in (16, 8, 0)], -1)
    assert np.array_equal(colors, image)
    assert np.array_equal(points['class'], segmentation.semantic_ids)
    assert np.array_equal(points['id'], segmentation.instance_ids)


def test_sizes_that_do_not_fit_are_named():
    depth = np.ones(SIZE, np.float32)
    with pytest.raises(ValueError, match='instance_ids: expected shape'):
        object_boxes(depth, np.zeros((3, 4), np.uint16), RAYS)
    with pytest.raises(ValueError, match='rays: expected shape'):
        object_boxes(depth[:3], np.zeros((3, 120), np.uint16), RAYS)
    with pytest.raises(ValueError, match='image: expected shape'):
        labelled_points(depth, RAYS, np.zeros((3, 4, 3), np.uint8),
                        Segmentation(np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint16)))
