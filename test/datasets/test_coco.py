import json

import numpy as np
import pytest
from coco_files import coco_document, rectangle, write_coco

from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.coco_file import CocoFile
from instseg_ros.datasets.masks import decode_segmentation
from instseg_ros.datasets.types import DatasetError

CLASSES = ('background', 'person', 'car')


def load(folder, document, **options):
    return CocoDataset(*write_coco(folder, document, **options), CLASSES)


def truth_of(folder, *annotations, **options):
    return load(folder, coco_document(annotations=annotations, **options)).load_ground_truth(0)


def test_categories_are_matched_by_name_whatever_their_ids(tmp_path):
    truth = truth_of(tmp_path, {'category_id': 3, 'segmentation': [rectangle(0, 0, 4, 4)]},
                     {'category_id': 70, 'segmentation': [rectangle(10, 0, 14, 4)]})
    expected = np.zeros((10, 20), np.uint8)
    expected[:4, :4], expected[:4, 10:14] = 2, 1
    assert np.array_equal(truth.semantic_ids, expected)
    assert [item.class_id for item in truth.objects] == [2, 1]
    assert np.array_equal(truth.instance_ids, (expected == 2) + 2 * (expected == 1))


def test_crowds_and_categories_that_are_no_class_are_ignored(tmp_path):
    runs = {'size': [10, 20], 'counts': [150, 50]}
    truth = truth_of(tmp_path, {'category_id': 8, 'segmentation': [rectangle(0, 0, 4, 4)]},
                     {'iscrowd': 1, 'segmentation': runs},
                     categories=((3, 'car'), (8, 'bus')))
    assert (truth.semantic_ids[:4, :4] == 255).all()
    assert (truth.semantic_ids[:, 15:] == 255).all()
    assert np.count_nonzero(truth.semantic_ids == 255) == 16 + 50
    assert not truth.instance_ids.any()
    assert truth.annotations == ()
    # Nobody is labelled: to find a person is no mistake anywhere.
    assert [(item.class_id, item.crowd) for item in truth.objects] == [(2, True), (1, True)]


def test_a_labelled_object_lies_over_ignored_pixels_and_a_small_one_over_a_large_one(tmp_path):
    large, small = [rectangle(0, 0, 10, 10)], [rectangle(2, 2, 5, 5)]
    truth = truth_of(tmp_path, {'segmentation': small}, {'segmentation': large},
                     {'iscrowd': 1, 'segmentation': [rectangle(0, 0, 20, 10)]})
    assert (truth.instance_ids[2:5, 2:5] == 1).all()
    assert np.count_nonzero(truth.instance_ids == 2) == 100 - 9
    assert (truth.semantic_ids[:, :10] == 2).all()
    whole = decode_segmentation(truth.objects[1].mask, 10, 20)
    assert whole.sum() == 100  # an object's own mask keeps what is hidden in the label map


def test_stuff_has_no_instances_and_lies_behind_all_else(tmp_path):
    categories = ((3, 'car'), (7, 'road'), (8, 'bus'))
    document = coco_document(annotations=[
        {'category_id': 3, 'segmentation': [rectangle(2, 2, 5, 5)]},
        {'category_id': 8, 'segmentation': [rectangle(6, 2, 9, 5)]},
        {'category_id': 7, 'segmentation': [rectangle(0, 0, 20, 6)]}], categories=categories)
    dataset = CocoDataset(*write_coco(tmp_path, document), ('background', 'road', 'car'), (2,))
    truth = dataset.load_ground_truth(0)
    expected = np.zeros((10, 20), np.uint8)
    expected[:6], expected[2:5, 2:5], expected[2:5, 6:9] = 1, 2, 255
    assert np.array_equal(truth.semantic_ids, expected)
    assert np.array_equal(truth.instance_ids, expected == 2)
    assert [item.class_id for item in truth.objects] == [2]


def test_images_that_show_an_object_are_known_before_they_are_read(tmp_path):
    car = [{'segmentation': [rectangle(0, 0, 4, 4)]}]
    crowd = [{'iscrowd': 1, 'segmentation': [rectangle(0, 0, 4, 4)]}]
    for annotations, shows in ((car, True), (crowd, False), ((), False)):
        assert load(tmp_path, coco_document(annotations=annotations)).shows_object(0) is shows
    document = coco_document(annotations=car)
    dataset = CocoDataset(*write_coco(tmp_path, document), ('background', 'car'), ())
    assert not dataset.shows_object(0)  # where cars are stuff


def test_annotations_are_counted_for_each_category(tmp_path):
    _, path = write_coco(tmp_path, coco_document(annotations=[
        {'segmentation': [rectangle(0, 0, 4, 4)]}] * 3))
    assert CocoFile(path).annotation_counts() == {'car': 3, 'person': 0}


def test_an_image_without_annotations_is_background(tmp_path):
    assert not truth_of(tmp_path).semantic_ids.any()


def test_a_category_named_like_the_background_is_background(tmp_path):
    truth = truth_of(tmp_path, {'category_id': 9, 'segmentation': [rectangle(0, 0, 20, 10)]},
                     {'category_id': 3, 'segmentation': [rectangle(2, 2, 5, 5)]},
                     categories=((3, 'car'), (9, 'background')))
    expected = np.zeros((10, 20), np.uint8)
    expected[2:5, 2:5] = 2
    assert np.array_equal(truth.semantic_ids, expected)
    assert np.array_equal(truth.instance_ids, expected == 2)


def test_images_are_rgb_and_named(tmp_path):
    dataset = load(tmp_path, coco_document())
    assert dataset.load_image(0).shape == (10, 20, 3)
    assert dataset.image_name(0) == 'a.png'
    assert len(dataset) == 1
    dataset.check_images()


def damaged(**changes):
    return {**coco_document(annotations=[{'segmentation': [rectangle(0, 0, 4, 4)]}]), **changes}


IMAGE = {'id': 5, 'file_name': 'a.png', 'width': 20, 'height': 10}
ANNOTATION = {'id': 100, 'image_id': 5, 'category_id': 3, 'segmentation': [[0, 0, 4, 0, 4, 4]]}


def without(record, field):
    return {key: value for key, value in record.items() if key != field}


@pytest.mark.parametrize('document, message', [
    ([], 'expected a JSON object, got a list'),
    ({}, 'the list "images" is missing'),
    (damaged(annotations=None), 'the list "annotations" is missing'),
    (damaged(categories={}), 'the list "categories" is missing'),
    (damaged(categories=[{'id': 3, 'name': 'tree'}]),
     r'none of its categories \(tree\) is one of the classes \(person, car\)'),
    (damaged(categories=[{'name': 'car'}]), '"categories", record 0 .*"id" with a whole number'),
    (damaged(categories=[{'id': 3}]), r'"categories", record 0 \(id 3\).*"name" with a text'),
    (damaged(categories=[{'id': 3, 'name': 'car'}] * 2), 'record 1: id 3 appears twice'),
    (damaged(images=[IMAGE, dict(IMAGE)]), '"images", record 1: id 5 appears twice'),
    (damaged(images=[without(IMAGE, 'width')]), r'record 0 \(id 5\): expected a field "width"'),
    (damaged(images=[without(IMAGE, 'file_name')]), r'\(id 5\): expected a field "file_name"'),
    (damaged(images=[{**IMAGE, 'height': '10'}]), "\"height\" with a whole number, got '10'"),
    (damaged(images=[{**IMAGE, 'height': 0}]), r'\(a.png\): expected at least 1x1 and at most'),
    (damaged(images=['a.png']), '"images", record 0: expected a JSON object, got a str'),
    (damaged(annotations=[{**ANNOTATION, 'category_id': 4}]),
     'annotation 100: category 4 is not in the list of categories'),
    (damaged(annotations=[{**ANNOTATION, 'image_id': 4}]),
     'annotation 100: image 4 is not in the list of images'),
    (damaged(annotations=[without(ANNOTATION, 'image_id')]),
     r'"annotations", record 0 \(id 100\): expected a field "image_id"'),
    (damaged(annotations=[without(ANNOTATION, 'id')]),
     '"annotations", record 0 .*expected a field "id"'),
])
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, document, message):
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=message) as error:
        CocoDataset(tmp_path, path, CLASSES)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize('segmentation, message', [
    (None, 'it has no segmentation; a mask is needed, a box is not enough'),
    ('m.png', r'neither a list of polygons nor run lengths \(got str\)'),
    ([], 'its segmentation is an empty list'),
    ([[1, 2, 3, 4]], 'a polygon that is not a list of at least three points'),
    ([rectangle(30, 0, 34, 4)], 'polygon outside the image: x from 30 to 34'),
    ({'size': [20, 10], 'counts': [200]}, 'made for an image of 10x20 pixels'),
    ({'size': [10, 20], 'counts': 'zz'}, 'run lengths are damaged'),
    ({'size': [10, 20], 'counts': [150, 51]}, 'run lengths are damaged'),
    ({'counts': [200]}, r'its mask has no size \[height, width\]'),
])
def test_a_damaged_segmentation_is_named_with_file_annotation_and_image(
        tmp_path, segmentation, message):
    with pytest.raises(DatasetError, match=rf'instances.json: annotation 100 of a.png: .*{message}'
                       ):
        truth_of(tmp_path, {'segmentation': segmentation})


@pytest.mark.parametrize('text, message', [
    ('{"images": [', 'not valid JSON'), ('', 'the file is empty'),
    ('[' * 100000, 'not valid JSON')])
def test_a_file_that_is_no_json_is_named(tmp_path, text, message):
    path = tmp_path / 'instances.json'
    path.write_text(text)
    with pytest.raises(DatasetError, match=f'{path}: {message}'):
        CocoDataset(tmp_path, path, CLASSES)


def test_a_binary_file_is_no_json(tmp_path):
    path = tmp_path / 'instances.json'
    path.write_bytes(bytes(range(256)))
    with pytest.raises(DatasetError, match='not valid JSON'):
        CocoDataset(tmp_path, path, CLASSES)


def test_missing_files_are_named(tmp_path):
    images, path = write_coco(tmp_path, coco_document())
    with pytest.raises(DatasetError, match='nowhere: no such folder of images'):
        CocoDataset(tmp_path / 'nowhere', path, CLASSES)
    with pytest.raises(DatasetError, match='nothing.json: no such file'):
        CocoDataset(images, tmp_path / 'nothing.json', CLASSES)
    dataset = CocoDataset(images, path, CLASSES)
    (images / 'a.png').unlink()
    for read in (dataset.check_images, lambda: dataset.load_image(0)):
        with pytest.raises(DatasetError, match='a.png: image 5 of instances.json does not exist'):
            read()


def test_an_image_of_another_size_than_its_record_is_named(tmp_path):
    dataset = load(tmp_path, coco_document(), image_size=(10, 20))
    with pytest.raises(DatasetError, match='a.png: 10x20 pixels, but instances.json has 20x10 '
                       r'\(was it labelled without its EXIF orientation\?\)'):
        dataset.load_image(0)


def test_an_image_that_can_not_be_decoded_is_named(tmp_path):
    dataset = load(tmp_path, coco_document())
    (tmp_path / 'images' / 'a.png').write_text('no image')
    with pytest.raises(DatasetError, match='a.png: expected an image, got a file that is damaged'):
        dataset.load_image(0)


def test_the_street_photographs_can_all_be_read(shared):
    folder = shared / 'data' / 'coco_street'
    names = ('background', 'person', 'bicycle', 'car', 'motorcycle')
    dataset = CocoDataset(folder / 'images', folder / 'annotations' / 'instances_val.json', names)
    dataset.check_images()
    truths = [dataset.load_ground_truth(index) for index in range(len(dataset))]
    assert len(truths) == 51
    assert sum(len(truth.annotations) for truth in truths) == 573  # 577 but 4 buses and trucks
    assert sum(item.crowd for truth in truths for item in truth.objects) == 10
