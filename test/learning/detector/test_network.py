"""The network that starts from a detector: what it predicts before training, and its export."""
from __future__ import annotations

import pytest
import torch

from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.detector.decoders import BACKGROUND_LOGIT
from instseg_ros.learning.detector.evidence import strongest_boxes
from instseg_ros.learning.detector.modes import corners_of
from instseg_ros.learning.detector.network import DetectorNetwork
from instseg_ros.learning.encoders import build_encoder
from instseg_ros.learning.encoders.nanodet_plus import NanoDetPlus
from instseg_ros.learning.export.onnx_export import export_onnx, model_info

NAMES, THINGS = ('background', 'person', 'car', 'road'), (1, 2)
WIDTHS = {16: 16, 8: 16, 4: 8}


def small_network(**changes):
    """Return a small network with random weights whose detector is sure of something."""
    torch.manual_seed(1)
    if isinstance(changes.get('semantic_encoder'), str):
        changes = {**changes, 'semantic_encoder': build_encoder(changes['semantic_encoder'])}
    network = DetectorNetwork(**{
        'encoder': NanoDetPlus((16, 32, 64), 16), 'class_names': NAMES, 'thing_ids': THINGS,
        'embedding_size': 6, 'output_stride': 4, 'residual_width': 8, 'semantic_encoder': None,
        'widths': WIDTHS, 'evidence': (1.0, 2.0), **changes}).eval()
    with torch.no_grad():
        for head in network.heads.values():
            head['output'].weight.mul_(20)
        last = network.semantic.last if hasattr(network.semantic, 'last') else (
            network.semantic.coarse)
        last.weight.mul_(20)
    return network


class Halves(torch.nn.Module):
    """A semantic decoder that takes the left half for a car and the right half for road."""

    def forward(self, features, detections):
        n, _, height, width = features[4].shape
        logits = torch.zeros(n, 4, height, width)
        logits[:, 2, :, :width // 2] = logits[:, 3, :, width // 2:] = 20.0
        return logits


@pytest.fixture(scope='module')
def image():
    coarse = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(2)) * 255
    return torch.nn.functional.interpolate(coarse, size=(96, 128), mode='bicubic').clamp(0, 255)


def test_it_starts_from_the_detectors_scores_and_boxes(image):
    network = small_network()
    network.semantic = Halves()
    with torch.no_grad():
        prediction = network(image)
    assert prediction.semantic.shape == (1, 4, 24, 32)
    assert prediction.center.shape == (1, 24, 32)
    assert prediction.embedding.shape == (1, 6, 24, 32)
    ids = prediction.semantic.argmax(1)
    is_thing = (ids == 1) | (ids == 2)
    assert is_thing[:, :, :16].all() and not is_thing[:, :, 16:].any()
    assert (prediction.center[~is_thing] == BACKGROUND_LOGIT).all()
    logits = torch.stack([level.classes.amax((2, 3)) for level in prediction.detections.values()])
    assert prediction.center[is_thing].max() <= logits.max() + 1e-4
    assert not prediction.embedding[:, 4:].any()
    boxes = corners_of(prediction.embedding.flatten(2).transpose(1, 2))
    y, x = torch.meshgrid(torch.arange(24) * 4. + 2, torch.arange(32) * 4. + 2, indexing='ij')
    # A box holds the pixel that predicts it, or one of those next to it.
    assert (boxes[0, :, 0] < x.flatten() + 64).all() and (boxes[0, :, 2] > x.flatten() - 64).all()


def test_boxes_change_the_classes():
    network = small_network(evidence=(0.0, 0.0))
    picture = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        without = network(picture)
        network.evidence.gain.fill_(50.0)
        with_boxes = network(picture)
    boxes = strongest_boxes(without.detections)
    raised = network.evidence.highest_scores(boxes, (16, 16))
    torch.testing.assert_close(with_boxes.semantic, without.semantic + 50 * raised)


@pytest.mark.parametrize('changes', [
    {}, {'residual_width': 0, 'embedding_size': 4, 'semantic_encoder': 'mobilenet_v2'},
    {'semantic_encoder': 'mobilenet_v2', 'semantic_classes': 2, 'background_width': 8}])
def test_every_part_gets_a_gradient(changes, image):
    network = small_network(**changes)
    prediction = network.train()(image.repeat(2, 1, 1, 1))
    loss = sum((part ** 2).mean() for part in prediction[:3]) + sum(
        (level.classes ** 2).mean() + (level.distances ** 2).mean()
        for level in prediction.detections.values())
    loss.backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_parts_of_the_background_leave_the_known_classes_as_they_are(image):
    known = small_network(semantic_encoder='mobilenet_v2', evidence=(0.0, 0.0),
                          class_names=NAMES[:2], thing_ids=(1,))
    network = small_network(semantic_encoder='mobilenet_v2', evidence=(0.0, 0.0),
                            semantic_classes=2, background_width=8)
    with torch.no_grad():  # half of the pixels are a person's
        background, person = known(image).semantic[0]
        known.semantic.coarse.bias[1] += (background - person).median()
    for part in ('semantic', 'semantic_encoder', 'encoder'):
        getattr(network, part).load_state_dict(getattr(known, part).state_dict())
    with torch.no_grad():
        before, after = known(image).semantic, network(image).semantic
    assert after.shape[1] == 4
    torch.testing.assert_close(after[:, 1], before[:, 1])
    torch.testing.assert_close(after[:, [0, 2, 3]].amax(1), before[:, 0])
    is_person = before.argmax(1) == 1
    assert is_person.any() and not is_person.all()
    assert torch.equal(after.argmax(1) == 1, is_person)


@pytest.mark.parametrize('stride', [8, 4, 2, 1])
def test_outputs_of_any_stride_show_the_same(image, stride):
    network = small_network(output_stride=stride)
    with torch.no_grad():
        fine, coarse = network(image), small_network()(image)
    assert fine.semantic.shape[2:] == fine.center.shape[1:] == (96 // stride, 128 // stride)
    scaled = torch.nn.functional.interpolate(fine.semantic, (24, 32), mode='area')
    same = scaled.argmax(1) == coarse.semantic.argmax(1)
    assert same.float().mean() > 0.8


def test_lengths_of_embeddings_that_hold_no_box_are_refused():
    for size, width in ((3, 8), (6, 0)):
        with pytest.raises(ValueError, match=f'expected 4 .*got {size}'):
            small_network(embedding_size=size, residual_width=width)


@pytest.mark.parametrize('changes, message', [
    ({'thing_ids': ()}, 'data.stuff: expected at least one other class, .* got all: background'),
    ({'semantic_encoder': NanoDetPlus((16, 32, 64), 16), 'semantic_classes': 5},
     'model.semantic_classes: expected at most the number of classes, 4, got 5')])
def test_classes_without_a_detector_or_beyond_all_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small_network(**changes)


def test_the_exported_file_computes_the_same(tmp_path):
    network = small_network()
    with torch.no_grad():
        for head in network.heads.values():  # no modes: among equals, rounding would decide
            head['output'].bias[:len(THINGS)] = -9.0
    info = model_info(network, NAMES, THINGS, 128, {}, duplicate_distance=2.0)
    worst = export_onnx(network, Calibration(2.0, 1.0), info, tmp_path / 'model.onnx')
    assert worst['embedding'] < 1e-2


def test_an_image_of_one_cell_can_be_segmented():
    network = small_network()
    with torch.no_grad():
        prediction = network(torch.zeros(1, 3, 32, 32))
        peaks = torch.ones(1, 8, 8, dtype=torch.bool)
        assert network.finish_embedding(prediction, peaks).shape == (1, 6, 8, 8)
