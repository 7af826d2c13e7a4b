"""Distillation: nearness to a teacher with other classes, and to the initial detector."""
from __future__ import annotations

import math
from collections import Counter

import cv2
import pytest
import torch
from safetensors.torch import save_file

from instseg_ros.datasets.config import DataSetConfig
from instseg_ros.datasets.opening import open_dataset
from instseg_ros.learning.build import build_network
from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.deeplab import DeepLab
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
from instseg_ros.learning.initial_weights import start_from
from instseg_ros.learning.model import VOC_CLASSES
from instseg_ros.learning.module import TrainingModule

OURS, THEIRS = ('background', 'car', 'person', 'road'), ('background', 'person', 'car')


def test_classes_that_only_one_of_both_has_are_background():
    ours, theirs = class_groups(OURS, ('background', 'sheep', 'person', 'sofa', 'car'))
    assert ours.argmax(1).tolist() == [0, 2, 1, 0]
    assert theirs.argmax(1).tolist() == [0, 0, 1, 0, 2]


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


def test_what_only_the_teacher_knows_counts_as_background():
    groups = class_groups(OURS, ('background', 'sheep', 'person', 'car'))
    wanted = torch.tensor([0.2, 0.5, 0.1, 0.2]).view(1, 4, 1, 1)  # mostly a sheep
    logits = torch.zeros(1, 4, 1, 1, requires_grad=True)
    for _ in range(300):
        loss = distillation_loss(logits, wanted, groups)
        gradient, = torch.autograd.grad(loss, logits)
        logits = (logits - 0.5 * gradient).detach().requires_grad_()
    background, car, person, road = logits.detach().softmax(1).flatten().tolist()
    assert (background + road, car, person) == pytest.approx((0.7, 0.2, 0.1), abs=1e-3)
    entropy = -sum(p * math.log(p) for p in (0.7, 0.2, 0.1))
    assert loss.item() == pytest.approx(entropy, abs=1e-4)


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


CPU = torch.device('cpu')


def student(classes=OURS, **model):
    """Return the configuration of a small network, with or without teachers."""
    return TrainingConfig.from_dict({
        'data': {'images': 'images', 'annotations': 'a.json', 'classes': list(classes)},
        'model': {'width_16': 8, 'width_8': 8, 'width_4': 8, **model},
        'loss': {'distillation_weight': 0.5 * ('teacher' in model)}})


def write_checkpoint(path, config):
    torch.manual_seed(0)
    torch.save({'state_dict': TrainingModule(config).state_dict(), 'epoch': 0, 'global_step': 1,
                'hyper_parameters': {'config': config.to_dict()}}, path)
    return str(path)


@pytest.fixture(scope='module')
def voc(tmp_path_factory):
    """Return the path of random weights of DeepLabV3."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'voc.safetensors'
    save_file(DeepLab().state_dict(), path)
    return str(path)


def test_the_loss_is_the_mean_over_the_teachers(tmp_path, voc):
    checkpoint = write_checkpoint(tmp_path / 'teacher.ckpt', student(THEIRS))
    torch.manual_seed(1)
    image = 255 * torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        prediction = build_network(student()).eval()(image)

    def loss(teacher):
        losses = Distillation(student(teacher=teacher), CPU).losses(image, prediction, 0)
        return float(losses['distillation'])

    both = loss([checkpoint, voc])
    assert both == pytest.approx((loss(checkpoint) + loss([voc])) / 2)
    assert loss(checkpoint) != pytest.approx(loss(voc), rel=1e-3)


def test_a_teacher_of_another_output_stride_is_refused(tmp_path, voc):
    path = write_checkpoint(tmp_path / 'teacher.ckpt', student(output_stride=8))
    with pytest.raises(ValueError, match=f'model.teacher: {path}: expected .* 4, got one of 8'):
        Distillation(student(teacher=[voc, path]), CPU)


def test_a_teacher_without_any_common_class_is_refused(tmp_path, voc):
    path = write_checkpoint(tmp_path / 'teacher.ckpt', student(('background', 'sheep')))
    with pytest.raises(ValueError,
                       match=f'model.teacher: {path}: expected some of .*road, got .*sheep'):
        Distillation(student(teacher=[voc, path]), CPU)


def test_files_that_are_no_teacher_are_refused(tmp_path):
    encoder = tmp_path / 'encoder.safetensors'
    save_file(build_encoder('mobilenet_v2').state_dict(), encoder)
    broken = tmp_path / 'broken.ckpt'
    broken.write_bytes(b'no checkpoint')
    for path, message in (
            (encoder, 'no weights of this DeepLab, 2 .* the first is logits.weight'),
            (broken, 'not a checkpoint'), (tmp_path / 'a.ckpt', 'no such checkpoint'),
            (tmp_path / 'a.safetensors', 'no such file of weights')):
        with pytest.raises(ValueError, match=f'model.teacher: {path}: {message}'):
            Distillation(student(teacher=str(path)), CPU)


def test_deeplab_finds_people_and_cars_in_photographs(shared):
    folder = shared / 'data' / 'coco_street_clean'
    photographs = open_dataset(
        DataSetConfig(images=str(folder / 'images'),
                      annotations=str(folder / 'annotations' / 'instances.json')), VOC_CLASSES)
    deeplab = DeepLab().eval()
    deeplab.load_weights(shared / 'weights' / 'mobilenet_v2_deeplab_voc.safetensors')
    overlap = Counter()
    for index in (1, 13, 21, 33):  # large people, large cars
        image = cv2.resize(photographs.load_image(index), (512, 384))
        with torch.no_grad():
            logits = deeplab.class_logits(torch.tensor(image).permute(2, 0, 1)[None].float(), 4)
        assert logits.shape == (1, 21, 96, 128)
        found = logits[0].argmax(0).numpy()
        labels = photographs.load_label_maps(index)[0]
        labels = cv2.resize(labels, (128, 96), interpolation=cv2.INTER_NEAREST_EXACT)
        for name in ('person', 'car'):
            k = VOC_CLASSES.index(name)
            overlap[name, 'both'] += int(((found == k) & (labels == k)).sum())
            overlap[name, 'either'] += int((((found == k) | (labels == k))
                                            & (labels < len(VOC_CLASSES))).sum())
    for name in ('person', 'car'):
        assert overlap[name, 'both'] / overlap[name, 'either'] > 0.6, (name, overlap)


def test_a_training_from_a_checkpoint_stays_near_its_detections(tmp_path):
    sections = {
        'data': {'images': 'images', 'annotations': 'annotations.json',
                 'classes': ['background', 'person', 'car']},
        'model': {'encoder': 'nanodet_plus_m', 'embedding_size': 4, 'residual_width': 0},
        'loss': {'center_weight': 0.0, 'embedding_weight': 0.0}}
    path = write_checkpoint(tmp_path / 'first.ckpt', TrainingConfig.from_dict(sections))
    sections['model']['weights'] = path
    sections['loss']['consistency_weight'] = 1.0
    config = TrainingConfig.from_dict(sections)
    distillation = Distillation(config, CPU)
    torch.manual_seed(1)
    image = 255 * torch.rand(1, 3, 64, 64)
    network = build_network(config).eval()
    with torch.no_grad():
        other = network(image)
        start_from(network, path, config)
        same = network(image)
    assert distillation.losses(image, other, 0)['consistency'] > 1e-4
    assert distillation.losses(image, same, 0)['consistency'] == pytest.approx(0.0, abs=1e-6)


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
