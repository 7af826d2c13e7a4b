"""The loss of the detector's scores teaches every class, but nothing that is not labelled."""
from __future__ import annotations

import pytest
import torch

from instseg_ros.core.types import UNLABELLED
from instseg_ros.learning.detector.heads import Detections
from instseg_ros.learning.detector.score_loss import score_loss

THINGS, SIZE = (2, 3), (16, 16)
TOP, BOTTOM = slice(0, 8), slice(8, 16)


@pytest.fixture
def scene():
    """Class 2 at the top, background at the bottom, each with a center or an ignored pixel."""
    semantic_ids = torch.zeros(1, *SIZE, dtype=torch.int64)
    semantic_ids[0, TOP] = 2
    center_mask = torch.zeros(1, *SIZE, dtype=torch.uint8)
    center_mask[0, 2:5, 2:5] = 1
    center_mask[0, :, 12:] = UNLABELLED
    return semantic_ids, center_mask


def gradients(scene, candidates=None, weak=-9.0, instance=0, boxes=None):
    """Return the gradients of the scores (classes, h, w) at strides 8 and 16.

    At stride 16 they are lower; the output pixels are those of stride 4.
    """
    semantic_ids, center_mask = scene
    logits = torch.zeros(1, 2, 8, 8, requires_grad=True)
    coarse = torch.full((1, 2, 4, 4), weak, requires_grad=True)
    boxes = {stride: torch.zeros(1, 32, 64 // stride, 64 // stride) if boxes is None
             else boxes[stride] for stride in (8, 16)}
    detections = {8: Detections(logits, boxes[8]), 16: Detections(coarse, boxes[16])}
    instance_ids = instance * (semantic_ids > 0)
    loss = score_loss(detections, semantic_ids, instance_ids, center_mask, candidates, THINGS,
                      gamma=2.0, positive_weight=10.0)
    loss.backward()
    assert loss.isfinite() and loss > 0
    return logits.grad[0], coarse.grad[0]


def test_at_centers_the_stride_with_the_best_box_learns_to_score(scene):
    scene[0][0, 5:] = 0
    scene[0][0, :, 5:] = 0  # an object of 20 pixels
    scene[1][0, 4] = scene[1][0, :, 4] = 0
    sides = {stride: torch.full((1, 32, 64 // stride, 64 // stride), -20.0) for stride in (8, 16)}
    sides[8][:, 1::8] = 20.0  # 8 pixels to every side
    sides[16][:, 1::8] = 20.0  # 16 pixels
    fine, coarse = gradients(scene, weak=-1.0, instance=1, boxes=sides)
    assert fine[0, 1, 1] < 0 < coarse[0, 1, 1]  # whose box is too large
    sides[8][:, 1::8], sides[8][:, 4::8] = -20.0, 20.0  # 32 pixels
    fine, coarse = gradients(scene, weak=-1.0, instance=1, boxes=sides)
    assert fine[0, 1, 1] > 0 > coarse[0, 1, 1]


def test_scores_rise_at_centers_of_their_class_and_fall_elsewhere(scene):
    own, other = gradients(scene)[0]
    assert own[1:3, 1:3].max() < 0 < other[1:3, 1:3].min()
    assert own[5:, :5].min() > 0 and other[5:, :5].min() > 0
    assert not own[:, 7].any() and not other[:, 7].any()  # ignored


def test_scores_of_unlabelled_classes_are_free_where_no_label_is(scene):
    candidates = torch.tensor([[True, False, False, True]])
    own, other = gradients(scene, candidates)[0]
    assert own[5:, :5].min() > 0 and not other[5:, :5].any()
    assert other[1:3, 1:3].min() > 0  # where another class is labelled they are wrong
