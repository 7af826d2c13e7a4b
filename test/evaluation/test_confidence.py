import math

import numpy as np
import pytest

from instseg_ros.evaluation.confidence import operating_points, reliability

SCORES = np.array([.95, .85, .84, .35])
RIGHT = np.array([True, True, False, True])


def point(points, score):
    return next(item for item in points if item['score'] == score)


def test_precision_and_recall_follow_the_threshold():
    points = operating_points(SCORES, RIGHT, objects=5)
    assert point(points, 0) == {'score': 0, 'detections': 4, 'precision': 3 / 4, 'recall': 3 / 5,
                                'f1': pytest.approx(2 * 3 / 9)}
    assert point(points, .85) == {'score': .85, 'detections': 2, 'precision': 1, 'recall': 2 / 5,
                                  'f1': pytest.approx(4 / 7)}
    recall = [item['recall'] for item in points]
    assert recall == sorted(recall, reverse=True)


def test_without_detections_or_objects_there_is_no_precision_or_recall():
    nothing = np.empty(0), np.empty(0, bool)
    first = operating_points(*nothing, objects=3)[0]
    assert math.isnan(first['precision']) and first['recall'] == first['f1'] == 0
    assert math.isnan(operating_points(*nothing, objects=0)[0]['f1'])
    assert math.isnan(operating_points(SCORES, ~RIGHT & False, objects=0)[0]['recall'])


def test_reliability_compares_the_mean_score_with_the_share_of_right_ones():
    result = reliability(SCORES, RIGHT)
    assert result['bins'] == [
        {'score': pytest.approx(.35), 'right': 1, 'detections': 1},
        {'score': pytest.approx(.845), 'right': .5, 'detections': 2},
        {'score': pytest.approx(.95), 'right': 1, 'detections': 1}]
    assert result['error'] == pytest.approx((.65 + 2 * .345 + .05) / 4)


def test_honest_scores_have_no_error_and_certain_ones_belong_to_the_last_bin():
    result = reliability(np.ones(4), np.ones(4, bool))
    assert result == {'bins': [{'score': 1, 'right': 1, 'detections': 4}], 'error': 0}
    assert math.isnan(reliability(np.empty(0), np.empty(0, bool))['error'])
