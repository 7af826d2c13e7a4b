"""The loss of the detector's scores teaches every class, but nothing that is not labelled."""
from __future__ import annotations

import pytest
import torch

from instseg_ros.core.types import UNLABELLED
from instseg_ros.learning.detector.heads import Detections
from instseg_ros.learning.losses import LossConfig, score_loss

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


def gradients(scene, candidates=None):
    """Return the gradients of the scores at stride 8, those of output pixels: (classes, h, w)."""
    logits = torch.zeros(1, 2, 8, 8, requires_grad=True)
    weak = torch.full((1, 2, 4, 4), -9.0)
    boxes = torch.zeros(1, 32, 8, 8)
    detections = {8: Detections(logits, boxes), 16: Detections(weak, boxes[..., :4, :4])}
    loss = score_loss(detections, *scene, LossConfig(), candidates, THINGS)
    loss.backward()
    assert loss.isfinite() and loss > 0
    return logits.grad[0]


def test_scores_rise_at_centers_of_their_class_and_fall_elsewhere(scene):
    own, other = gradients(scene)
    assert own[1:3, 1:3].max() < 0 < other[1:3, 1:3].min()
    assert own[5:, :5].min() > 0 and other[5:, :5].min() > 0
    assert not own[:, 7].any() and not other[:, 7].any()  # ignored


def test_scores_of_unlabelled_classes_are_free_where_no_label_is(scene):
    candidates = torch.tensor([[True, False, False, True]])
    own, other = gradients(scene, candidates)
    assert own[5:, :5].min() > 0 and not other[5:, :5].any()
    assert other[1:3, 1:3].min() > 0  # where another class is labelled they are wrong
