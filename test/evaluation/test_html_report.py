import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from coco_files import coco_document, rectangle, write_coco

from instseg_ros.core.types import Segmentation
from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.types import GroundTruth
from instseg_ros.evaluation.evaluation import evaluate_predictions
from instseg_ros.evaluation.html_report import (
    OUTLINE_COLORS,
    choose_images,
    draw_errors,
    render_html,
)
from instseg_ros.evaluation.instances import AveragePrecision
from instseg_ros.evaluation.plots import (
    draw_center_thresholds,
    draw_confusion,
    draw_precision_recall,
    draw_reliability,
    draw_score_thresholds,
    draw_sizes,
)
from instseg_ros.evaluation.predictions import Prediction

CLASSES = ('background', 'person', 'car')


class Nothing:
    """Predictions that see background everywhere."""

    def load(self, index):
        return Prediction(Segmentation(np.zeros((10, 20), np.uint8),
                                       np.zeros((10, 20), np.uint16)), [])


class Tags(HTMLParser):
    """Collects tags and attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@pytest.fixture
def dataset(tmp_path):
    """Return six images, the first with a car; one has a name that HTML must not swallow."""
    document = coco_document(annotations=[{'segmentation': [rectangle(0, 0, 10, 10)]}])
    document['images'] += [{'id': 10 + k, 'file_name': name, 'width': 20, 'height': 10}
                           for k, name in enumerate(['b.png', 'c.png', 'd.png', 'e.png',
                                                     'f<b>&.png'])]
    return CocoDataset(*write_coco(tmp_path, document), CLASSES)


def draw(image, segmentation):
    picture = image.copy()
    picture[segmentation.instance_ids > 0] = (0, 255, 0)
    return picture


def render(dataset, **options):
    evaluation = evaluate_predictions(Nothing(), dataset, (1, 2))
    report = {**evaluation.report(), 'settings': {'model': '<tiny>'}}
    return render_html(evaluation, report, Nothing(), dataset, draw, **options)


def test_the_page_holds_all_it_shows(dataset):
    text = render(dataset, pictures=1)
    sources = [attributes['src'] for tag, attributes in Tags(text).found if tag == 'img']
    assert len(sources) == 5 + 3 * 3  # diagrams, and labelled, predicted, errors of three images
    for source in sources:
        data = base64.b64decode(source.partition('base64,')[2], validate=True)
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_the_page_shows_figures_settings_and_names_as_text(dataset):
    text = render(dataset, pictures=6)
    assert 'f&lt;b&gt;&amp;.png' in text and 'f<b>' not in text
    assert '<h1>Evaluation of &lt;tiny&gt;</h1>' in text
    for name in CLASSES:
        assert f'<td>{name}</td>' in text
    assert text.index('<h2>Worst</h2>') < text.index('<h3>a.png</h3>')
    assert '0 found, 1 missed, 0 false' in text


def test_pictures_show_the_labels_beside_the_prediction(dataset):
    text = render(dataset, pictures=1)
    first = [attributes['src'] for tag, attributes in Tags(text).found if tag == 'img'][5:8]
    labelled, predicted, errors = (
        cv2.imdecode(np.frombuffer(base64.b64decode(source.partition('base64,')[2]), np.uint8),
                     cv2.IMREAD_COLOR).astype(int) for source in first)
    assert labelled[5, 4, 1] - labelled[5, 4, 2] > 100  # green where the car is labelled
    assert abs(predicted[5, 4, 1] - predicted[5, 4, 2]) < 20
    assert errors[5, 4, 2] - errors[5, 4, 1] > 50  # red: the car is missed
    assert abs(errors[5, 16, 2] - errors[5, 16, 1]) < 20


def rows(*qualities):
    return [{'image': str(k), 'pq': quality} for k, quality in enumerate(qualities)]


def test_worst_and_best_images_are_those_of_lowest_and_highest_quality():
    chosen = choose_images(rows(.5, .1, .9, .3, .7, None, .6), 2, seed=0)
    assert chosen['worst'] == [1, 3]
    assert chosen['best'] == [2, 4]
    assert len(chosen['random']) == 2 and set(chosen['random']) <= {0, 5, 6}


def test_no_image_is_chosen_twice_when_there_are_few():
    assert choose_images(rows(.5, .1, .9), 2, seed=0) == {
        'worst': [1, 0], 'best': [2], 'random': []}
    assert choose_images([], 2, seed=0) == {'worst': [], 'best': [], 'random': []}


def test_the_random_choice_depends_on_the_seed_alone():
    table = rows(*np.linspace(0, 1, 60))
    assert choose_images(table, 4, seed=1) == choose_images(table, 4, seed=1)
    assert choose_images(table, 4, seed=1)['random'] != choose_images(table, 4, seed=2)['random']


def test_errors_are_red_and_ignored_pixels_blue():
    truth = GroundTruth(np.array([[0, 1, 255, 255]], np.uint8), np.zeros((1, 4), np.uint16), ())
    predicted = Segmentation(np.array([[0, 2, 0, 1]], np.uint8), np.zeros((1, 4), np.uint16))
    picture = draw_errors(np.full((1, 4, 3), 100, np.uint8), truth, predicted, (1,)).astype(int)
    right, wrong, *ignored = picture[0]
    assert right[0] == right[1] == right[2]
    assert wrong[0] - wrong[2] > 50
    assert all(pixel[2] - pixel[0] > 50 for pixel in ignored)


def test_objects_are_outlined_by_what_became_of_them():
    labelled, found = np.zeros((2, 40, 80), np.uint16)
    labelled[5:35, 5:25], labelled[5:35, 30:50] = 1, 2
    found[5:35, 5:25], found[5:35, 55:75] = 1, 2
    maps = [((ids > 0).astype(np.uint8), ids) for ids in (labelled, found)]
    picture = draw_errors(np.full((40, 80, 3), 100, np.uint8), GroundTruth(*maps[0], ()),
                          Segmentation(*maps[1]), (1,))
    for kind, column in (('found', 5), ('missed', 30), ('false', 55)):
        assert tuple(picture[20, column]) == OUTLINE_COLORS[kind], kind


def test_diagrams_are_drawn_where_there_is_nothing_to_show():
    nothing = AveragePrecision(np.full((10, 101, 3, 4), np.nan), np.empty(0),
                               np.empty(0, bool), 0)
    empty = {'by_size': {size: {'found': 0, 'missed': 0, 'false': 0}
                         for size in ('small', 'medium', 'large')}}
    for data in (draw_precision_recall(nothing, CLASSES, (1, 2)),
                 draw_confusion(np.zeros((3, 4), np.int64), CLASSES), draw_sizes(empty),
                 draw_reliability({'bins': [], 'error': None}), draw_score_thresholds([]),
                 draw_center_thresholds({'used': .7, 'thresholds': []})):
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
