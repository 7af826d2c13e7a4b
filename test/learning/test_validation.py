"""Metrics and pictures of the validation images, and of which weights they are."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from short_trainings import curve, train, write_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from instseg_ros.core.types import ModelInfo, NetworkOutput
from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.checkpoints import load_checkpoint
from instseg_ros.learning.data_module import scaled_images, targets_of, validation_images
from instseg_ros.learning.export.onnx_export import model_info
from instseg_ros.learning.export.wrapper import ExportedNetwork
from instseg_ros.learning.losses import embedding_loss
from instseg_ros.learning.targets import build_targets
from instseg_ros.learning.validation import THRESHOLDS, TILE, ValidationScore, picture_row

INFO = ModelInfo(class_names=('background', 'person'), thing_ids=(1,), palette=((0, 0, 0),) * 2,
                 output_stride=4, size_multiple=32, embedding_size=4, input_size=64)


def scene(confidence):
    """Two objects on the output grid, found by centers of a confidence; target and output."""
    semantic, instances = np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint16)
    heatmap, embedding = np.zeros((16, 16), np.float32), np.zeros((16, 16, 4), np.float32)
    for k, x in enumerate((1, 8)):
        semantic[2:12, x:x + 6], instances[2:12, x:x + 6] = 1, k + 1
        heatmap[7, x + 3] = confidence
        embedding[2:12, x:x + 6, 0] = 5.0 * k
    output = NetworkOutput(semantic, heatmap, embedding)
    targets = build_targets(semantic, instances, 1)
    sample = {'semantic_ids': torch.from_numpy(semantic.astype(np.int64)),
              'instance_ids': torch.from_numpy(instances.astype(np.int64)),
              'center_mask': torch.from_numpy(targets.center_mask),
              'candidates': torch.tensor([True, False])}
    return output, sample


def test_unsure_centers_count_in_full_as_no_threshold_is_set_yet():
    score = ValidationScore(INFO)
    output, sample = scene(confidence=0.2)
    score.update(output, sample, {'total': torch.tensor(2.0)})
    assert score.values['miou'] == score.values['pq_things'] == 1.0
    assert score.values['threshold'] in THRESHOLDS and score.values['threshold'] <= 0.2


def test_parts_add_up_to_the_whole():
    scenes = [(*scene(0.2), 1.0), (*scene(0.5), 0.0), (*scene(0.01), 5.0)]
    whole, first, rest = (ValidationScore(INFO) for _ in range(3))
    for number, (output, sample, loss) in enumerate(scenes):
        for score in (whole, first if number == 0 else rest):
            score.update(output, sample, {'total': torch.tensor(loss)})
    assert (first + rest).values == whole.values == pytest.approx(
        {'total': 2.0, 'miou': 1.0, 'pq_things': 4 / 5, 'threshold': THRESHOLDS[0]})


def test_a_row_shows_image_result_confidence_and_truth():
    output, sample = scene(confidence=0.2)
    image = np.full((64, 64, 3), 100, np.uint8)
    pictures = picture_row(image, output, output.center_heatmap, targets_of(sample), INFO, 0.2)
    assert all(picture.shape == (TILE, TILE, 3) for picture in pictures)
    plain, result, heat, truth = (cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA)
                                  for picture in pictures)
    assert (plain == 100).all()
    inside = np.zeros((16, 16), bool)
    inside[4:10, 2:6] = inside[4:10, 9:13] = True
    for picture in (result, truth):
        tinted = (picture != 100).any(-1)
        assert tinted[inside].all() and not tinted[14:].any()
    assert set(zip(*np.nonzero(heat.sum(-1) > heat[0, 0].sum() + 50))) == {(7, 4), (7, 11)}
    missed = picture_row(image, output, output.center_heatmap, targets_of(sample), INFO, 0.3)[1]
    assert (missed == 100).all()


def test_images_of_any_shape_get_pictures_of_one_size():
    output, sample = scene(confidence=0.2)
    image = np.full((32, 64, 3), 100, np.uint8)
    output = NetworkOutput(output.semantic_ids[:8], output.center_heatmap[:8],
                           output.embedding[:8])
    sample = {name: tensor[:8] for name, tensor in sample.items()}
    pictures = picture_row(image, output, output.center_heatmap, targets_of(sample), INFO, 0.2)
    assert all(picture.shape == (TILE, TILE, 3) for picture in pictures)
    assert (pictures[0][:TILE // 2] == 100).all() and not pictures[0][TILE // 2:].any()


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('validation')
    config = write_config(folder, 8, 3, data={'validation_images': 2},
                          optimization={'validation_period': 2})
    assert train(config, folder / 'run') == 0
    return folder / 'run'


def test_the_figures_are_those_of_the_averaged_weights_that_the_checkpoint_holds(run):
    network, config, metadata = load_checkpoint(run / 'last.ckpt')
    info = model_info(network, config.data.classes, config.data.thing_ids,
                      config.model.input_size, {}, duplicate_distance=2)
    score = ValidationScore(info)
    exported = ExportedNetwork(network, Calibration()).eval()
    images = validation_images(config, metadata.data)
    for image, target in zip(*scaled_images(*images, info)):
        sample = {name: torch.from_numpy(getattr(target, name).astype(np.int64))
                  for name in ('semantic_ids', 'instance_ids', 'center_mask')}
        sample['candidates'] = torch.tensor([True, False, False])
        output = exported.predict(image)
        embedding = torch.from_numpy(output.embedding).permute(2, 0, 1)
        loss = embedding_loss(embedding[None], sample['instance_ids'][None], config.loss)
        score.update(output, sample, {'embedding': loss})
    for name, value in score.values.items():
        assert curve(run, f'validation/{name}')[2] == pytest.approx(value, rel=1e-4), name


def test_the_last_epoch_is_looked_at_whatever_the_period(run):
    assert sorted(curve(run, 'validation/total')) == [1, 2]


def test_pictures_are_on_the_disk_and_in_tensorboard(run):
    assert sorted(path.name for path in (run / 'pictures').iterdir()) == [
        'epoch-0002.png', 'epoch-0003.png']
    sheet = cv2.imread(str(run / 'pictures' / 'epoch-0003.png'))
    assert sheet.shape == (2 * TILE, 4 * TILE, 3)
    events = EventAccumulator(str(run))
    events.Reload()
    assert len(events.Images('validation')) == 2
    assert 'validation/miou' in events.Tags()['scalars']
