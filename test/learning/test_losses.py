"""The losses: values worked out by hand, gradients, and what is ignored."""
from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.core.types import UNLABELLED, ModelInfo
from instseg_ros.learning.losses import (
    LossConfig,
    center_loss,
    class_weights,
    embedding_loss,
    semantic_loss,
    total_loss,
    unlabelled_share,
)
from instseg_ros.learning.model import Prediction


def test_duplicates_are_nearer_than_half_of_what_repulsion_aims_at():
    for delta_b in (0.5, 3.0, 8.0):
        distance = LossConfig(delta_b=delta_b).duplicate_distance
        assert delta_b / 2 < distance < delta_b
    # Files from before have no entry, and were trained with the default.
    assert LossConfig().duplicate_distance == ModelInfo.duplicate_distance


def test_class_weights_favour_rare_classes_and_average_to_one():
    weights = class_weights(torch.tensor([0.9, 0.1]), 1.0)
    assert weights.mean().item() == pytest.approx(1.0)
    assert (weights[1] / weights[0]).item() == pytest.approx(math.log(2.0) / math.log(1.2), 1e-5)
    assert class_weights(torch.tensor([0.9, 0.1]), 0.0).tolist() == [1.0, 1.0]


def test_semantic_loss_is_the_weighted_mean_over_labelled_pixels():
    logits = torch.tensor([[[[0.0, math.log(3.0), 50.0]], [[0.0, 0.0, 0.0]]]])
    target = torch.tensor([[[1, 0, UNLABELLED]]])
    weights = torch.tensor([1.0, 3.0])
    # Pixel 0: class 1 with probability 1/2; pixel 1: class 0 with probability 3/4.
    expected = (3.0 * math.log(2.0) + 1.0 * math.log(4.0 / 3.0)) / 4.0
    assert semantic_loss(logits, target, weights).item() == pytest.approx(expected, 1e-5)


def test_semantic_loss_without_a_labelled_pixel_is_zero_with_zero_gradient():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = semantic_loss(logits, torch.full((1, 2, 2), UNLABELLED), torch.ones(3))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize('gamma', [0.0, 2.0])
def test_center_loss_by_hand(gamma):
    # Confidences 1/4 at the center, 3/4 beside it, and something ignored.
    logits = torch.tensor([[[-math.log(3.0), math.log(3.0), 9.0]]])
    target = torch.tensor([[[1, 0, UNLABELLED]]], dtype=torch.uint8)
    expected = (4.0 + 1.0) * 0.75 ** gamma * math.log(4.0)
    assert center_loss(logits, target, gamma, 4.0).item() == pytest.approx(expected, 1e-5)


def test_gamma_quietens_the_easy_background():
    easy = torch.full((1, 1, 1), -3.0)
    target = torch.zeros(1, 1, 1, dtype=torch.uint8)
    ratio = center_loss(easy, target, 2.0, 1.0) / center_loss(easy, target, 0.0, 1.0)
    assert ratio.item() == pytest.approx(torch.sigmoid(easy).item() ** 2, 1e-4)


def embed(points, size=4):
    """One image with one row of pixels; the points fill channels 2 and 3."""
    values = torch.zeros(1, size, 1, len(points))
    for index, (a, b) in enumerate(points):
        values[0, 2, 0, index], values[0, 3, 0, index] = a, b
    return values


def test_attraction_starts_beyond_delta_a():
    config = LossConfig(delta_a=0.5, regularization=0.0)
    ids = torch.tensor([[[1, 1]]])
    loss = embedding_loss(embed([(0, 0), (1.0, 0)]), ids, config).item()
    assert loss == pytest.approx(0, abs=1e-6)
    # Each pixel is 2 from the mean: (2 - 0.5) ** 2.
    assert embedding_loss(embed([(0, 0), (4, 0)]), ids, config).item() == pytest.approx(2.25, 1e-4)


def test_repulsion_ends_beyond_delta_b():
    config = LossConfig(delta_b=1.5, regularization=0.0)
    ids = torch.tensor([[[1, 2]]])
    loss = embedding_loss(embed([(0, 0), (1.6, 0)]), ids, config).item()
    assert loss == pytest.approx(0, abs=1e-6)
    # One pair, two instances: (1.5 - 0.5) ** 2 / 2.
    loss = embedding_loss(embed([(0, 0), (0.5, 0)]), ids, config).item()
    assert loss == pytest.approx(0.5, 1e-4)


def test_instances_of_different_images_do_not_repel():
    values = torch.zeros(2, 4, 1, 1)
    ids = torch.tensor([[[1]], [[2]]])
    assert embedding_loss(values, ids, LossConfig(regularization=0.0)).item() == 0.0


def test_the_position_channels_are_not_regularised():
    config = LossConfig(regularization=1.0)
    ids = torch.tensor([[[1]]])
    values = embed([(3.0, 4.0)])
    assert embedding_loss(values, ids, config).item() == pytest.approx(5.0, 1e-5)
    values[0, :2] = 100.0
    assert embedding_loss(values, ids, config).item() == pytest.approx(5.0, 1e-5)


def test_a_batch_without_instances_has_zero_loss_and_gradient():
    values = torch.randn(2, 4, 3, 3, requires_grad=True)
    loss = embedding_loss(values, torch.zeros(2, 3, 3, dtype=torch.int64), LossConfig())
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(values.grad, torch.zeros_like(values))


def test_gradients_are_right_and_finite():
    torch.manual_seed(0)
    config = LossConfig(regularization=0.1)
    ids = torch.tensor([[[1, 1, 2], [2, 0, 3]]])
    values = (3 * torch.randn(1, 4, 2, 3, dtype=torch.float64)).requires_grad_()
    target = torch.tensor([[[1, 0, 255], [0, 0, 1]]], dtype=torch.uint8)
    logits = torch.randn(1, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: center_loss(x, target, 2.0, 4.0), logits)
    loss = embedding_loss(values, ids, config)
    loss.backward()
    step = 1e-3
    for index in [(0, 2, 0, 0), (0, 0, 1, 0), (0, 3, 1, 2)]:
        moved = [values.detach().clone() for _ in range(2)]
        moved[0][index] += step
        moved[1][index] -= step
        slope = (embedding_loss(moved[0], ids, config)
                 - embedding_loss(moved[1], ids, config)) / (2 * step)
        assert values.grad[index].item() == pytest.approx(slope.item(), rel=0.05, abs=2e-3)


def test_total_is_the_weighted_sum():
    torch.manual_seed(1)
    prediction = Prediction(torch.randn(1, 2, 2, 2), torch.randn(1, 2, 2), torch.randn(1, 4, 2, 2))
    semantic = torch.tensor([[[0, 1], [1, 1]]])
    instances = torch.tensor([[[0, 1], [2, 2]]])
    centers = torch.tensor([[[0, 1], [1, 0]]], dtype=torch.uint8)
    config = LossConfig(semantic_weight=2.0, center_weight=3.0, embedding_weight=5.0)
    losses = total_loss(prediction, semantic, instances, centers, torch.ones(2), config)
    expected = 2 * losses['semantic'] + 3 * losses['center'] + 5 * losses['embedding']
    assert losses['total'].item() == pytest.approx(expected.item(), 1e-6)


def random_batch(seed, instances=3):
    """Predictions and labels of two images of 5x6 pixels, some of which are to be ignored."""
    torch.manual_seed(seed)
    prediction = Prediction(torch.randn(2, 3, 5, 6), torch.randn(2, 5, 6),
                            torch.randn(2, 4, 5, 6))
    ids = torch.randint(0, instances + 1, (2, 5, 6))
    ignored = torch.rand(2, 5, 6) < 0.3
    ids[ignored] = 0
    semantic = torch.randint(0, 3, (2, 5, 6)).masked_fill(ignored, UNLABELLED)
    centers = (torch.rand(2, 5, 6) < 0.2).to(torch.uint8).masked_fill(ignored, UNLABELLED)
    return prediction, semantic, ids, centers, ignored


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_predictions_at_ignored_pixels_change_no_loss(seed):
    prediction, semantic, ids, centers, ignored = random_batch(seed)
    other = Prediction(*(tensor.clone() for tensor in prediction[:3]))
    other.semantic.permute(0, 2, 3, 1)[ignored] = 9.0
    other.center[ignored] = -9.0
    other.embedding.permute(0, 2, 3, 1)[ignored] = 9.0
    first, second = (total_loss(p, semantic, ids, centers, torch.tensor([0.5, 1.0, 2.0]),
                                LossConfig()) for p in (prediction, other))
    assert {name: loss.item() for name, loss in first.items()} == pytest.approx(
        {name: loss.item() for name, loss in second.items()})


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), instances=st.integers(0, 3))
def test_every_output_gets_a_finite_gradient_with_or_without_instances(seed, instances):
    prediction, semantic, ids, centers, _ = random_batch(seed, instances)
    for tensor in prediction[:3]:
        tensor.requires_grad_()
    losses = total_loss(prediction, semantic, ids, centers, torch.ones(3), LossConfig())
    losses['total'].backward()
    assert all(loss >= 0 for loss in losses.values())
    for tensor in prediction[:3]:  # none is missing: several processes wait for all of them
        assert torch.isfinite(tensor.grad).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 4), spread=st.floats(0.0, 0.99),
       gap=st.floats(1.01, 3.0))
def test_nothing_is_pulled_within_delta_a_or_pushed_beyond_delta_b(seed, count, spread, gap):
    torch.manual_seed(seed)
    config = LossConfig(delta_a=0.5, delta_b=1.5, regularization=0.0)
    direction = torch.nn.functional.normalize(torch.randn(4), dim=0)
    offsets = torch.nn.functional.normalize(torch.randn(count, 4), dim=1) * spread * config.delta_a
    means = torch.arange(count)[:, None] * direction * gap * config.delta_b
    # Two pixels an instance, on either side of its mean.
    values = torch.stack([means + offsets, means - offsets], 1).reshape(1, 1, -1, 4)
    values = values.permute(0, 3, 1, 2).contiguous().requires_grad_()
    ids = torch.arange(1, count + 1).repeat_interleave(2).view(1, 1, -1)
    loss = embedding_loss(values, ids, config)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-9)
    assert values.grad.abs().max().item() == pytest.approx(0.0, abs=1e-6)


def partly_labelled(seed, classes=5):
    """Logits, targets and candidates of two images, in double precision."""
    torch.manual_seed(seed)
    logits = (3 * torch.randn(2, classes, 4, 5, dtype=torch.float64)).requires_grad_()
    target = torch.randint(0, classes, (2, 4, 5)) * (torch.rand(2, 4, 5) < 0.6)
    target = target.masked_fill(torch.rand(2, 4, 5) < 0.2, UNLABELLED)
    candidates = torch.rand(2, classes) < 0.5
    candidates[:, 0] = True
    return logits, target, candidates


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_where_all_is_labelled_the_semantic_loss_is_plain_cross_entropy(seed):
    logits, target, candidates = partly_labelled(seed)
    weights = torch.rand(5, dtype=torch.float64) + 0.1
    candidates[:, 1:] = False
    plain = torch.nn.functional.cross_entropy(logits, target, weights, ignore_index=UNLABELLED,
                                              reduction='sum')
    mass = weights[target[target != UNLABELLED]].sum().clamp(min=1.0)
    for given_candidates in (candidates, None):
        loss = semantic_loss(logits, target, weights, given_candidates)
        assert loss.item() == pytest.approx((plain / mass).item(), 1e-9, abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000))
def test_no_label_teaches_that_an_unlabelled_class_is_absent(seed):
    logits, target, candidates = partly_labelled(seed)
    target = target * (target == UNLABELLED)  # none of the labelled classes, or ignored
    semantic_loss(logits, target, torch.ones(5, dtype=torch.float64), candidates).backward()
    possible = candidates[:, :, None, None].expand_as(logits)
    # A step against the gradient raises the logits of the candidates and lowers all others.
    assert (logits.grad[possible] <= 1e-12).all() and (logits.grad[~possible] >= -1e-12).all()
    ignored = (target == UNLABELLED)[:, None].expand_as(logits)
    assert not logits.grad[ignored].any()
    # Whatever is a candidate in every pixel costs nothing.
    everything = torch.ones_like(candidates)
    assert semantic_loss(logits, target, torch.ones(5), everything).item() == pytest.approx(
        0, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_how_the_candidates_share_their_probability_is_left_open(seed):
    logits, target, candidates = partly_labelled(seed)
    target = torch.zeros_like(target)
    shares = logits.detach().softmax(1)
    possible = candidates[:, :, None, None]
    mass = (shares * possible).sum(1, keepdim=True)
    other = torch.rand_like(shares) * possible
    other = torch.where(possible, other / other.sum(1, keepdim=True) * mass, shares)
    losses = [semantic_loss(values.log(), target, torch.ones(5), candidates)
              for values in (shares, other)]
    assert losses[0].item() == pytest.approx(losses[1].item(), 1e-6)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_the_share_of_unlabelled_things_is_a_share_of_the_candidates(seed):
    logits, _, candidates = partly_labelled(seed)
    share = unlabelled_share(logits, candidates, (1, 2))
    probabilities = logits.softmax(1) * candidates[:, :, None, None]
    expected = probabilities[:, 1:3].sum(1) / probabilities.sum(1)
    assert torch.allclose(share, expected) and not share.requires_grad
    assert not unlabelled_share(logits, candidates, ()).any()


@settings(deadline=None, max_examples=40)
@given(logit=st.floats(-20, 20), q=st.floats(0, 1), gamma=st.floats(0, 3))
def test_a_center_is_wrong_only_as_far_as_no_unlabelled_thing_may_be_there(logit, q, gamma):
    logits = torch.tensor([[[logit]]], dtype=torch.float64)
    target = torch.zeros(1, 1, 1, dtype=torch.uint8)
    loss = center_loss(logits, target, gamma, 4.0, torch.full_like(logits, q)).item()
    right = 1 - (1 - q) * torch.sigmoid(logits).item()
    expected = -(1 - right) ** gamma * math.log(right) if right > 0 else math.inf
    assert loss == pytest.approx(expected, rel=1e-6, abs=1e-9)
    # Centers themselves are labelled, and count in full.
    ones = torch.ones_like(target)
    assert center_loss(logits, ones, gamma, 4.0, torch.full_like(logits, q)).item() == \
        center_loss(logits, ones, gamma, 4.0).item()
