"""Box evidence against the plain formula, pixel by pixel."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.learning.detector.evidence import (
    BOXES,
    CERTAIN,
    SMALL,
    SMALL_GAIN,
    Boxes,
    BoxEvidence,
    strongest_boxes,
)
from instseg_ros.learning.detector.heads import BINS, SIDES, Detections

THINGS, CLASSES, STRIDE = (1, 3), 4, 4


def plain_evidence(boxes, size):
    """Return the highest score of each class (C, H, W), by loops."""
    result = np.zeros((CLASSES, *size))
    for score, k, (left, top, right, bottom) in zip(
            boxes.scores[0].tolist(), boxes.classes[0].tolist(), boxes.corners[0].tolist()):
        for y, x in np.ndindex(size):
            if left <= STRIDE * x + 2 <= right and top <= STRIDE * y + 2 <= bottom:
                result[THINGS[k], y, x] = max(result[THINGS[k], y, x], score)
    return result


def covered_by_small_boxes(boxes, size):
    """Return where a certain small box of each class covers a pixel (C, H, W), by loops."""
    result = np.zeros((CLASSES, *size))
    for score, k, (left, top, right, bottom) in zip(
            boxes.scores[0].tolist(), boxes.classes[0].tolist(), boxes.corners[0].tolist()):
        w, h = right - left, bottom - top
        for y, x in np.ndindex(size):
            row, column = (STRIDE * y + 2 - top) / h, (STRIDE * x + 2 - left) / w
            if score >= CERTAIN and w * h < SMALL ** 2 and all(
                    0.1 <= place <= 0.9 for place in (row, column)):
                result[THINGS[k], y, x] = 1
    return result


box = st.tuples(st.integers(-20, 60), st.integers(-20, 60), st.integers(1, 50),
                st.integers(1, 50), st.floats(0.02, 1).filter(lambda s: abs(s - CERTAIN) > 1e-3),
                st.integers(0, 1))


@settings(max_examples=30, deadline=None)
@given(st.lists(box, min_size=1, max_size=6))
def test_logits_are_raised_inside_boxes_and_lowered_outside(items):
    size = (8, 12)
    boxes = Boxes(torch.tensor([[item[4] for item in items]]),
                  torch.tensor([[item[5] for item in items]]),
                  torch.tensor([[(x, y, x + w + 0.1, y + h + 0.1) for x, y, w, h, _, _ in items]]))
    module = BoxEvidence(THINGS, CLASSES, STRIDE, gain=2.0, loss=3.0)
    with torch.no_grad():
        got = module(torch.zeros(1, CLASSES, *size), boxes)[0].numpy()
    evidence = plain_evidence(boxes, size)
    want = 2.0 * evidence - 3.0 * (1 - np.minimum(evidence / 0.4, 1))
    want += SMALL_GAIN * covered_by_small_boxes(boxes, size)
    want[[0, 2]] = 0
    # The power mean of six equal scores is 12 % too high.
    slack = evidence * (6 ** (1 / 16) - 1) * (2.0 + 3.0 / 0.4)
    assert (got >= want - 1e-4).all()
    assert (got <= want + slack + 1e-4).all()


def test_the_strongest_boxes_of_all_strides_come_first():
    torch.manual_seed(0)
    found = {stride: Detections(torch.randn(2, 3, n, n + 1),
                                torch.randn(2, SIDES * BINS, n, n + 1))
             for stride, n in ((8, 9), (16, 5))}
    boxes = strongest_boxes(found)
    every = torch.cat([level.classes.flatten(1) for level in found.values()], 1).sigmoid()
    torch.testing.assert_close(boxes.scores, every.sort(1, descending=True)[0][:, :BOXES])
    k = 7
    stride, level = next((stride, level) for stride, level in found.items()
                         if (level.classes[1].sigmoid() == boxes.scores[1, k]).any())
    index = (level.classes[1].sigmoid() == boxes.scores[1, k]).nonzero()[0]
    assert boxes.classes[1, k] == index[0]
    left, top, right, bottom = boxes.corners[1, k].tolist()
    assert left <= stride * index[2] <= right and top <= stride * index[1] <= bottom


def test_boxes_far_from_the_corner_are_exact_in_bfloat16_too():
    torch.manual_seed(0)
    level = Detections(torch.randn(1, 2, 2, 90).bfloat16(),
                       torch.randn(1, SIDES * BINS, 2, 90).bfloat16())
    got = strongest_boxes({8: level})
    want = strongest_boxes({8: Detections(*(part.float() for part in level))})
    assert want.corners.max() > 512
    for mine, exact in zip(got, want):
        torch.testing.assert_close(mine, exact)


def test_a_tiny_image_has_fewer_boxes_than_are_taken():
    found = {64: Detections(torch.zeros(1, 2, 1, 1), torch.zeros(1, SIDES * BINS, 1, 1))}
    boxes = strongest_boxes(found)
    assert boxes.scores.shape == (1, BOXES)
    assert boxes.scores[0, :2].tolist() == [0.5, 0.5]
    assert not boxes.scores[0, 2:].any() and not boxes.corners[0, 2:].any()


def test_gain_and_loss_can_be_trained():
    module = BoxEvidence(THINGS, CLASSES, STRIDE, gain=1.0, loss=2.0)
    boxes = Boxes(torch.tensor([[0.3]]), torch.tensor([[0]]), torch.tensor([[[0., 0, 9, 9]]]))
    module(torch.zeros(1, CLASSES, 4, 4), boxes)[:, 1].sum().backward()
    assert module.gain.grad == pytest.approx(4 * 0.3, rel=1e-4)
    assert module.loss.grad == pytest.approx(-(12 + 4 * 0.25), rel=1e-4)
