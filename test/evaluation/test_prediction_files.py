import json

import cv2
import numpy as np
import pytest
from coco_files import coco_document, rectangle, write_coco

from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.masks import decode_segmentation
from instseg_ros.datasets.types import DatasetError
from instseg_ros.evaluation.prediction_files import LabelFolder, ResultsFile

CLASSES = ('background', 'person', 'car')
CAR, PERSON, TREE = 3, 70, 71


@pytest.fixture
def dataset(tmp_path):
    document = coco_document(categories=((CAR, 'car'), (PERSON, 'person'), (TREE, 'tree')))
    return CocoDataset(*write_coco(tmp_path, document), CLASSES)


def results(folder, dataset, records, **options):
    path = folder / 'results.json'
    path.write_text(json.dumps(records))
    return ResultsFile(path, dataset, **options)


def detection(category, box, score, **changes):
    return {'image_id': 5, 'category_id': category, 'segmentation': [rectangle(*box)],
            'score': score, **changes}


def test_results_are_painted_with_the_strongest_in_front(tmp_path, dataset):
    prediction = results(tmp_path, dataset, [
        detection(CAR, (0, 0, 10, 10), .9), detection(PERSON, (5, 0, 15, 10), .6)]).load(0)
    semantic_ids = prediction.segmentation.semantic_ids
    assert semantic_ids[0].tolist() == [2] * 10 + [1] * 5 + [0] * 5
    car, person = prediction.segmentation.instances
    assert (car.class_name, car.score, car.box_xyxy, car.area) == ('car', .9, (0, 0, 10, 10), 100)
    assert (person.class_name, person.box_xyxy) == ('person', (10, 0, 15, 10))
    assert (prediction.segmentation.instance_ids == person.instance_id).sum() == 50


def test_masks_of_results_keep_what_is_hidden_in_the_label_map(tmp_path, dataset):
    prediction = results(tmp_path, dataset, [
        detection(CAR, (0, 0, 10, 10), .9), detection(CAR, (0, 0, 8, 8), .6)]).load(0)
    areas = sorted(decode_segmentation(item.mask, 10, 20).sum() for item in prediction.detections)
    assert areas == [64, 100]
    assert len(prediction.segmentation.instances) == 1


def test_weak_results_are_detections_but_not_in_the_label_map(tmp_path, dataset):
    records = [detection(CAR, (0, 0, 10, 10), .4)]
    prediction = results(tmp_path, dataset, records).load(0)
    assert not prediction.segmentation.instance_ids.any()
    assert [item.score for item in prediction.detections] == [.4]
    prediction = results(tmp_path, dataset, records, score_threshold=.4).load(0)
    assert prediction.segmentation.instance_ids.any()


def test_results_of_categories_that_are_no_class_are_left_out(tmp_path, dataset):
    prediction = results(tmp_path, dataset, [detection(TREE, (0, 0, 10, 10), .9)]).load(0)
    assert prediction.detections == []
    assert not prediction.segmentation.semantic_ids.any()


def test_no_results_are_all_background(tmp_path, dataset):
    prediction = results(tmp_path, dataset, []).load(0)
    assert prediction.detections == [] and not prediction.segmentation.semantic_ids.any()


@pytest.mark.parametrize('records, message', [
    ({'annotations': []}, 'expected a list of detections, got a dict'),
    (['car'], "detection 0: expected a JSON object, got 'car'"),
    ([detection(CAR, (0, 0, 5, 5), .5, image_id=9)], 'image_id 9 is not in instances.json'),
    ([detection(4, (0, 0, 5, 5), .5)], 'category_id 4 is not in instances.json'),
    ([detection(CAR, (0, 0, 5, 5), None)], 'expected a finite number as score, got None'),
    ([detection(CAR, (0, 0, 5, 5), float('nan'))], 'expected a finite number as score, got nan'),
])
def test_damaged_results_are_named(tmp_path, dataset, records, message):
    with pytest.raises(DatasetError, match=f'results.json: .*{message}'):
        results(tmp_path, dataset, records)


def test_a_result_without_a_mask_is_named(tmp_path, dataset):
    records = [detection(CAR, (0, 0, 5, 5), .9), detection(CAR, (0, 0, 5, 5), .5)]
    del records[1]['segmentation']
    with pytest.raises(DatasetError, match='results.json: detection 1: it has no segmentation'):
        results(tmp_path, dataset, records).load(0)


def write_labels(folder, semantic_ids, instance_ids, lines=None):
    for kind, labels in (('semantic', semantic_ids), ('instance', instance_ids)):
        (folder / kind).mkdir(parents=True)
        cv2.imwrite(str(folder / kind / 'a.png'), labels)
    if lines is not None:
        (folder / 'instances.jsonl').write_text(lines)
    return folder


@pytest.fixture
def label_maps():
    semantic_ids, instance_ids = np.zeros((10, 20), np.uint8), np.zeros((10, 20), np.uint16)
    semantic_ids[:5, :10], instance_ids[:5, :10] = 2, 300
    semantic_ids[5:, 10:], semantic_ids[9, 0] = 1, 255
    return semantic_ids, instance_ids


def test_label_images_are_read_as_they_are(tmp_path, dataset, label_maps):
    prediction = LabelFolder(write_labels(tmp_path / 'out', *label_maps), dataset, (1, 2)).load(0)
    assert np.array_equal(prediction.segmentation.semantic_ids, label_maps[0])
    assert np.array_equal(prediction.segmentation.instance_ids, label_maps[1])
    instance, = prediction.segmentation.instances
    assert (instance.instance_id, instance.class_name, instance.score) == (300, 'car', 1)
    assert [item.class_id for item in prediction.detections] == [2]


def test_scores_of_label_images_come_from_the_records(tmp_path, dataset, label_maps):
    line = json.dumps({'frame': 0, 'source': 'photos/a.jpg',
                       'instances': [{'id': 300, 'class_id': 2, 'score': .75}]})
    folder = write_labels(tmp_path / 'out', *label_maps, lines=line + '\n')
    prediction = LabelFolder(folder, dataset, (1, 2)).load(0)
    assert prediction.detections[0].score == .75


@pytest.fixture
def same_stems(tmp_path):
    """Return a data set of a.jpg and front/a.png, without annotations."""
    document = coco_document()
    first, = document['images']
    document['images'] = [{**first, 'file_name': 'a.jpg'},
                          {**first, 'id': 6, 'file_name': 'front/a.png'}]
    (tmp_path / 'images' / 'front').mkdir(parents=True)
    return CocoDataset(*write_coco(tmp_path, document), CLASSES)


def test_images_of_equal_stems_have_their_own_label_images(tmp_path, same_stems, label_maps):
    semantic_ids, instance_ids = label_maps
    records = ''
    for name, shift, score in (('a.jpg', 0, .75), ('front/a.png', 1, .25)):
        for kind, labels in (('semantic', semantic_ids), ('instance', instance_ids)):
            path = tmp_path / 'out' / kind / f'{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.roll(labels, shift, axis=0))
        records += json.dumps({'frame': 0, 'source': f'elsewhere/{name}', 'name': name,
                               'instances': [{'id': 300, 'score': score}]}) + '\n'
    (tmp_path / 'out' / 'instances.jsonl').write_text(records)
    folder = LabelFolder(tmp_path / 'out', same_stems, (1, 2))
    for index, score in enumerate((.75, .25)):
        prediction = folder.load(index)
        assert np.array_equal(prediction.segmentation.semantic_ids,
                              np.roll(semantic_ids, index, axis=0))
        assert [item.score for item in prediction.detections] == [score]


def test_a_label_image_that_could_belong_to_two_images_is_refused(tmp_path, same_stems,
                                                                  label_maps):
    folder = LabelFolder(write_labels(tmp_path / 'out', *label_maps), same_stems, (1, 2))
    with pytest.raises(DatasetError, match=r'semantic/a.jpg.png: does not exist, and a.png could '
                                           'belong to 2 images'):
        folder.load(0)


def test_an_instance_without_a_record_is_named(tmp_path, dataset, label_maps):
    folder = write_labels(tmp_path / 'out', *label_maps, lines='')
    with pytest.raises(DatasetError, match='a.png: instance 300: not in instances.jsonl'):
        LabelFolder(folder, dataset, (1, 2)).load(0)


@pytest.mark.parametrize('line', ['{', '[]', '{"source": "a.jpg"}', '{"source": 3}',
                                  '{"source": "a.jpg", "instances": [{"id": 1}]}'])
def test_a_damaged_record_is_named(tmp_path, dataset, label_maps, line):
    folder = write_labels(tmp_path / 'out', *label_maps, lines=f'{line}\n')
    with pytest.raises(DatasetError, match='instances.jsonl: line 1: expected'):
        LabelFolder(folder, dataset, (1, 2))


@pytest.mark.parametrize('pixel, class_id, message', [
    ((0, 0), 1, r'instance 300: expected pixels of one class .* \[1, 2\]'),
    ((9, 19), 3, r'semantic/a.png: expected class ids below 3 or 255, got 3')])
def test_label_images_that_contradict_themselves_are_named(
        tmp_path, dataset, label_maps, pixel, class_id, message):
    label_maps[0][pixel] = class_id
    with pytest.raises(DatasetError, match=message):
        LabelFolder(write_labels(tmp_path / 'out', *label_maps), dataset, (1, 2)).load(0)


def test_an_instance_on_the_background_is_named(tmp_path, dataset, label_maps):
    label_maps[0][:5, :10] = 0
    with pytest.raises(DatasetError, match=r'one class that has instances, .* \[0\]'):
        LabelFolder(write_labels(tmp_path / 'out', *label_maps), dataset, (1, 2)).load(0)


def test_label_images_of_another_size_or_depth_are_named(tmp_path, dataset, label_maps):
    semantic_ids, instance_ids = label_maps
    with pytest.raises(DatasetError, match='semantic/a.png: expected one channel of 8 bits and 20x'
                       r'10 pixels, got uint8 of shape \(10, 19\)'):
        LabelFolder(write_labels(tmp_path / '1', semantic_ids[:, :19], instance_ids),
                    dataset, (1, 2)).load(0)
    with pytest.raises(DatasetError, match='semantic/a.png: .* got uint16'):
        LabelFolder(write_labels(tmp_path / '2', semantic_ids.astype(np.uint16), instance_ids),
                    dataset, (1, 2)).load(0)


def test_missing_label_images_are_named(tmp_path, dataset, label_maps):
    with pytest.raises(DatasetError, match='there is no "semantic"'):
        LabelFolder(tmp_path, dataset, (1, 2))
    folder = write_labels(tmp_path / 'out', *label_maps)
    (folder / 'instance' / 'a.png').unlink()
    with pytest.raises(DatasetError, match='instance/a.png: no such file'):
        LabelFolder(folder, dataset, (1, 2)).load(0)
    (folder / 'instance' / 'a.png').write_text('no image')
    with pytest.raises(DatasetError, match='instance/a.png: expected an image'):
        LabelFolder(folder, dataset, (1, 2)).load(0)
