"""Several data sets in which different classes are labelled, opened as one."""
from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from coco_files import coco_document, rectangle, write_coco
from label_files import write_label_images

from instseg_ros.datasets.config import DataConfig, DataSetConfig
from instseg_ros.datasets.opening import open_training_data, open_validation_data
from instseg_ros.datasets.types import DatasetError

CLASSES = ['background', 'car', 'person', 'bus', 'road']


@pytest.fixture
def values(tmp_path):
    """Return the data section: cars in two images, one of them labelled for people, and roads."""
    document = coco_document((20, 10), [{'segmentation': [rectangle(0, 0, 4, 4)]}],
                             ((3, 'auto'), (70, 'person'), (71, 'bus')))
    document['images'][0].update(source='A 1', labels=['auto', 'bus'])
    document['images'].append({'id': 6, 'file_name': 'b.png', 'width': 20, 'height': 10,
                               'source': 'B', 'labels': ['auto', 'person']})
    document['annotations'].append({'id': 900, 'image_id': 6, 'category_id': 70, 'iscrowd': 0,
                                    'segmentation': [rectangle(10, 0, 14, 4)]})
    document['annotations'].append({'id': 901, 'image_id': 6, 'category_id': 71, 'iscrowd': 0,
                                    'segmentation': [rectangle(16, 0, 20, 4)]})
    images, path = write_coco(tmp_path, document)
    (tmp_path / 'stuff').mkdir()
    photographs, labels, index = write_label_images(tmp_path / 'stuff')
    return {'classes': CLASSES, 'stuff': ['road'], 'sets': [
        {'name': 'cars', 'images': str(images), 'annotations': str(path),
         'class_map': {'auto': 'car'}, 'labelled_field': 'labels', 'share': 3},
        {'name': 'streets', 'format': 'label_images', 'images': str(photographs),
         'segments': str(labels), 'annotations': str(index), 'class_map': {'street': 'road'}}]}


def test_each_image_has_its_own_candidates_for_the_background(values):
    dataset, config = open_training_data(DataConfig(**values))
    assert [dataset.image_name(k) for k in range(len(dataset))] == [
        'cars/a.png', 'cars/b.png', 'streets/a.jpg']
    assert dataset.class_names == config.classes == tuple(CLASSES)
    assert dataset.thing_ids == config.thing_ids == (1, 2, 3)
    assert [dataset.candidates(k) for k in range(3)] == [(0, 2, 4), (0, 3, 4), (0, 1, 3)]
    assert [dataset.part_of(k) for k in range(3)] == [(0, 0), (0, 1), (1, 0)]
    assert [dataset.shows_object(k) for k in range(3)] == [True, True, False]
    # The bus in the second image is one, although buses are not labelled there.
    semantic_ids, instance_ids = dataset.load_label_maps(1)
    assert semantic_ids[0, 16] == 3 and instance_ids[0, 16] == 2 and semantic_ids[0, 0] == 0
    truth = dataset.load_ground_truth(1)
    assert truth.candidates == (0, 3, 4)
    assert [(item.class_id, item.crowd) for item in truth.objects] == [
        (2, False), (3, False), (3, True)]
    assert (dataset.load_label_maps(2)[0][4:] == 4).all()
    assert dataset.load_image(2).shape == (8, 12, 3)


def test_labelled_limits_what_the_images_say(values):
    values['sets'][0]['labelled'] = ['car', 'person']
    dataset, _ = open_training_data(DataConfig(**values))
    assert [dataset.candidates(k) for k in range(2)] == [(0, 2, 3, 4), (0, 3, 4)]


@pytest.mark.parametrize('select, names', [
    ('source=A*', ['a.png']), ('source!=A*', ['b.png']), ('source=*', ['a.png', 'b.png'])])
def test_images_are_selected_by_a_field_of_their_record(values, select, names):
    values['sets'][0]['select'] = select
    dataset, _ = open_training_data(DataConfig(**values))
    assert [dataset.image_name(k).removeprefix('cars/') for k in range(len(names))] == names
    assert len(dataset) == len(names) + 1


def test_a_selection_of_nothing_and_a_missing_list_of_labels_are_named(values):
    values['sets'][0]['select'] = 'source=C*'
    with pytest.raises(DatasetError, match=r"instances.json: no image matches 'source=C\*'"):
        open_training_data(DataConfig(**values))
    values['sets'][0].update(select='', labelled_field='classes')
    dataset, _ = open_training_data(DataConfig(**values))
    with pytest.raises(DatasetError, match='image 5: expected a field "classes" with a list'):
        dataset.candidates(0)


def test_a_class_that_no_data_set_has_is_named_with_all_that_they_have(values):
    values['classes'] = [*CLASSES, 'tram']
    with pytest.raises(DatasetError, match=r"no annotation has the class 'tram'; .*instances.json"
                       r': its annotations are of: auto \(1\), person \(1\), bus \(1\); '
                       '.*index.json'
                       ': its classes are: other, street, grass, person'):
        open_training_data(DataConfig(**values))


def test_a_data_set_of_its_own_for_validation_has_the_classes_of_the_training(values):
    values['validation'] = values['sets'].pop(0)
    values['class_shares'] = {'road': 2}
    values['classes'] = ['background', 'person', 'road']
    values['validation']['class_map'] = {}
    config = DataConfig(**values)
    assert open_training_data(config)[1].classes == ('background', 'person', 'road')
    dataset = open_validation_data(config)
    assert len(dataset) == 2 and dataset.class_names == ('background', 'person', 'road')
    assert dataset.candidates(1) == (0, 2)
    assert np.unique(dataset.load_label_maps(1)[0]).tolist() == [0, 1, 255]  # a bus is no class


def test_a_mixture_survives_a_checkpoint(values):
    config = DataConfig(**values)
    again = DataConfig(**json.loads(json.dumps(dataclasses.asdict(config))))
    assert again == config and isinstance(again.sets[0], DataSetConfig)
    assert config.source == 'cars, streets'


@pytest.mark.parametrize('change, message', [
    ({'classes': []}, 'data.classes: expected the class names, as there are several data sets'),
    ({'images': 'x'}, 'data.images: expected in each of data.sets, or no data.sets'),
    ({'sets': {}}, 'data.sets: expected a list of data sets'),
    ({'sets': ['x']}, r'data.sets\[0\]: expected a section with keys'),
    ({'sets': [{'images': 'x'}]}, r'data.sets\[0\].annotations: expected a path'),
    ({'sets': [{'image': 'x'}]}, r'unknown key "data.sets\[0\].image"'),
    ({'sets': [{'images': 'x', 'annotations': 'y'}] * 2},
     "expected different names, got 'y' twice"),
    ({'sets': [{'images': 'x', 'annotations': 'y', 'share': 0}]}, 'expected a share above 0'),
    ({'sets': [{'images': 'x', 'annotations': 'y', 'select': 'z'}]}, 'expected FIELD=PATTERN'),
    ({'sets': [{'format': 'cityscapes', 'root': 'x', 'select': 'a=b'}]},
     r'data.sets\[0\].select: format cityscapes has no such option'),
    ({'sets': [{'images': 'x', 'annotations': 'y', 'labelled': ['tram']}]},
     "data.labelled: 'tram' is none of the classes"),
    ({'sets': [{'images': 'x', 'annotations': 'y', 'class_map': {'a': 'tram'}}]},
     "data.class_map: 'tram' is none of the classes"),
    ({'sets': [{'images': 'x', 'annotations': 'y', 'class_map': 'car'}]},
     r'data.sets\[0\].class_map: expected a mapping'),
    ({'class_shares': {'tram': 1}}, "data.class_shares: 'tram' is none of the classes"),
    ({'class_shares': {'car': -1}}, 'data.class_shares.car: expected a number from 0, got -1'),
    ({'validation': 'x'}, 'data.validation: expected a section with keys'),
])
def test_a_wrong_mixture_is_one_clear_sentence(values, change, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(**{**values, **change})
