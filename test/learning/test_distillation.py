"""Distillation: nearness to a teacher with other classes, and to the initial detector."""
from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from instseg_ros.learning.build import build_network
from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.detector.heads import (
    BINS,
    COCO_CLASSES,
    SIDES,
    Detections,
    DetectorHeads,
)
from instseg_ros.learning.distillation import (
    Distillation,
    class_groups,
    consistency_loss,
    distillation_loss,
)
from instseg_ros.learning.encoders import build_encoder
from instseg_ros.learning.module import TrainingModule

OURS, THEIRS = ('background', 'car', 'person', 'road'), ('background', 'person', 'car')


def test_classes_that_the_teacher_lacks_are_its_background():
    assert class_groups(OURS, THEIRS).argmax(1).tolist() == [0, 2, 1, 0]


def test_a_teacher_without_any_common_class_is_refused():
    with pytest.raises(ValueError, match='model.teacher: expected some of .*road, got .*sheep'):
        class_groups(OURS, ('background', 'sheep'))


def test_distillation_is_least_where_the_sums_agree():
    groups = class_groups(OURS, THEIRS)
    probabilities = torch.tensor([0.3, 0.4, 0.1, 0.2]).view(1, 4, 1, 1)
    wanted = torch.tensor([0.5, 0.1, 0.4]).view(1, 3, 1, 1)
    entropy = -(wanted * wanted.log()).sum()
    equal = distillation_loss(probabilities.log(), wanted, groups)
    torch.testing.assert_close(equal, entropy)
    # Background and road may share theirs as they like.
    moved = torch.tensor([0.05, 0.4, 0.1, 0.45]).view(1, 4, 1, 1)
    torch.testing.assert_close(distillation_loss(moved.log(), wanted, groups), entropy)
    worse = torch.tensor([0.3, 0.1, 0.4, 0.2]).view(1, 4, 1, 1)
    assert distillation_loss(worse.log(), wanted, groups) > entropy + 0.1


def detections(seed):
    generator = torch.Generator().manual_seed(seed)
    return {stride: Detections(torch.randn(2, 3, 64 // stride, 4, generator=generator),
                               torch.randn(2, SIDES * BINS, 64 // stride, 4, generator=generator))
            for stride in (8, 16)}


def test_consistency_is_zero_for_the_same_and_grows_with_the_difference():
    initial, other = detections(0), detections(1)
    assert consistency_loss(initial, initial) == pytest.approx(0, abs=1e-6)

    def between(share):
        return {stride: Detections(*(torch.lerp(a, b, share) for a, b in zip(
            initial[stride], other[stride]))) for stride in initial}

    near, far = (float(consistency_loss(between(share), initial)) for share in (0.1, 0.5))
    assert 0 < near < far


def test_boxes_matter_only_where_the_initial_detector_sees_an_object():
    initial = detections(0)
    initial[8].classes[:] = -20.0
    changed = {8: Detections(initial[8].classes, detections(1)[8].distances), 16: initial[16]}
    assert consistency_loss(changed, initial) == pytest.approx(0, abs=1e-5)
    initial[8].classes[:, 0] = 0.0
    assert consistency_loss(changed, initial) > 0.1


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Return the path of random weights of a small detector."""
    torch.manual_seed(0)
    encoder = build_encoder('nanodet_plus_m')
    heads = DetectorHeads(encoder.channels[8], len(COCO_CLASSES))
    path = tmp_path_factory.mktemp('weights') / 'detector.safetensors'
    save_file({**encoder.state_dict(),
               **{f'head.{name}': tensor for name, tensor in heads.state_dict().items()}}, path)
    return path


def test_a_teacher_of_another_output_stride_is_refused(tmp_path):
    def config(**model):
        return TrainingConfig.from_dict({
            'data': {'images': 'images', 'annotations': 'a.json', 'classes': list(OURS)},
            'model': {'width_16': 8, 'width_8': 8, 'width_4': 8, **model},
            'loss': {'distillation_weight': float('teacher' in model)}})

    theirs, path = config(output_stride=8), tmp_path / 'teacher.ckpt'
    torch.save({'state_dict': TrainingModule(theirs).state_dict(), 'epoch': 0, 'global_step': 1,
                'hyper_parameters': {'config': theirs.to_dict()}}, path)
    with pytest.raises(ValueError, match='model.teacher: expected .* stride 4, got one of 8'):
        Distillation(config(teacher=str(path)), torch.device('cpu'))


@pytest.mark.parametrize('period', [1, 3])
def test_every_so_many_steps_compare_and_count_so_many_times(weights, period):
    config = TrainingConfig.from_dict({
        'data': {'images': 'images', 'annotations': 'annotations.json',
                 'classes': ['background', 'person', 'car']},
        'model': {'encoder': 'nanodet_plus_m', 'weights': str(weights), 'embedding_size': 4,
                  'residual_width': 0},
        'loss': {'center_weight': 0.0, 'embedding_weight': 0.0, 'consistency_weight': 0.5,
                 'distillation_period': period}})
    torch.manual_seed(1)
    image = 255 * torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        prediction = build_network(config).eval()(image)  # not the weights of the file
    distillation = Distillation(config, torch.device('cpu'))
    compared = {step: losses for step in range(7)
                if (losses := distillation.losses(image, prediction, step))}
    assert list(compared) == list(range(0, 7, period))
    with torch.no_grad():
        initial = distillation.heads(distillation.encoder(
            (image - distillation.mean) / distillation.std))
    expected = 0.5 * period * consistency_loss(prediction.detections, initial)
    assert expected > 0
    for losses in compared.values():
        torch.testing.assert_close(losses, {'consistency': expected})
