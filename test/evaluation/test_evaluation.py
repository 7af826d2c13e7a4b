import json

import numpy as np
import pytest
from coco_files import coco_document, rectangle, write_coco

from instseg_ros.core.types import Instance, ModelInfo, Segmentation
from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.evaluation.evaluation import evaluate
from instseg_ros.evaluation.text_report import format_text

CLASSES = ('background', 'person', 'car')
INFO = ModelInfo(CLASSES, (1, 2), ((0, 0, 0), (9, 9, 9), (99, 99, 99)), output_stride=4,
                 size_multiple=32, embedding_size=2, input_size=64)
CAR, PERSON = 3, 70  # category ids of coco_document


class Painter:
    """Segmenter that answers with boxes (class_id, left, top, right, bottom), one list a call."""

    model_info = INFO

    def __init__(self, *answers):
        self.answers = list(answers)

    def segment(self, image):
        maps = np.zeros(image.shape[:2], np.uint8), np.zeros(image.shape[:2], np.uint16)
        instances = []
        for number, (class_id, left, top, right, bottom) in enumerate(self.answers.pop(0), 1):
            for labels, value in zip(maps, (class_id, number)):
                labels[top:bottom, left:right] = value
            instances.append(Instance(
                number, class_id, CLASSES[class_id], 1 - number / 100, (0., 0.),
                (left, top, right, bottom), (right - left) * (bottom - top)))
        return Segmentation(*maps, tuple(instances))


@pytest.fixture
def dataset(tmp_path):
    """Return two images of 60x50 pixels with a car and a person in the first one."""
    document = coco_document((60, 50), [
        {'category_id': CAR, 'segmentation': [rectangle(0, 0, 40, 40)]},
        {'category_id': PERSON, 'segmentation': [rectangle(46, 20, 56, 50)]}])
    document['images'].append({'id': 6, 'file_name': 'b.png', 'width': 60, 'height': 50})
    return CocoDataset(*write_coco(tmp_path, document), CLASSES)


PERFECT = [(2, 0, 0, 40, 40), (1, 46, 20, 56, 50)]


def test_a_perfect_prediction_reaches_one_everywhere(dataset):
    report = evaluate(Painter(PERFECT, []), dataset)
    assert report['images'] == 2
    assert report['semantic'] == {'miou': 1, 'iou': dict.fromkeys(CLASSES, 1)}
    assert report['instance']['ap'] == report['instance']['ap50'] == pytest.approx(1)
    assert report['instance']['per_class'].keys() == {'person', 'car'}
    assert [report['panoptic'][key] for key in ('pq', 'sq', 'rq', 'pq_things', 'pq_stuff')] == [
        1] * 5
    assert report['panoptic']['per_class']['background']['found'] == 2
    assert report['boundary']['panoptic'] == {'f': 1, 'precision': 1, 'recall': 1}
    one = {'found': 1, 'missed': 0, 'false': 0, 'recall': 1, 'precision': 1,
           'per_image': {'found': .5, 'missed': 0, 'false': 0}}
    none = {**dict.fromkeys(('found', 'missed', 'false'), 0), 'recall': None, 'precision': None,
            'per_image': dict.fromkeys(('found', 'missed', 'false'), 0)}
    assert report['objects']['by_size'] == {'small': one, 'medium': one, 'large': none}
    assert report['objects']['per_class'] == {'person': one, 'car': one}
    car = report['instance']['per_class']['car']
    assert car['ap50_medium'] == pytest.approx(1)
    assert car['ap50_small'] is car['ap_large'] is None


def test_errors_are_counted_where_they_are(dataset):
    # The person is missed; the second image has a car that isn't there.
    report = evaluate(Painter(PERFECT[:1], [(2, 5, 5, 15, 15)]), dataset)
    assert report['semantic']['iou']['person'] == 0
    assert report['semantic']['iou']['car'] == pytest.approx(1600 / 1700)
    person = report['instance']['per_class']['person']
    assert person['ap'] == person['ap50'] == person['ap50_small'] == 0
    assert report['panoptic']['per_class']['car'] == {
        'pq': pytest.approx(2 / 3), 'sq': 1, 'rq': pytest.approx(2 / 3),
        'found': 1, 'missed': 0, 'false': 1}
    background = report['panoptic']['per_class']['background']['pq']
    assert report['panoptic']['pq'] == pytest.approx((background + 0 + 2 / 3) / 3)
    assert report['panoptic']['pq_things'] == pytest.approx((0 + 2 / 3) / 2)
    assert report['panoptic']['pq_stuff'] == pytest.approx(background)
    assert report['objects']['per_image'] == {'found': .5, 'missed': .5, 'false': .5}
    assert report['objects']['by_size']['small'] == {
        'found': 0, 'missed': 1, 'false': 1, 'recall': 0, 'precision': 0,
        'per_image': {'found': 0, 'missed': .5, 'false': .5}}
    assert (report['objects']['recall'], report['objects']['precision']) == (.5, .5)
    first, second = report['per_image']
    assert (first['image'], first['found'], first['missed'], first['false']) == ('a.png', 1, 1, 0)
    assert (second['image'], second['found'], second['missed'], second['false']) == (
        'b.png', 0, 0, 1)
    assert second['pq'] == pytest.approx(2900 / 3000 / 1.5)


def test_what_has_no_value_is_null_in_json(dataset):
    dataset.images.pop(0)
    report = evaluate(Painter([]), dataset)
    assert report['semantic']['iou'] == {'background': 1, 'person': None, 'car': None}
    assert report['instance']['ap'] is None
    assert report['boundary']['semantic']['f'] is None
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_progress_sees_every_image(dataset):
    seen = []

    def progress(indices):
        for index in indices:
            yield index
            seen.append(index)

    evaluate(Painter([], []), dataset, progress)
    assert seen == [0, 1]


def test_a_data_set_with_other_classes_than_the_model_is_refused(dataset):
    dataset.class_names = ('background', 'car', 'person')
    with pytest.raises(ValueError, match='expected the classes of the model'):
        evaluate(Painter([], []), dataset)


def test_the_table_has_a_row_for_each_class_and_one_for_the_mean(dataset):
    lines = format_text(evaluate(Painter(PERFECT[:1], [(2, 5, 5, 15, 15)]), dataset)).split('\n')
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:5] + lines[6:7]}
    assert list(rows) == [*CLASSES, 'mean']
    assert rows['person'] == ['0.000'] * 6 + ['0', '1', '0']
    assert rows['background'][1:3] == ['-', '-']
    assert rows['car'][-3:] == ['1', '0', '1']
    sizes = {line.split()[0]: line.split()[1:] for line in lines[10:15] if line[0] != '-'}
    assert sizes['small'][2:] == ['0', '1', '1', '0.000', '0.000', '0.500']
    assert sizes['all'][2:] == ['1', '1', '1', '0.500', '0.500', '0.500']
    by_class = {line.split()[0]: line.split()[1:] for line in lines[17:23] if line}
    assert by_class['car'] == ['-', '1.000', '-', '1.000', '0.500', '0.500']
    assert by_class['all'][-3:] == ['0.500', '0.500', '0.500']
    assert lines[-3].startswith('Images: 2.')
