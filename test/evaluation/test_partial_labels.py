"""Figures on images in which some of the model's classes are not labelled."""
from __future__ import annotations

import numpy as np
import pytest
from coco_files import coco_document, rectangle, write_coco
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from instseg_ros.core.types import Instance, Segmentation
from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.evaluation.evaluation import Evaluation
from instseg_ros.evaluation.instances import detections_of
from instseg_ros.evaluation.partial_labels import restrict_classes
from instseg_ros.evaluation.predictions import Prediction

CLASSES = ('background', 'car', 'person', 'bus', 'road')
CAR, PERSON, BUS, ROAD = range(1, 5)

LABELS = hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from((0, 1, 2, 3, 4, 255)))


@settings(deadline=None)
@given(predicted=LABELS, truth=LABELS, unlabelled=st.sets(st.integers(1, 4)))
def test_an_unlabelled_class_is_neither_right_nor_wrong(predicted, truth, unlabelled):
    result = restrict_classes(predicted, truth, (0, *unlabelled))
    listed = np.isin(predicted, list(unlabelled))
    assert np.array_equal(result[~listed], predicted[~listed])
    assert (result[listed & (truth == 0)] == 0).all()
    # What is annotated all the same counts where it is found.
    labelled = (truth != 0) & (truth != 255)
    assert np.array_equal((result == truth)[labelled], (predicted == truth)[labelled])
    assert not np.isin(result[truth != result], list(unlabelled)).any()


def evaluated(dataset, *objects):
    """Return the report of an image of road with boxes (class, left, top, right, bottom)."""
    semantic = np.full((50, 60), ROAD, np.uint8)
    instance = np.zeros((50, 60), np.uint16)
    found = []
    for number, (class_id, left, top, right, bottom) in enumerate(objects, 1):
        semantic[top:bottom, left:right] = class_id
        instance[top:bottom, left:right] = number
        found.append(Instance(number, class_id, CLASSES[class_id], 0.9, (0., 0.),
                              (left, top, right, bottom), (right - left) * (bottom - top)))
    segmentation = Segmentation(semantic, instance, tuple(found))
    evaluation = Evaluation(CLASSES, (CAR, PERSON, BUS))
    evaluation.update(dataset.load_ground_truth(0),
                      Prediction(segmentation, list(detections_of(segmentation))))
    return evaluation.report()


@pytest.fixture
def files(tmp_path):
    """Return images and annotations of a car and a bus; nobody is labelled, nor is the road."""
    return write_coco(tmp_path, coco_document(
        (60, 50), [{'category_id': 3, 'segmentation': [rectangle(0, 0, 20, 20)]},
                   {'category_id': 70, 'segmentation': [rectangle(30, 0, 50, 20)]}],
        categories=((3, 'car'), (70, 'bus'))))


PERFECT = [(CAR, 0, 0, 20, 20), (BUS, 30, 0, 50, 20)]


def test_more_classes_than_are_labelled_change_no_figure(files):
    dataset = CocoDataset(*files, CLASSES, (CAR, PERSON, BUS))
    assert dataset.candidates(0) == (0, PERSON, ROAD)
    report = evaluated(dataset, *PERFECT, (PERSON, 0, 30, 10, 50))
    assert report['semantic']['miou'] == 1 and report['semantic']['iou']['road'] is None
    assert report['instance']['ap50'] == pytest.approx(1)
    assert report['panoptic']['pq'] == 1
    assert report['panoptic']['per_class']['background']['found'] == 1


def test_a_class_that_only_some_images_are_labelled_for_counts_where_it_is_annotated(files):
    dataset = CocoDataset(*files, CLASSES, (CAR, PERSON, BUS), labelled=('car',))
    assert dataset.candidates(0) == (0, PERSON, BUS, ROAD)
    assert evaluated(dataset, *PERFECT, (BUS, 0, 30, 30, 50))['semantic']['iou']['bus'] == 1
    found = evaluated(dataset, PERFECT[0])
    assert found['semantic']['iou']['bus'] == 0
    # A labelled class is wrong where nothing of it is labelled.
    assert evaluated(dataset, *PERFECT, (CAR, 0, 30, 30, 50))['semantic']['iou']['car'] < 1


def test_the_boundary_of_a_missed_object_is_missed_whatever_unlabelled_class_is_there(files):
    dataset = CocoDataset(*files, CLASSES, labelled=('car',))
    missed = evaluated(dataset)['boundary']
    assert missed['semantic']['recall'] == missed['panoptic']['recall'] == 0.0
    assert missed['semantic']['f'] == missed['panoptic']['f'] == 0.0


def test_the_boundary_between_an_object_and_an_unlabelled_class_is_that_to_background(files):
    dataset = CocoDataset(*files, CLASSES, labelled=('car',))
    found = evaluated(dataset, (CAR, 0, 0, 20, 20), (BUS, 30, 0, 50, 20))['boundary']
    assert found['semantic']['f'] == found['panoptic']['f'] == 1.0
