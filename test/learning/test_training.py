"""From a made-up data set to an ONNX model, through the commands; interruption and resumption."""
from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made_up import write_dataset

from instseg_ros import Segmenter
from instseg_ros.cli import main
from instseg_ros.evaluation.coco import CocoDataset
from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.data import CachedSamples, EpochSampler, TrainingCrops
from instseg_ros.learning.datasets import objects_shown
from instseg_ros.learning.training import load_checkpoint, split_images

CLASSES = ['background', 'box', 'post']


def write_config(folder, images, epochs=2, **sections):
    """Write a data set and a configuration that trains on it within seconds."""
    if not (folder / 'instances.json').exists():
        write_dataset(folder, images)
    config = {
        'data': {'images': 'images', 'annotations': 'instances.json', 'classes': CLASSES,
                 'calibration_images': 0},
        'model': {'embedding_size': 8, 'width_16': 8, 'width_8': 8, 'width_4': 8,
                  'frozen_stages': 5, 'input_size': 128},
        'augmentation': {'crop_size': 64, 'long_side_min': 96, 'long_side_max': 160},
        'optimization': {'epochs': epochs, 'batch_size': 2, 'precision': '32-true', 'workers': 0}}
    for name, section in sections.items():
        config[name].update(section)
    path = folder / 'training.yaml'
    path.write_text(yaml.safe_dump(config))
    return path


def train(config, out, *more):
    return main(['train', '--config', str(config), '--out', str(out), *more])


def test_three_images_train_and_export(tmp_path, capsys):
    config = write_config(tmp_path, images=3)
    assert train(config, tmp_path / 'run') == 0
    assert 'only 3 training images show an object' in capsys.readouterr().out
    model = tmp_path / 'model.onnx'
    checkpoint = tmp_path / 'run' / 'last.ckpt'
    assert main(['export', str(checkpoint), '--out', str(model)]) == 1  # none is held out
    assert '--no-calibration' in capsys.readouterr().err and not model.exists()
    assert main(['export', str(checkpoint), '--out', str(model), '--no-calibration']) == 0
    segmenter = Segmenter.from_onnx(model)
    assert segmenter.model_info.class_names == tuple(CLASSES)
    assert segmenter.model_info.training['epochs'] == 2
    assert str(tmp_path) not in json.dumps(dict(segmenter.model_info.training))
    result = segmenter.segment(np.zeros((50, 70, 3), np.uint8))
    assert result.semantic_ids.shape == (50, 70)


def test_another_encoder_and_stride_train_and_export_in_integers(tmp_path, capsys):
    config = write_config(tmp_path, images=4, epochs=1, data={'calibration_images': 1},
                          model={'encoder': 'resnet18', 'output_stride': 2, 'width_2': 8})
    assert train(config, tmp_path / 'run') == 0
    model, checkpoint = tmp_path / 'model.onnx', tmp_path / 'run' / 'last.ckpt'
    assert main(['export', str(checkpoint), '--out', str(model), '--no-calibration',
                 '--precision', 'int8']) == 0
    assert re.search(r'agreement with PyTorch on the 1 held-out images?: same class \d',
                     capsys.readouterr().out)
    segmenter = Segmenter.from_onnx(model, 'cpu')
    assert segmenter.model_info.output_stride == 2
    assert segmenter.model_info.training['encoder'] == 'resnet18'
    assert segmenter.model_info.training['precision'] == 'int8'
    assert segmenter.segment(np.zeros((50, 70, 3), np.uint8)).semantic_ids.shape == (50, 70)


class Interruption:
    """Ctrl-C at the n-th crop."""

    def __init__(self, monkeypatch, number):
        make = TrainingCrops.__getitem__
        seen = []

        def interrupt(crops, index):
            seen.append(index)
            if len(seen) == number:
                raise KeyboardInterrupt
            return make(crops, index)

        monkeypatch.setattr(TrainingCrops, '__getitem__', interrupt)


def losses(folder):
    with open(folder / 'metrics.csv') as file:
        rows = [row for row in csv.DictReader(file) if row['train/total']]
    return {int(row['epoch']): float(row['train/total']) for row in rows}


def test_an_interrupted_training_resumes_to_the_same_curve_and_weights(tmp_path, monkeypatch):
    config = write_config(tmp_path, images=4, epochs=3)
    assert train(config, tmp_path / 'whole') == 0
    with monkeypatch.context() as patch:
        Interruption(patch, number=7)  # in the second epoch of four crops
        assert train(config, tmp_path / 'parts') == 130
    assert train(config, tmp_path / 'parts', '--resume') == 0
    whole, parts = (losses(tmp_path / name) for name in ('whole', 'parts'))
    assert parts[2] == pytest.approx(whole[2], rel=1e-3)
    states = [load_checkpoint(tmp_path / name / 'last.ckpt')[0].state_dict()
              for name in ('whole', 'parts')]
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_one_decoder_can_go_on_alone(tmp_path, capsys):
    assert train(write_config(tmp_path, images=3), tmp_path / 'first') == 0
    checkpoint = tmp_path / 'first' / 'last.ckpt'
    config = write_config(tmp_path, images=3, model={'weights': str(checkpoint),
                                                     'trained': 'center'})
    assert train(config, tmp_path / 'second') == 0
    before, after = (load_checkpoint(tmp_path / name / 'last.ckpt')[0].state_dict()
                     for name in ('first', 'second'))
    # The moving average rounds what does not change, too.
    changed = {name.partition('.')[0] for name, tensor in after.items()
               if not torch.allclose(tensor.float(), before[name].float(), rtol=1e-5, atol=1e-6)}
    assert changed == {'center'}
    other = write_config(tmp_path, images=3, data={'classes': ['background', 'post', 'box']},
                         model={'weights': str(checkpoint)})
    assert train(other, tmp_path / 'third') == 1
    assert 'trained for the classes background, box, post' in capsys.readouterr().err


def test_an_existing_run_is_not_overwritten(tmp_path, capsys):
    config = write_config(tmp_path, images=3)
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'last.ckpt').write_bytes(b'precious')
    assert train(config, tmp_path / 'run') == 1
    assert 'go on with it (--resume)' in capsys.readouterr().err
    assert (tmp_path / 'run' / 'last.ckpt').read_bytes() == b'precious'


def test_resuming_nothing_is_an_error(tmp_path, capsys):
    assert train(write_config(tmp_path, images=3), tmp_path / 'run', '--resume') == 1
    assert 'no checkpoint to resume from' in capsys.readouterr().err


def test_a_damaged_checkpoint_is_refused(tmp_path, capsys):
    (tmp_path / 'x.ckpt').write_bytes(b'nonsense')
    assert main(['export', str(tmp_path / 'x.ckpt'), '--out', str(tmp_path / 'm.onnx')]) == 1
    assert 'not a checkpoint of "instseg train"' in capsys.readouterr().err
    assert not (tmp_path / 'm.onnx').exists()


@pytest.mark.parametrize('section, values, message', [
    ('loss', {'gama': 2}, r'unknown key "loss\.gama"; known are: .*gamma'),
    ('losses', {}, r'unknown key "losses"'),
    ('model', {'embedding_size': 1}, r'model\.embedding_size: expected .* from 2 .*got 1'),
    ('model', {'output_stride': 3}, r'model\.output_stride: expected one of 8, 4, 2, 1, got 3'),
    ('model', {'encoder': 'vgg'}, r'model\.encoder: expected one of mobilenet_v2, resnet18'),
    ('data', {'classes': ['background']}, r'data\.classes: expected the background and at least'),
    ('optimization', {'precision': '8-bit'}, r'optimization\.precision: expected one of'),
])
def test_a_wrong_configuration_is_one_clear_sentence(tmp_path, section, values, message):
    good = {'data': {'images': 'a', 'annotations': 'b', 'classes': ['background', 'box']}}
    good[section] = {**good.get(section, {}), **values}
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump(good))
    with pytest.raises(ValueError) as caught:
        TrainingConfig.from_yaml(path)
    assert str(path) in str(caught.value) and re.search(message, str(caught.value))


def test_numbers_of_crops_never_repeat_and_cover_every_image(tmp_path):
    path = write_dataset(tmp_path / 'data', 5)
    document = json.loads(path.read_text())
    document['annotations'] = [a for a in document['annotations'] if a['image_id'] < 3]
    path.write_text(json.dumps(document))
    dataset = CocoDataset(path.parent / 'images', path, CLASSES)
    assert objects_shown(dataset) == [True, True, True, False, False]
    samples = CachedSamples(dataset, range(5))
    assert samples.with_instances == [0, 1, 2] and samples.without_instances == [3, 4]
    sampler = EpochSampler(samples, empty_share=0.25, seed=0)
    numbers = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        numbers.append(list(sampler))
    assert all(len(epoch) == len(sampler) == 4 for epoch in numbers)
    assert len({number for epoch in numbers for number in epoch}) == 16
    assert all({0, 1, 2} <= {number % 5 for number in epoch} for epoch in numbers)


@given(shows=st.lists(st.booleans(), max_size=60), wanted=st.integers(0, 20),
       seed=st.integers(0, 2 ** 32))
def test_all_images_held_out_show_an_object_and_all_others_are_trained_on(shows, wanted, seed):
    training, held_out = split_images(shows, wanted, seed)
    assert all(shows[index] for index in held_out)
    assert len(held_out) == min(wanted, sum(shows) // 4)
    assert sorted(training + held_out) == list(range(len(shows)))
    assert training == sorted(training) and held_out == sorted(held_out)
    assert split_images(shows, wanted, seed) == (training, held_out)
