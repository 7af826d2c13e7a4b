"""Overlays show what was found, where it was found, and change nothing else."""
import dataclasses

import numpy as np
import pytest
from tiny_models import tiny_info

from instseg_ros.core.types import UNLABELLED, Instance, Segmentation
from instseg_ros.visualization import LabelColors, contact_sheet, instance_color, overlay

GRAY = 120
INFO = tiny_info()


def scene(boxes, shape=(480, 640), class_id=1):
    """Return a gray image and a segmentation with one instance a box."""
    semantic_ids, instance_ids = np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)
    instances = []
    for number, (left, top, right, bottom) in enumerate(boxes, start=1):
        semantic_ids[top:bottom, left:right] = class_id
        instance_ids[top:bottom, left:right] = number
        instances.append(Instance(number, class_id, INFO.class_names[class_id], 0.9,
                                  ((top + bottom) / 2, (left + right) / 2),
                                  (left, top, right, bottom),
                                  (right - left) * (bottom - top)))
    image = np.full((*shape, 3), GRAY, np.uint8)
    return image, Segmentation(semantic_ids, instance_ids, tuple(instances))


def test_masks_are_tinted_and_outlined_in_the_color_of_the_instance():
    image, result = scene([(100, 100, 300, 300), (400, 200, 500, 400)])
    picture = overlay(image, result, INFO)
    for number, (y, x) in ((1, (250, 200)), (2, (350, 450))):
        color = np.array(instance_color(number))
        np.testing.assert_allclose(picture[y, x], (color + GRAY) / 2, atol=1)
        left, _, right, bottom = result.instances[number - 1].box_xyxy
        for edge in ((y, left), (y, right - 1), (bottom - 1, x)):
            assert tuple(picture[edge]) == tuple(color)
        assert tuple(picture[y, left - 1]) == tuple(picture[y, right]) == (GRAY,) * 3


def test_touching_instances_are_told_apart():
    image, result = scene([(100, 100, 200, 300), (200, 100, 300, 300)])
    picture = overlay(image, result, INFO)
    assert tuple(picture[250, 199]) == instance_color(1)
    assert tuple(picture[250, 200]) == instance_color(2)


def test_the_image_stays_as_it_was():
    image, result = scene([(100, 100, 300, 300)])
    overlay(image, result, INFO)
    assert np.all(image == GRAY)


def test_without_labels_the_picture_is_the_image():
    image, result = scene([])
    assert np.array_equal(overlay(image, result, INFO), image)
    unlabelled = Segmentation(np.full((480, 640), UNLABELLED, np.uint8), result.instance_ids)
    assert np.array_equal(overlay(image, unlabelled, INFO), image)


def test_classes_without_instances_are_tinted_weakly():
    image, result = scene([(100, 100, 300, 300)], class_id=3)
    picture = overlay(image, Segmentation(result.semantic_ids,
                                          np.zeros_like(result.instance_ids)), INFO)
    color = np.array(INFO.palette[3])
    np.testing.assert_allclose(picture[200, 200], 0.3 * color + 0.7 * GRAY, atol=1)
    assert np.all(picture[result.semantic_ids == 0] == GRAY)


def plate(picture, number):
    """Return rows and columns of the pixels in an instance's very colour: plate and outline."""
    return np.nonzero((picture == instance_color(number)).all(axis=2))


def test_plates_name_the_instance_above_its_mask():
    image, result = scene([(100, 100, 300, 300)])
    picture = overlay(image, result, INFO)
    above = picture[80:100, 100:300]
    assert (above == instance_color(1)).all(axis=2).sum() > 500
    # Letters: pixels on the plate that are neither plate nor background.
    rows, columns = plate(picture, 1)
    columns = columns[rows < 100]
    assert columns.min() + columns.max() == pytest.approx(400, abs=2)  # over the middle
    text = picture[rows.min():100, columns.min():columns.max() + 1]
    assert (text != instance_color(1)).any(axis=2).sum() > 50
    assert 10 <= 100 - rows.min() <= 24  # readable, and no banner, at 640 x 480


def test_stray_pixels_do_not_take_the_plate_away():
    image, result = scene([(300, 200, 400, 300)])
    result.semantic_ids[10, 10] = result.instance_ids[10, 10] = 1
    stray = dataclasses.replace(result.instances[0], box_xyxy=(10, 10, 400, 300))
    result = dataclasses.replace(result, instances=(stray,))
    picture = overlay(image, result, INFO)
    assert (picture[175:200, 280:420] == instance_color(1)).all(axis=2).sum() > 500


@pytest.mark.parametrize('box', [(0, 0, 30, 30), (610, 0, 640, 20), (630, 470, 640, 480),
                                 (0, 460, 8, 480), (0, 0, 640, 480)])
def test_plates_stay_inside_the_image(box):
    image, result = scene([box])
    rows, columns = plate(overlay(image, result, INFO), 1)
    assert len(rows) > 500
    assert rows.min() >= 0 and columns.max() < 640


def test_plates_of_neighbours_do_not_cover_each_other():
    image, result = scene([(200, 200, 230, 300), (235, 200, 265, 300)])
    together = overlay(image, result, INFO)
    for number, instance in enumerate(result.instances, start=1):
        alone = overlay(image, dataclasses.replace(result, instances=(instance,)), INFO)
        assert len(plate(together, number)[0]) > 0.9 * len(plate(alone, number)[0])


@pytest.mark.parametrize('shape', [(1, 1), (3, 500), (500, 3), (1080, 1920)])
def test_any_size(shape):
    image, result = scene([(0, 0, max(1, shape[1] // 2), max(1, shape[0] // 2))], shape)
    assert overlay(image, result, INFO).shape == (*shape, 3)


def test_an_image_of_another_size_is_refused():
    image, result = scene([])
    with pytest.raises(ValueError, match=r'image: expected shape \(480, 640, 3\)'):
        overlay(image[:100], result, INFO)


def test_colors_of_neighbouring_ids_are_far_apart():
    colors = np.array([instance_color(number) for number in range(1, 200)], float)
    for step in range(1, 6):
        distances = np.abs(colors[step:] - colors[:-step]).sum(axis=1)
        assert distances.min() > 60
    assert instance_color(7) == instance_color(7)


def test_contact_sheet_reads_like_text():
    images = [np.full((4, 6, 3), value, np.uint8) for value in (10, 20, 30, 40, 50)]
    sheet = contact_sheet(images, 3)
    assert sheet.shape == (8, 18, 3)
    assert sheet[::4, ::6, 0].tolist() == [[10, 20, 30], [40, 50, 0]]
    assert np.array_equal(contact_sheet(images[:1], 1), images[0])


def test_contact_sheet_refuses_what_does_not_fit():
    image = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(ValueError, match='at least one image and one column, got 0 and 3'):
        contact_sheet([], 3)
    with pytest.raises(ValueError, match='got 1 and 0'):
        contact_sheet([image], 0)
    with pytest.raises(ValueError, match=r'images\[1\]: expected shape \(4, 6, 3\)'):
        contact_sheet([image, image[:2]], 2)


@pytest.mark.parametrize('number', [1, 255, 256, 65535])
def test_every_id_has_its_own_color(number):
    """Also those beyond 8 bits, which tracking reaches."""
    semantic_ids, instance_ids = np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint16)
    semantic_ids[1] = 1
    instance_ids[2], semantic_ids[2] = number, 3
    picture = LabelColors.of(Segmentation(semantic_ids, instance_ids), INFO).picture
    assert tuple(picture[0, 0]) == tuple(INFO.palette[0])
    assert tuple(picture[1, 0]) == tuple(INFO.palette[1])
    assert tuple(picture[2, 0]) == instance_color(number)
