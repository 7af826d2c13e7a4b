"""Turned cameras: the result for a turned image is the turned result."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from instseg_ros.core.rotation import ROTATIONS, rotate, rotate_back, segmentation_of_camera
from instseg_ros.core.types import Instance, Segmentation

tiny_models = pytest.importorskip('tiny_models', reason='needs onnx')

SIDE = st.integers(1, 9)
SHAPES = st.tuples(SIDE, SIDE)


def segmentation_of(instance_ids):
    """Return a segmentation with the given objects; each center is on a pixel of its object."""
    instances = []
    for instance_id in np.unique(instance_ids[instance_ids > 0]).tolist():
        y, x = np.nonzero(instance_ids == instance_id)
        middle = len(y) // 3
        instances.append(Instance(
            instance_id=instance_id, class_id=1, class_name='car', score=0.5,
            center_yx=(float(y[middle]), float(x[middle])), area=len(y),
            box_xyxy=(int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1)))
    return Segmentation(semantic_ids=(instance_ids > 0).astype(np.uint8),
                        instance_ids=instance_ids, instances=tuple(instances))


@settings(deadline=None)
@given(pixels=st.one_of(arrays(np.uint8, st.tuples(SIDE, SIDE, st.just(3))),
                        arrays(np.uint16, SHAPES), arrays(np.float32, SHAPES, elements=st.floats(
                            0, 1, width=32))),
       degrees=st.sampled_from(ROTATIONS))
def test_an_image_turns_clockwise_and_back(pixels, degrees):
    pixels.setflags(write=False)  # as the pixels of a message
    turned = rotate(pixels, degrees)
    np.testing.assert_array_equal(turned, np.rot90(pixels, -degrees // 90))
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(rotate_back(turned, degrees), pixels)


@settings(deadline=None)
@given(instance_ids=arrays(np.uint16, SHAPES, elements=st.integers(0, 4)),
       degrees=st.sampled_from(ROTATIONS))
def test_boxes_areas_and_centers_still_belong_to_the_pixels_of_their_objects(instance_ids,
                                                                             degrees):
    turned = segmentation_of(instance_ids)
    back = segmentation_of_camera(turned, degrees)
    measured = segmentation_of(back.instance_ids)
    np.testing.assert_array_equal(back.instance_ids, rotate_back(instance_ids, degrees))
    np.testing.assert_array_equal(back.semantic_ids, measured.semantic_ids)
    for instance, expected in zip(back.instances, measured.instances):
        assert instance.instance_id == expected.instance_id
        assert (instance.box_xyxy, instance.area) == (expected.box_xyxy, expected.area)
        y, x = map(int, instance.center_yx)
        assert back.instance_ids[y, x] == instance.instance_id


@settings(deadline=None)
@given(instance_ids=arrays(np.uint16, SHAPES, elements=st.integers(0, 4)),
       degrees=st.sampled_from(ROTATIONS))
def test_turning_on_to_a_whole_turn_gives_the_same_segmentation(instance_ids, degrees):
    before = segmentation_of(instance_ids)
    after = segmentation_of_camera(segmentation_of_camera(before, degrees), -degrees % 360)
    assert after.instances == before.instances
    np.testing.assert_array_equal(after.instance_ids, before.instance_ids)


def test_every_map_of_a_segmentation_turns():
    maps = segmentation_of(np.arange(6, dtype=np.uint16).reshape(2, 3))
    back = segmentation_of_camera(maps, 90)
    for field in dataclasses.fields(maps):
        value = getattr(maps, field.name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(back, field.name), np.rot90(value))


@pytest.mark.parametrize('degrees', ROTATIONS)
def test_a_turned_camera_gets_the_objects_where_they_are_in_its_image(tiny_model, degrees):
    from instseg_ros import Segmenter
    semantic_ids, instance_ids = tiny_models.rectangles(
        (120, 160), [(1, (16, 16, 56, 40)), (3, (80, 24, 128, 96))])
    image = tiny_models.paint_scene(semantic_ids, instance_ids, tiny_models.tiny_info())
    seen = rotate_back(image, degrees)
    result = segmentation_of_camera(
        Segmenter.from_onnx(tiny_model).segment(rotate(seen, degrees)), degrees)
    np.testing.assert_array_equal(result.semantic_ids, rotate_back(semantic_ids, degrees))
    np.testing.assert_array_equal(result.instance_ids, rotate_back(instance_ids, degrees))
    for instance in result.instances:
        y, x = np.nonzero(result.instance_ids == instance.instance_id)
        assert instance.box_xyxy == (x.min(), y.min(), x.max() + 1, y.max() + 1)
        assert instance.center_yx == pytest.approx((y.mean(), x.mean()), abs=4)


@pytest.mark.parametrize('degrees', [45, -90, 360])
def test_another_angle_is_refused(degrees):
    with pytest.raises(ValueError, match='rotate: expected one of 0, 90, 180, 270, got'):
        rotate(np.zeros((2, 2), np.uint8), degrees)
