import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from instseg_ros.evaluation.semantic import SemanticScore, mean_of_known

UNLABELLED = 255


def score(truth, predicted, class_count=3):
    result = SemanticScore(class_count)
    result.update(np.array(truth, np.uint8), np.array(predicted, np.uint8))
    return result


def test_iou_of_a_case_worked_out_by_hand():
    result = score([[0, 0, 1, 1], [0, 0, 1, 2]],
                   [[0, 0, 0, 1], [0, 0, 1, 1]])
    # 0: 4 met, 4 true, 5 predicted. 1: 2 met, 3 true, 3 predicted. 2: one pixel, never predicted.
    assert result.confusion.tolist() == [[4, 0, 0, 0], [1, 2, 0, 0], [0, 1, 0, 0]]
    assert result.iou.tolist() == pytest.approx([4 / 5, 2 / 4, 0])
    assert result.miou == pytest.approx((4 / 5 + 2 / 4) / 3)


def test_ignored_pixels_do_not_count_whatever_is_predicted_there():
    result = score([[0, 255, 255, 255]], [[0, 0, 1, 255]])
    assert result.confusion.sum() == 1
    assert result.iou[0] == 1


def test_unlabelled_pixels_in_a_prediction_are_wrong():
    assert score([[0, 0, 1, 1]], [[0, 255, 1, 1]]).iou.tolist()[:2] == [.5, 1]


def test_a_class_that_does_not_occur_has_no_iou_and_does_not_lower_the_mean():
    result = score([[0, 0]], [[0, 0]])
    assert math.isnan(result.iou[1])
    assert result.miou == 1


def test_a_class_that_is_only_predicted_has_iou_zero():
    assert score([[0, 0]], [[0, 2]]).iou[2] == 0


def test_pixels_of_all_images_are_added_before_dividing():
    one, two = score([[0] * 9 + [1]], [[0] * 9 + [0]]), score([[1]], [[1]])
    both = score([[0] * 9 + [1]], [[0] * 9 + [0]])
    both.update(np.array([[1]], np.uint8), np.array([[1]], np.uint8))
    for result in (one + two, both):
        assert result.iou.tolist()[:2] == pytest.approx([9 / 10, 1 / 2])
    assert two.iou[1] == 1


def test_without_any_image_there_is_no_figure():
    assert math.isnan(SemanticScore(3).miou)
    assert math.isnan(mean_of_known(np.array([np.nan])))


maps = hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, UNLABELLED]))


@given(maps, maps)
@settings(max_examples=100, deadline=None)
def test_it_agrees_with_sets_of_pixels(truth, predicted):
    result = score(truth, predicted)
    counted = {tuple(p) for p in np.argwhere(truth != UNLABELLED)}
    for class_id in range(3):
        true_pixels = {p for p in counted if truth[p] == class_id}
        predicted_pixels = {p for p in counted if predicted[p] == class_id}
        union = true_pixels | predicted_pixels
        if union:
            assert result.iou[class_id] == pytest.approx(
                len(true_pixels & predicted_pixels) / len(union))
        else:
            assert math.isnan(result.iou[class_id])


@pytest.mark.parametrize('truth, predicted, message', [
    ([[0, 3]], [[0, 0]], 'truth: expected semantic ids below 3 or 255, got 3'),
    ([[0, 0]], [[0, 254]], 'predicted: expected semantic ids below 3 or 255, got 254'),
    ([[0, 0]], [[0, 0, 0]], r'predicted: expected shape \(1, 2\)'),
])
def test_wrong_maps_are_refused(truth, predicted, message):
    with pytest.raises(ValueError, match=message):
        score(truth, predicted)
