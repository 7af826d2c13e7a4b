import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from instseg_ros.evaluation.panoptic import PanopticScore, panoptic_ids

# Classes of these tests: 0 is stuff, 1 and 2 are things. A segment is written as 10 * class +
# instance, 255 is ignored or unlabelled.
VOID = 255


def maps(segments):
    segments = np.atleast_2d(np.asarray(segments, np.int64))
    semantic_ids = np.where(segments == VOID, VOID, segments // 10).astype(np.uint8)
    return semantic_ids, np.where(segments == VOID, 0, segments % 10).astype(np.uint16)


def score(truth, predicted):
    result = PanopticScore(3, (1, 2))
    result.update(maps(truth), maps(predicted))
    return result


def counts(result, class_id):
    return tuple(kind[class_id].sum() for kind in (result.found, result.false, result.missed))


def test_a_case_worked_out_by_hand():
    truth = [0] * 10 + [11] * 6 + [12] * 4
    predicted = [0] * 9 + [13] * 5 + [0] * 2 + [21] * 4
    result = score(truth, predicted)
    # Stuff: 9 common, 10 + 11 - 9 = 12. Thing 11: 4 common, 6 + 5 - 4 = 7. Thing 12: other class.
    assert counts(result, 0) == (1, 0, 0)
    assert result.sq[0] == result.pq[0] == pytest.approx(9 / 12)
    assert counts(result, 1) == (1, 0, 1)
    assert result.sq[1] == pytest.approx(4 / 7)
    assert result.rq[1] == pytest.approx(1 / 1.5)
    assert result.pq[1] == pytest.approx(4 / 7 / 1.5)
    assert counts(result, 2) == (0, 1, 0)
    assert (result.pq[2], result.sq[2], result.rq[2]) == (0, 0, 0)


def test_an_iou_of_one_half_is_no_match():
    assert counts(score([11, 11, 0, 0], [11, 0, 0, 0]), 1) == (0, 1, 1)
    assert counts(score([11, 11, 11, 0], [11, 11, 0, 0]), 1) == (1, 0, 0)


def test_two_predictions_of_one_object_are_one_match_at_most():
    assert counts(score([11] * 10, [11] * 6 + [12] * 4), 1) == (1, 1, 0)
    assert counts(score([11] * 10, [11] * 5 + [12] * 5), 1) == (0, 2, 1)


def test_ignored_pixels_are_taken_out_of_a_prediction_before_matching():
    result = score([11] * 4 + [VOID] * 8, [11] * 12)
    assert counts(result, 1) == (1, 0, 0)
    assert result.sq[1] == 1


@pytest.mark.parametrize('on_void, false_positives', [(3, 0), (2, 1)])
def test_a_prediction_mostly_on_ignored_pixels_is_not_false(on_void, false_positives):
    truth = [VOID] * on_void + [0] * (12 - on_void)
    assert counts(score(truth, [11] * 4 + [0] * 8), 1) == (0, false_positives, 0)


def test_a_whole_class_on_ignored_pixels_does_not_exist():
    result = score([VOID] * 5, [11] * 5)
    assert math.isnan(result.pq[1]) and math.isnan(result.sq[1]) and math.isnan(result.rq[1])


def test_pixels_of_a_thing_class_without_an_instance_are_no_segment():
    assert counts(score([11] * 4, [10] * 4), 1) == (0, 0, 1)
    assert counts(score([10] * 4, [11] * 4), 1) == (0, 0, 0)


def test_instance_ids_within_a_stuff_class_mean_nothing():
    assert counts(score([0] * 4, [1, 1, 2, 2]), 0) == (1, 0, 0)


def test_images_add_up():
    one, two = score([11] * 4, [11] * 4), score([11, 11, 11, 12], [11, 11, 0, 13])
    both = score([11] * 4, [11] * 4)
    both.update(maps([11, 11, 11, 12]), maps([11, 11, 0, 13]))
    for result in (one + two, both):
        assert counts(result, 1) == (3, 0, 0)
        assert result.iou_sum[1] == pytest.approx(1 + 2 / 3 + 1)
    assert counts(one, 1) == (1, 0, 0)


def test_the_pooled_quality_weighs_segments_not_classes():
    result = score([11] * 4 + [12] * 4 + [21] * 4, [11] * 4 + [12] * 4 + [0] * 4)
    assert result.pooled_pq == pytest.approx(2 / (2 + .5 + .5))
    assert math.isnan(PanopticScore(3, (1, 2)).pooled_pq)


def test_segments_are_sorted_by_size():
    def square(side, segment):
        labels = np.zeros((120, 120), np.int64)
        labels[:side, :side] = segment
        return labels

    for side, size in ((31, 0), (33, 1), (95, 1), (97, 2)):
        for truth, predicted, kind in ((11, 11, 'found'), (11, 0, 'missed'), (0, 11, 'false')):
            result = score(square(side, truth), square(side, predicted))
            assert getattr(result, kind)[1].tolist() == [size == k for k in range(3)]


def test_a_panoptic_id_tells_class_and_instance_apart():
    ids = panoptic_ids(np.array([[0, 1, 255]], np.uint8), np.array([[0, 65535, 0]], np.uint16))
    assert ids.tolist() == [[0, 65536 + 65535, 255 * 65536]]


def slow_counts(truth, predicted):
    """Follow the paper with sets of pixels."""
    def segments(labels):
        pixels = {}
        for point, label in np.ndenumerate(labels):
            if label != VOID and not (label >= 10 and label % 10 == 0):
                pixels.setdefault(label if label >= 10 else 0, set()).add(point)
        return pixels

    true_segments, predicted_segments = segments(truth), segments(predicted)
    known = set().union(*true_segments.values()) if true_segments else set()
    result, ious = Counter(), Counter()
    matched = set()
    for true_label, true_pixels in true_segments.items():
        for label, pixels in predicted_segments.items():
            iou = len(true_pixels & pixels) / len(true_pixels | (pixels & known))
            if label // 10 == true_label // 10 and iou > .5:
                result[label // 10, 'tp'] += 1
                ious[label // 10] += iou
                matched |= {('true', true_label), ('predicted', label)}
    for label in true_segments:
        result[label // 10, 'fn'] += ('true', label) not in matched
    for label, pixels in predicted_segments.items():
        mostly_void = len(pixels - known) > .5 * len(pixels)
        result[label // 10, 'fp'] += ('predicted', label) not in matched and not mostly_void
    return result, ious


segment_maps = hnp.arrays(np.int64, (4, 6), elements=st.sampled_from(
    [0, 0, 1, 10, 11, 11, 12, 21, 21, VOID]))


@given(segment_maps, segment_maps, st.integers(0, 24))
@settings(max_examples=300, deadline=None)
def test_it_agrees_with_the_paper_followed_pixel_by_pixel(truth, other, kept):
    # A part of the truth makes matches likely.
    predicted = np.where(np.arange(24).reshape(4, 6) < kept, truth, other)
    result, (expected, ious) = score(truth, predicted), slow_counts(truth, predicted)
    for class_id in range(3):
        assert counts(result, class_id) == tuple(expected[class_id, kind]
                                                 for kind in ('tp', 'fp', 'fn'))
        assert result.iou_sum[class_id] == pytest.approx(ious[class_id])


def test_maps_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r'predicted: expected shape \(1, 3\)'):
        score([0, 0, 0], [0, 0])
