"""The Lovász hinge: its values against the IoU, and what it does to embeddings."""
from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.learning.detector.modes import DUPLICATE, embed_boxes, relative_distances
from instseg_ros.learning.losses import LossConfig, total_loss
from instseg_ros.learning.lovasz import RADIUS, lovasz_embedding_loss, lovasz_hinge
from instseg_ros.learning.model import Prediction


def euclidean(points, centers):
    return (points[:, None] - centers[None]).square().sum(-1)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_of_hard_decisions_it_is_twice_one_minus_the_iou(pixels):
    predicted, labels = torch.tensor(pixels).unbind(1)
    if not labels.any():
        labels[0] = True
    iou = (predicted & labels).sum() / (predicted | labels).sum()
    # A wrong pixel has a hinge error of 2, a right one of 0.
    assert lovasz_hinge(predicted * 2.0 - 1, labels).item() == pytest.approx(
        2 * (1 - iou.item()), abs=1e-6)


def test_two_instances_apart_cost_nothing_and_two_together_something():
    ids = torch.tensor([[[1, 1, 2, 2, 0]]])
    classes = torch.tensor([[[1, 1, 1, 1, 0]]])
    apart = torch.tensor([[0.0, 0.0, 9.0, 9.0, 5.0]]).view(1, 1, 1, 5)
    assert lovasz_embedding_loss(apart, ids, classes, euclidean).item() == pytest.approx(0.0)
    together = torch.zeros(1, 1, 1, 5)
    assert lovasz_embedding_loss(together, ids, classes, euclidean).item() == pytest.approx(1.0)
    # Grouping never confuses objects of different classes.
    classes = torch.tensor([[[1, 1, 2, 2, 0]]])
    assert lovasz_embedding_loss(together, ids, classes, euclidean).item() == pytest.approx(0.0)


def test_a_pixel_at_the_radius_is_undecided():
    # The center is the mean, 0: both pixels of instance 1 are at the radius.
    points = torch.tensor([[-RADIUS, RADIUS, 9.0]]).view(1, 1, 1, 3)
    loss = lovasz_embedding_loss(points, torch.tensor([[[1, 1, 2]]]),
                                 torch.ones(1, 1, 3, dtype=torch.int64), euclidean)
    assert loss.item() == pytest.approx(0.5)  # mean of 1 and 0


def test_without_an_instance_it_is_zero_with_zero_gradient():
    embedding = torch.randn(1, 2, 3, 3, requires_grad=True)
    nothing = torch.zeros(1, 3, 3, dtype=torch.int64)
    loss = lovasz_embedding_loss(embedding, nothing, nothing, euclidean)
    loss.backward()
    assert loss.item() == 0.0 and not embedding.grad.any()


def test_distances_of_boxes_are_relative_to_the_size_of_the_center():
    boxes = torch.tensor([[0.0, 0.0, 100.0, 50.0], [10.0, 0.0, 110.0, 50.0],
                          [0.0, 0.0, 10.0, 5.0], [1.0, 0.0, 11.0, 5.0]])
    points = embed_boxes(boxes.T[None, :, :, None])[0, :, :, 0].T
    squared = relative_distances(points, points)
    assert squared.diagonal().tolist() == pytest.approx([0.0] * 4, abs=1e-6)
    assert squared[0, 1].item() == pytest.approx(0.1 ** 2 / DUPLICATE, rel=1e-4)
    assert squared[2, 3].item() == pytest.approx(squared[0, 1].item(), rel=1e-4)


@pytest.mark.parametrize('of_a_detector', [False, True])
def test_gradient_descent_separates_two_objects(of_a_detector):
    torch.manual_seed(1)
    ids = torch.tensor([[[1, 1, 2, 2]]])
    boxes = torch.tensor([0.0, 0.0, 60.0, 60.0]).view(1, 4, 1, 1) + torch.randn(1, 1, 1, 4)
    embedding = embed_boxes(boxes) if of_a_detector else torch.randn(1, 4, 1, 4) * 0.1
    embedding.requires_grad_()
    config = LossConfig(semantic_weight=0.0, center_weight=0.0, embedding_loss='lovasz')
    optimizer = torch.optim.Adam([embedding], lr=0.05)
    for _ in range(200):
        prediction = Prediction(torch.zeros(1, 2, 1, 4), torch.zeros(1, 1, 4), embedding,
                                {} if of_a_detector else None)
        loss = total_loss(prediction, torch.ones_like(ids), ids, torch.zeros_like(ids),
                          torch.ones(2), config)['total']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2
