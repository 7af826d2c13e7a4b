import dataclasses

import cv2
import pytest
from coco_files import coco_document, rectangle, write_coco
from tiny_models import paint_scene, rectangles, tiny_info

from instseg_ros import GroupingConfig, RefinementConfig, Segmenter
from instseg_ros.core.network import Network
from instseg_ros.core.postprocessing import Postprocessor
from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.evaluation.center_thresholds import CenterThresholds
from instseg_ros.evaluation.evaluation import evaluate_predictions
from instseg_ros.evaluation.text_report import format_text

PERSON = (1, (16, 16, 56, 40))
CAR = (3, (80, 24, 128, 96))
NO_BICYCLE = (2, (0, 64, 60, 112))


@pytest.fixture
def dataset(tmp_path):
    """Return an image with a person, a car, and a bicycle that is only in the picture."""
    document = coco_document((160, 120), [
        {'category_id': category, 'segmentation': [rectangle(*box)]}
        for category, box in (PERSON, CAR)], ((1, 'person'), (2, 'bicycle'), (3, 'car')))
    images, annotations = write_coco(tmp_path, document)
    image = paint_scene(*rectangles((120, 160), [PERSON, CAR, NO_BICYCLE]), tiny_info(),
                        confidence={1: .9, 2: .5, 3: .3})
    cv2.imwrite(str(images / 'a.png'), image[..., ::-1])
    return CocoDataset(images, annotations, tiny_info().class_names)


@pytest.fixture
def segmenter(tiny_model):
    return Segmenter(Network(tiny_model), Postprocessor(
        tiny_info(), GroupingConfig(center_threshold=.6), RefinementConfig(method='nearest'),
        threads=1))


def test_figures_follow_the_threshold_and_the_network_runs_once(dataset, segmenter, monkeypatch):
    runs = []
    run = segmenter.network.run
    monkeypatch.setattr(segmenter.network, 'run', lambda image: runs.append(1) or run(image))
    thresholds = CenterThresholds(segmenter, dataset, (.2, .4, .95))
    evaluation = evaluate_predictions(thresholds, dataset, (1, 2, 3, 4))
    report = thresholds.report()
    assert len(runs) == 1 and report['used'] == .6
    rows = {row['threshold']: row for row in report['thresholds']}
    assert list(rows) == [.2, .4, .6, .95]
    assert [row['detections'] for row in rows.values()] == [3, 2, 1, 0]
    assert [row['precision'] for row in rows.values()] == [pytest.approx(2 / 3), 1, 1, None]
    assert [row['recall'] for row in rows.values()] == [1, 1, .5, 0]
    assert [row['false'] for row in rows.values()] == [1, 0, 0, 0]
    assert [row['missed'] for row in rows.values()] == [0, 0, 1, 2]
    assert rows[.4]['ap50'] == pytest.approx(1) and rows[.4]['pq_things'] == 1
    assert rows[.6]['pq_things'] == .5 and rows[.95]['pq_things'] == 0
    # What is passed on is what the segmenter itself says.
    own = evaluation.report()
    assert rows[.6]['ap50'] == own['instance']['ap50'] and rows[.6]['pq'] == own['panoptic']['pq']
    table = format_text({**own, 'center_thresholds': report})
    assert '0.6 (used)' in table and '0.95 ' in table


def test_only_the_threshold_differs(dataset, segmenter):
    for threshold, other in CenterThresholds(segmenter, dataset).postprocessors.items():
        assert other.grouping.center_threshold == threshold
        assert dataclasses.replace(other, grouping=segmenter.postprocessor.grouping) == \
            segmenter.postprocessor


def test_a_threshold_out_of_bounds_is_refused(dataset, segmenter):
    with pytest.raises(ValueError, match='grouping.center_threshold: expected .* got 1.5'):
        CenterThresholds(segmenter, dataset, (1.5,))
