import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from instseg_ros.core.types import Instance, Segmentation
from instseg_ros.datasets.masks import encode_mask
from instseg_ros.datasets.types import GroundTruth, LabelledObject
from instseg_ros.evaluation.instances import Detection, InstanceScore, detections_of

SHAPE = (40, 60)


def box(left, top, right, bottom):
    mask = np.zeros(SHAPE, bool)
    mask[top:bottom, left:right] = True
    return mask


def truth(*objects, ignored=None):
    """Make ground truth of (class_id, mask) or (class_id, mask, 'crowd')."""
    semantic_ids = np.zeros(SHAPE, np.uint8)
    if ignored is not None:
        semantic_ids[ignored] = 255
    labelled = tuple(LabelledObject(class_id, encode_mask(mask), bool(crowd))
                     for class_id, mask, *crowd in objects)
    for _, mask, *crowd in objects:
        if crowd:
            semantic_ids[mask] = 255
    for class_id, mask, *crowd in objects:
        if not crowd:
            semantic_ids[mask] = class_id
    return GroundTruth(semantic_ids, np.zeros(SHAPE, np.uint16), (), labelled)


def detection(class_id, mask, score=.9):
    return Detection(class_id, score, encode_mask(mask))


def evaluate(*images, class_count=3):
    score = InstanceScore(class_count)
    for image, detections in images:
        score.update(image, detections)
    return score.compute()


CAR, BIKE = box(2, 2, 22, 22), box(30, 10, 50, 30)


def test_perfect_detections_have_ap_one():
    result = evaluate((truth((1, CAR), (2, BIKE)), [detection(1, CAR), detection(2, BIKE)]))
    assert (result.mean(), result.mean(iou50=True)) == pytest.approx((1, 1))
    assert result.of_classes()[1:] == pytest.approx([1, 1])


def test_a_class_without_a_labelled_object_has_no_ap():
    result = evaluate((truth((1, CAR)), [detection(1, CAR), detection(2, BIKE)]))
    assert math.isnan(result.of_classes()[2])
    assert result.mean() == pytest.approx(1)


def test_nothing_found_is_zero_and_nothing_to_find_is_no_figure():
    assert evaluate((truth((1, CAR)), [])).mean() == 0
    assert math.isnan(evaluate((truth(), [detection(1, CAR)])).mean())
    assert math.isnan(evaluate().mean())


def test_a_shifted_detection_counts_up_to_its_iou():
    # 20x20 shifted by 3: 17 * 20 common pixels, IoU 340 / 460 = .739, so right at .50 to .70.
    result = evaluate((truth((1, CAR)), [detection(1, box(5, 2, 25, 22))]))
    assert result.mean(iou50=True) == pytest.approx(1)
    assert result.mean() == pytest.approx(5 / 10)


def test_a_detection_of_another_class_is_wrong():
    assert evaluate((truth((1, CAR), (2, BIKE)), [detection(2, CAR), detection(1, BIKE)])
                    ).mean(iou50=True) == 0


def test_a_duplicate_is_a_false_positive():
    image = truth((1, CAR), (1, BIKE))
    twice = [detection(1, CAR, .9), detection(1, CAR, .8), detection(1, BIKE, .7)]
    # In order of score: right, wrong, right. Precision is 1 up to recall 1/2, then 2/3;
    # 51 of COCO's 101 recall values are at most 1/2.
    assert evaluate((image, twice)).mean(iou50=True) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_the_score_decides_the_order():
    image = truth((1, CAR))
    first = [detection(1, CAR, .9), detection(1, BIKE, .8)]
    last = [detection(1, CAR, .8), detection(1, BIKE, .9)]
    assert evaluate((image, first)).mean() == pytest.approx(1)
    assert evaluate((image, last)).mean() == pytest.approx(1 / 2)


def test_scores_of_all_images_are_ordered_together():
    images = [(truth((1, CAR)), [detection(1, CAR, .6)]), (truth(), [detection(1, CAR, .7)])]
    assert evaluate(*images).mean() == pytest.approx(1 / 2)


def test_an_object_behind_another_is_expected_with_its_labelled_mask():
    behind, front = box(0, 0, 20, 20), box(10, 0, 20, 20)
    visible = behind & ~front
    result = evaluate((truth((1, behind), (2, front)),
                       [detection(1, visible), detection(2, front)]))
    assert result.of_classes(iou50=True)[1:] == pytest.approx([1, 1])
    assert result.of_classes()[1] == pytest.approx(1 / 10)  # IoU 1/2 is right at .50 only


@pytest.mark.parametrize('found_in_crowd', [0, 1, 3])
def test_detections_in_a_crowd_of_their_class_are_not_counted(found_in_crowd):
    crowd = box(30, 0, 60, 40)
    detections = [detection(1, box(32, 10 * k, 40, 10 * k + 8), .99) for k in range(
        found_in_crowd)]
    result = evaluate((truth((1, CAR), (1, crowd, 'crowd')), [detection(1, CAR), *detections]))
    assert result.mean() == pytest.approx(1)


def test_detections_mostly_on_ignored_pixels_are_left_out_whatever_their_class():
    ignored = box(30, 0, 60, 40)
    found = [detection(1, CAR), detection(1, box(40, 0, 50, 10), .99),
             detection(2, box(25, 10, 36, 20), .99)]
    result = evaluate((truth((1, CAR), (2, box(2, 30, 10, 38)), ignored=ignored),
                       [*found, detection(2, box(2, 30, 10, 38))]))
    assert result.of_classes()[1:] == pytest.approx([1, 1])


def test_a_detection_half_on_ignored_pixels_counts():
    result = evaluate((truth((1, CAR), ignored=box(30, 0, 60, 40)),
                       [detection(1, CAR), detection(1, box(25, 0, 35, 10), .99)]))
    assert result.mean() == pytest.approx(1 / 2)


def test_sizes_are_those_of_coco():
    small, medium = box(0, 0, 31, 31), box(0, 0, 33, 33)
    assert [evaluate((truth((1, small)), [detection(1, small)])).mean(size=size)
            for size in ('small', 'all')] == pytest.approx([1, 1])
    assert math.isnan(evaluate((truth((1, medium)), [detection(1, medium)])).mean(size='small'))
    assert evaluate((truth((1, medium)), [detection(1, medium)])).mean(
        size='medium') == pytest.approx(1)


def test_nothing_is_printed(capfd):
    evaluate((truth((1, CAR)), [detection(1, CAR)]))
    assert capfd.readouterr() == ('', '')


def test_computing_twice_gives_the_same():
    score = InstanceScore(3)
    score.update(truth((1, CAR)), [detection(1, BIKE)])
    assert score.compute().mean() == 0
    score.update(truth((1, CAR)), [detection(1, CAR, .99)])
    assert score.compute().mean() == score.compute().mean() == pytest.approx(51 / 101)


def test_scores_are_told_right_or_wrong_without_those_that_do_not_count():
    result = evaluate((truth((1, CAR), (2, BIKE), (2, box(52, 0, 60, 40), 'crowd'),
                             ignored=box(0, 30, 20, 40)),
                       [detection(1, CAR, .9), detection(1, CAR, .8), detection(2, CAR, .7),
                        detection(2, box(53, 5, 60, 20), .6),
                        detection(1, box(2, 31, 9, 39), .5)]))
    assert sorted(zip(result.scores, result.right)) == [(.7, False), (.8, False), (.9, True)]
    assert result.objects == 2


def test_a_mask_of_another_size_is_refused():
    mask = encode_mask(np.ones((10, 10), bool))
    with pytest.raises(ValueError, match='expected 40 rows and 60 columns'):
        InstanceScore(3).update(truth((1, CAR)), [Detection(1, .5, mask)])


def test_instances_of_a_segmentation_are_the_pixels_of_their_id():
    instance_ids = np.zeros(SHAPE, np.uint16)
    instance_ids[CAR], instance_ids[BIKE] = 7, 300
    semantic_ids = np.where(instance_ids == 7, 1, 2).astype(np.uint8)
    segmentation = Segmentation(semantic_ids, instance_ids, (
        Instance(300, 2, 'bike', .8, (20., 40.), (30, 10, 50, 30), 400),
        Instance(7, 1, 'car', .5, (12., 12.), (2, 2, 22, 22), 400)))
    assert list(detections_of(segmentation)) == [
        Detection(2, .8, encode_mask(BIKE)), Detection(1, .5, encode_mask(CAR))]


def slow_ap50(objects, detections):
    """AP50 of one class in one image: greedy matching by score, COCO's 101 recall values."""
    order = sorted(range(len(detections)), key=lambda k: -detections[k][1])
    free, right = set(range(len(objects))), []
    for k in order:
        mask = detections[k][0]
        ious = {index: (mask & objects[index]).sum() / (mask | objects[index]).sum()
                for index in free}
        best = max(ious, key=ious.get, default=None)
        hit = best is not None and ious[best] >= .5
        right.append(hit)
        free -= {best} if hit else set()
    found = np.cumsum(right)
    precision, recall = found / np.arange(1, len(right) + 1), found / len(objects)
    return np.mean([max((p for p, r in zip(precision, recall) if r >= wanted), default=0)
                    for wanted in np.linspace(0, 1, 101)])


@given(hnp.arrays(np.uint8, (5, 6), elements=st.integers(0, 3)),
       hnp.arrays(np.uint8, (5, 6), elements=st.integers(0, 4)), st.integers(0, 30),
       st.permutations([.2, .4, .6, .8]))
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_a_slow_definition(true_ids, other_ids, kept, scores):
    predicted_ids = np.where(np.arange(30).reshape(5, 6) < kept, true_ids, other_ids)
    objects = [true_ids == k for k in range(1, 4) if (true_ids == k).any()]
    detections = [(predicted_ids == k, scores[k - 1]) for k in range(1, 5)
                  if (predicted_ids == k).any()]
    image = GroundTruth(np.minimum(true_ids, 1), true_ids.astype(np.uint16), (), tuple(
        LabelledObject(1, encode_mask(mask)) for mask in objects))
    result = evaluate((image, [detection(1, *item) for item in detections]))
    if objects:
        assert result.mean(iou50=True) == pytest.approx(slow_ap50(objects, detections))
    else:
        assert math.isnan(result.mean(iou50=True))
