import json

import cv2
import numpy as np
import pytest
from coco_files import coco_document, write_coco, write_panoptic

from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.coco_panoptic import CocoPanopticDataset
from instseg_ros.datasets.masks import decode_segmentation
from instseg_ros.datasets.types import DatasetError

CATEGORIES = ((9, 'road', 0), (2, 'car', 1), (40, 'person', 1), (41, 'sky', 0))
ROAD, CAR_A, CAR_B, CROWD, SKY = 7, 300, 70000, 3, 5
SEGMENTS = [{'id': ROAD, 'category_id': 9}, {'id': CAR_A, 'category_id': 2, 'iscrowd': 0},
            {'id': CAR_B, 'category_id': 2}, {'id': SKY, 'category_id': 41},
            {'id': CROWD, 'category_id': 40, 'iscrowd': 1}]


def street():
    ids = np.full((8, 12), ROAD)
    ids[:3] = SKY
    ids[2:5, 1:4], ids[2:5, 6:9], ids[2:5, 10:] = CAR_A, CAR_B, CROWD
    ids[7, :2] = 0  # nobody labelled this
    return ids


def load(folder, class_names=(), segments=SEGMENTS, ids=None):
    images, path = write_panoptic(folder, segments, street() if ids is None else ids, CATEGORIES)
    return CocoPanopticDataset(images, path, class_names)


def test_all_categories_are_the_classes_and_isthing_tells_things_from_stuff(tmp_path):
    dataset = load(tmp_path)
    assert dataset.class_names == ('road', 'car', 'person', 'sky')
    assert dataset.thing_ids == (1, 2)
    assert len(dataset) == 1 and dataset.shows_object(0)
    dataset.check_images()


def test_segments_become_classes_and_instances_and_crowds_are_ignored(tmp_path):
    truth = load(tmp_path).load_ground_truth(0)
    ids = street()
    expected = np.select([ids == ROAD, ids == SKY, (ids == CAR_A) | (ids == CAR_B)], [0, 3, 1],
                         255)
    assert np.array_equal(truth.semantic_ids, expected)
    assert np.array_equal(truth.instance_ids, (ids == CAR_A) + 2 * (ids == CAR_B))
    assert [(item.class_id, item.crowd) for item in truth.objects] == [
        (1, False), (1, False), (2, True)]
    for item, value in zip(truth.objects, (CAR_A, CAR_B, CROWD)):
        assert np.array_equal(decode_segmentation(item.mask, 8, 12), ids == value)
    maps = load(tmp_path).load_label_maps(0)
    assert np.array_equal(maps[0], truth.semantic_ids)
    assert np.array_equal(maps[1], truth.instance_ids)


def test_some_of_the_categories_can_be_the_classes(tmp_path):
    ids = street()
    truth = load(tmp_path, ('car', 'road')).load_ground_truth(0)
    assert (truth.semantic_ids[ids == SKY] == 255).all()
    assert (truth.semantic_ids[ids == CAR_B] == 0).all()
    # With a background, other stuff belongs to it; other things do not.
    dataset = load(tmp_path, ('background', 'person'))
    truth = dataset.load_ground_truth(0)
    assert dataset.thing_ids == (1,) and not dataset.shows_object(0)
    assert (truth.semantic_ids[(ids == SKY) | (ids == ROAD)] == 0).all()
    assert (truth.semantic_ids[(ids == CAR_A) | (ids == CROWD) | (ids == 0)] == 255).all()


def test_the_folder_of_the_segments_can_be_elsewhere(tmp_path):
    images, path = write_panoptic(tmp_path, SEGMENTS, street(), CATEGORIES)
    (tmp_path / 'panoptic').rename(tmp_path / 'elsewhere')
    with pytest.raises(DatasetError, match='panoptic: no such folder of panoptic PNGs'):
        CocoPanopticDataset(images, path)
    assert CocoPanopticDataset(images, path, segments=tmp_path / 'elsewhere').load_label_maps(0)


def test_a_png_that_does_not_fit_the_file_is_named(tmp_path):
    dataset = load(tmp_path, segments=SEGMENTS[:2])
    with pytest.raises(DatasetError, match=r'panoptic/a.png: segment 3 has pixels, but panoptic'
                       r'.json lists no such segment for a.png'):
        dataset.load_ground_truth(0)
    png = tmp_path / 'panoptic' / 'a.png'
    cv2.imwrite(str(png), np.zeros((12, 8, 3), np.uint8))
    with pytest.raises(DatasetError, match='a.png: 8x12 pixels, the image a.png has 12x8'):
        dataset.load_label_maps(0)
    png.write_text('no image')
    with pytest.raises(DatasetError, match='a.png: expected an image'):
        dataset.load_label_maps(0)
    png.unlink()
    for read in (dataset.check_images, lambda: dataset.load_label_maps(0)):
        with pytest.raises(DatasetError, match='panoptic/a.png: (does not exist|no such file)'):
            read()


def change(path, list_name, **values):
    document = json.loads(path.read_text())
    document[list_name][0].update(values)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize('list_name, values, message', [
    ('annotations', {'segments_info': [{'id': 7, 'category_id': 99}]},
     'annotation of image 5, segment 7: category 99 is not in the list of categories'),
    ('annotations', {'segments_info': [{'category_id': 9}]},
     'annotation of image 5 .*expected a field "id" with a whole number'),
    ('annotations', {'segments_info': [4]}, 'annotation of image 5: expected a JSON object'),
    ('annotations', {'image_id': 6}, 'annotation: image 6 is not in the list of images'),
    ('annotations', {'file_name': None}, 'expected a field "file_name" with the name of a file'),
    ('categories', {'isthing': None}, r'category 9 \(road\): expected "isthing" 0 or 1, got None'),
])
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, list_name, values, message):
    images, path = write_panoptic(tmp_path, SEGMENTS, street(), CATEGORIES)
    change(path, list_name, **values)
    with pytest.raises(DatasetError, match=message) as error:
        CocoPanopticDataset(images, path)
    assert str(error.value).startswith(str(path))


def test_an_image_without_annotation_is_named(tmp_path):
    images, path = write_panoptic(tmp_path, SEGMENTS, street(), CATEGORIES)
    document = json.loads(path.read_text())
    document['images'].append({'id': 6, 'file_name': 'b.png', 'width': 1, 'height': 1})
    path.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=r'image 6 \(b.png\) has no annotation'):
        CocoPanopticDataset(images, path)


def test_the_two_formats_are_told_apart(tmp_path):
    images, path = write_panoptic(tmp_path, SEGMENTS, street(), CATEGORIES)
    with pytest.raises(DatasetError, match='panoptic.json: a panoptic file, expected a COCO inst'):
        CocoDataset(images, path, ('background', 'car'))
    _, instances = write_coco(tmp_path, coco_document())
    with pytest.raises(DatasetError, match='instances.json: no panoptic file'):
        CocoPanopticDataset(images, instances)
