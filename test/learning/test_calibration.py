"""Calibration moves the best operating point to the method's threshold."""
from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.types import ModelInfo, NetworkOutput
from instseg_ros.learning.calibration import (
    ACCEPTED_LOSS,
    Calibration,
    choose_threshold,
    fit_calibration,
)
from instseg_ros.learning.targets import build_targets

INFO = ModelInfo(class_names=('background', 'person'), thing_ids=(1,), palette=((0, 0, 0),) * 2,
                 output_stride=1, size_multiple=32, embedding_size=4, input_size=64)


def scene(rng, right, wrong):
    """Four objects with centers of confidence about `right`, and as many false ones."""
    semantic = np.zeros((24, 48), np.uint8)
    instances = np.zeros((24, 48), np.uint16)
    heatmap = np.zeros((24, 48), np.float32)
    embedding = np.zeros((24, 48, 4), np.float32)
    for k in range(4):
        x = 1 + 6 * k
        semantic[4:18, x:x + 5], instances[4:18, x:x + 5] = 1, k + 1
        heatmap[11, x + 2] = right + rng.uniform(-0.05, 0.05)
        embedding[4:18, x:x + 5, 0] = 5.0 * k
    predicted = semantic.copy()
    for k in range(4):  # the network sees small objects where the truth has none
        x = 25 + 6 * k
        predicted[10:12, x:x + 3] = 1
        heatmap[11, x + 1] = wrong + rng.uniform(-0.05, 0.05)
        embedding[10:12, x:x + 3, 0] = 100 + 5.0 * k
    output = NetworkOutput(predicted, heatmap, embedding)
    return output, build_targets(semantic, instances, 1)


def confidence(calibration, raw):
    return 1 / (1 + np.exp(-calibration.scale * np.log(raw / (1 - raw)) - calibration.shift))


def scores(report, raw):
    return confidence(report.score, confidence(report.calibration, raw))


def test_right_centers_come_to_lie_above_the_threshold_and_wrong_ones_below():
    rng = np.random.default_rng(0)
    outputs, targets = zip(*(scene(rng, right=0.4, wrong=0.2) for _ in range(6)))
    report = fit_calibration(outputs, targets, INFO)
    threshold = GroupingConfig().center_threshold
    assert report.images == 6 and report.candidates == 48 and report.centers == 24
    assert report.right == 24 <= report.instances < 30
    assert 0.2 < report.threshold <= 0.4
    assert confidence(report.calibration, report.threshold) == pytest.approx(threshold)
    assert confidence(report.calibration, 0.45) > threshold > confidence(report.calibration, 0.2)


def test_an_operating_point_can_be_given():
    rng = np.random.default_rng(0)
    outputs, targets = zip(*(scene(rng, right=0.4, wrong=0.2) for _ in range(6)))
    report = fit_calibration(outputs, targets, INFO, 0.15)
    assert report.threshold == 0.15 and report.instances > 30
    assert confidence(report.calibration, 0.15) == pytest.approx(
        GroupingConfig().center_threshold)


def test_peaks_on_stuff_are_no_candidates():
    rng = np.random.default_rng(0)
    outputs, targets = [], []
    for _ in range(3):
        output, target = scene(rng, right=0.4, wrong=0.2)
        output.semantic_ids[20:] = 2  # a road
        output.center_heatmap[22, 5::10] = 0.9
        outputs.append(output)
        targets.append(target)
    info = ModelInfo(class_names=('background', 'person', 'road'), thing_ids=(1,),
                     palette=((0, 0, 0),) * 3, output_stride=1, size_multiple=32,
                     embedding_size=4, input_size=64)
    assert fit_calibration(outputs, targets, info).candidates == 3 * 8


def test_objects_of_an_unlabelled_class_are_neither_right_nor_wrong():
    rng = np.random.default_rng(0)
    labelled, partly = [], []
    for _ in range(3):
        output, target = scene(rng, right=0.4, wrong=0.2)
        labelled.append((output, target))
        output = copy.deepcopy(output)
        output.semantic_ids[20:24] = 2  # buses, which are not labelled
        output.center_heatmap[22, 5::10] = 0.9
        partly.append((output, dataclasses.replace(target, candidates=(0, 2))))
    info = dataclasses.replace(INFO, class_names=('background', 'person', 'bus'),
                               thing_ids=(1, 2), palette=((0, 0, 0),) * 3)
    assert fit_calibration(*zip(*partly), info) == fit_calibration(*zip(*labelled), info)


def test_the_score_says_how_often_an_instance_is_right():
    rng = np.random.default_rng(1)
    outputs, targets = [], []
    for raw, share in ((0.35, 0.25), (0.6, 0.75)):
        for number in range(20):
            output, target = scene(rng, raw, wrong=0.1)
            if number >= 20 * share:  # the centers are right, the masks are far too small
                small = np.zeros_like(output.semantic_ids)
                small[10:13] = output.semantic_ids[10:13]
                output = dataclasses.replace(output, semantic_ids=small)
            outputs.append(output)
            targets.append(target)
    report = fit_calibration(outputs, targets, INFO)
    assert report.threshold < 0.35 and (report.instances, report.right) == (160, 80)
    assert scores(report, 0.35) == pytest.approx(0.25, abs=0.08)
    assert scores(report, 0.6) == pytest.approx(0.75, abs=0.08)


@given(st.dictionaries(st.floats(0.06, 0.96), st.floats(0, 1), min_size=1))
def test_the_chosen_threshold_is_the_lowest_one_that_is_nearly_the_best(quality):
    chosen = choose_threshold(quality)
    enough = (1 - ACCEPTED_LOSS) * max(quality.values())
    assert quality[chosen] >= enough
    assert all(value < enough for threshold, value in quality.items() if threshold < chosen)


@settings(max_examples=15, deadline=None)
@given(raw=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_any_data_give_a_monotone_map(raw, seed):
    rng = np.random.default_rng(seed)
    outputs, targets = zip(*(scene(rng, np.clip(value, 0.06, 0.94), 0.2) for value in raw))
    report = fit_calibration(outputs, targets, INFO)
    assert np.all(np.diff(scores(report, np.linspace(0.01, 0.99, 50))) >= 0)


def test_the_map_is_monotone():
    calibration = Calibration(scale=0.7, shift=-1.0)
    values = confidence(calibration, np.linspace(0.01, 0.99, 50))
    assert (np.diff(values) > 0).all()
    with pytest.raises(ValueError, match='calibration.scale'):
        Calibration(scale=0.0)


def test_nothing_to_fit_is_an_error():
    rng = np.random.default_rng(0)
    output, target = scene(rng, 0.4, 0.2)
    nothing = NetworkOutput(output.semantic_ids, np.zeros_like(output.center_heatmap),
                            output.embedding)
    with pytest.raises(ValueError, match='--no-calibration'):
        fit_calibration([nothing], [target], INFO)
