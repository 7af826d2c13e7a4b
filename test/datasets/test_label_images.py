"""Label images: values, names, classes, and messages on files that don't fit."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from label_files import write_label_images

from instseg_ros.datasets.label_images import LabelImages
from instseg_ros.datasets.masks import decode_segmentation
from instseg_ros.datasets.types import DatasetError

CLASSES = ('background', 'person', 'road', 'sky')


def test_values_become_classes_by_name_and_by_the_class_map(tmp_path):
    dataset = LabelImages(*write_label_images(tmp_path), CLASSES, (1,),
                          {'person': 1, 'road': 2, 'sky': 3, 'street': 2})
    dataset.check_images()
    semantic_ids, instance_ids = dataset.load_label_maps(0)
    assert semantic_ids.dtype == np.uint8 and instance_ids.dtype == np.uint16
    assert (semantic_ids[4:] == 2).all() and not instance_ids.any()
    assert semantic_ids[0].tolist() == [0] * 3 + [1] * 3 + [255] * 3 + [0] * 3
    # Grass is no class and "other" is none: both are background. The sky has no name in the file.
    assert dataset.candidates(0) == (0, 3)
    assert dataset.load_image(0).shape == (8, 12, 3) and dataset.image_name(0) == 'a.jpg'
    assert not dataset.shows_object(0)


def test_images_are_selected_by_a_field_of_the_index(tmp_path):
    paths = write_label_images(tmp_path)
    assert len(LabelImages(*paths, select='file=[ab]')) == 1
    with pytest.raises(DatasetError, match="no image matches 'file!=a'"):
        LabelImages(*paths, select='file!=a')


def test_without_a_background_what_is_no_class_is_ignored(tmp_path):
    dataset = LabelImages(*write_label_images(tmp_path), ('grass', 'street'))
    assert dataset.load_label_maps(0)[0][0].tolist() == [0] * 3 + [255] * 9


def test_without_classes_the_names_of_the_file_are_the_classes(tmp_path):
    dataset = LabelImages(*write_label_images(tmp_path))
    assert dataset.class_names == ('other', 'street', 'grass', 'person')
    assert len(dataset) == 1 and dataset.candidates(0) == (0,)


def test_pixels_of_things_are_a_crowd_as_no_instance_is_labelled(tmp_path):
    truth = LabelImages(*write_label_images(tmp_path), CLASSES, (1,)).load_ground_truth(0)
    [crowd] = truth.objects
    assert crowd.crowd and crowd.class_id == 1
    assert np.array_equal(decode_segmentation(crowd.mask, 8, 12), truth.semantic_ids == 1)


@pytest.mark.parametrize('values, message', [
    ({'0': 'other'}, 'none of its classes'), ({'256': 'person'}, 'expected values from 0 to 255'),
    ({'x': 'person'}, 'index.json: expected {"classes"'), ([], 'index.json: expected {"classes"'),
])
def test_an_index_that_can_not_be_understood_is_named(tmp_path, values, message):
    with pytest.raises(DatasetError, match=message):
        LabelImages(*write_label_images(tmp_path, values), CLASSES)


def test_files_that_do_not_fit_are_named(tmp_path):
    images, labels, index = write_label_images(tmp_path, labels=np.full((8, 12), 7, np.uint8))
    dataset = LabelImages(images, labels, index, CLASSES)
    with pytest.raises(DatasetError, match='a.png: index.json has no name for the value 7'):
        dataset.load_label_maps(0)
    cv2.imwrite(str(labels / 'a.png'), np.zeros((8, 12, 3), np.uint8))
    with pytest.raises(DatasetError, match='a.png: expected a PNG with one channel of 8 bits'):
        dataset.load_label_maps(0)
    (labels / 'a.png').unlink()
    with pytest.raises(DatasetError, match='a.png: does not exist'):
        dataset.check_images()
    (images / 'a.jpg').unlink()
    with pytest.raises(DatasetError, match='a: no image of this name'):
        dataset.check_images()
    with pytest.raises(DatasetError, match='nowhere: no such folder'):
        LabelImages(images, tmp_path / 'nowhere', index)
