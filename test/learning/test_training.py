"""From a made-up data set to an ONNX model, through the commands; interruption and resumption."""
from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from made_up import write_dataset
from safetensors.torch import load_file, save_file
from short_trainings import CLASSES, curve, train, write_config

from instseg_ros import Segmenter
from instseg_ros.cli import main
from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.learning.checkpoints import load_checkpoint
from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.data_module import TrainingData
from instseg_ros.learning.encoders import build_encoder
from instseg_ros.learning.samples import CachedSamples
from instseg_ros.learning.sampling import EpochSampler, EveryImage, TrainingCrops


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
    config = write_config(tmp_path, images=4, epochs=1, data={'validation_images': 1},
                          model={'encoder': 'resnet18', 'output_stride': 2, 'width_2': 8},
                          loss={'delta_b': 2.4})
    assert train(config, tmp_path / 'run') == 0
    model, checkpoint = tmp_path / 'model.onnx', tmp_path / 'run' / 'last.ckpt'
    assert main(['export', str(checkpoint), '--out', str(model), '--no-calibration',
                 '--precision', 'int8']) == 0
    assert re.search(r'agreement with PyTorch on 1 images: same class \d',
                     capsys.readouterr().out)
    segmenter = Segmenter.from_onnx(model, 'cpu')
    assert segmenter.model_info.output_stride == 2
    assert segmenter.model_info.duplicate_distance == pytest.approx(1.6)
    assert segmenter.model_info.training['encoder'] == 'resnet18'
    assert segmenter.model_info.training['precision'] == 'int8'
    assert segmenter.segment(np.zeros((50, 70, 3), np.uint8)).semantic_ids.shape == (50, 70)


def test_ten_steps_are_enough_for_a_schedule(tmp_path):
    # A tenth of them is one step, and PyTorch's schedule takes no warm-up of a single step.
    assert train(write_config(tmp_path, images=4, epochs=5), tmp_path / 'run') == 0
    assert load_checkpoint(tmp_path / 'run' / 'last.ckpt')[2].steps == 10


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


def test_an_interrupted_training_resumes_to_the_same_curve_and_weights(tmp_path, monkeypatch):
    config = write_config(tmp_path, images=4, epochs=3)
    assert train(config, tmp_path / 'whole') == 0
    with monkeypatch.context() as patch:
        Interruption(patch, number=7)  # in the second epoch of four crops
        assert train(config, tmp_path / 'parts') == 130
    assert train(config, tmp_path / 'parts', '--resume') == 0
    whole, parts = (curve(tmp_path / name, 'train/total') for name in ('whole', 'parts'))
    assert sorted(parts) == [0, 1, 2] and parts == pytest.approx(whole, rel=1e-3)
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


def test_instances_go_on_from_between_a_checkpoint_and_its_initial_weights(tmp_path, capsys):
    initial = tmp_path / 'initial.safetensors'
    torch.manual_seed(0)
    save_file(build_encoder('mobilenet_v2').state_dict(), str(initial))
    assert train(write_config(tmp_path, 3, model={'weights': str(initial)}), tmp_path / 'one') == 0
    checkpoint = tmp_path / 'one' / 'last.ckpt'
    blended = {'weights': str(checkpoint), 'blend_with': str(initial), 'blend': 0.5,
               'trained': 'instances'}
    assert train(write_config(tmp_path, 3, model=blended), tmp_path / 'two') == 0
    assert f'50% of encoder and classifier from {initial}' in capsys.readouterr().out
    one, two = (load_checkpoint(tmp_path / name / 'last.ckpt')[0].state_dict()
                for name in ('one', 'two'))
    start, name = load_file(initial), 'blocks.16.project.weight'
    torch.testing.assert_close(two[f'encoder.{name}'],
                               (one[f'encoder.{name}'] + start[name]) / 2, rtol=1e-4, atol=1e-5)
    assert all(not torch.allclose(one[key], two[key]) for key in (
        'center.head.3.weight', 'embedding.head.3.weight'))
    alone = write_config(tmp_path, 3, model={'blend_with': str(initial)})
    assert train(alone, tmp_path / 'three') == 1
    assert 'model.blend_with: expected a checkpoint' in capsys.readouterr().err


def test_weights_that_are_no_numbers_end_a_training_before_its_checkpoint(tmp_path, capsys):
    weights = tmp_path / 'initial.safetensors'
    save_file({name: torch.full_like(tensor, torch.nan)
               for name, tensor in build_encoder('mobilenet_v2').state_dict().items()}, weights)
    config = write_config(tmp_path, 3, model={'weights': str(weights)})
    assert train(config, tmp_path / 'run') == 1
    assert 'after epoch 1 some weights are infinite or no numbers' in capsys.readouterr().err
    assert not (tmp_path / 'run' / 'last.ckpt').exists()


def test_training_stops_early_and_keeps_the_best(tmp_path, capsys):
    # Only the center decoder learns: the classes and so their mean IoU stay as they are.
    config = write_config(tmp_path, 8, 9, data={'validation_images': 2},
                          model={'trained': 'center'}, optimization={
                              'patience': 2, 'monitor': 'miou', 'validation_period': 1})
    assert train(config, tmp_path / 'run') == 0
    out = capsys.readouterr().out
    assert 'stopped after 3 of 9 epochs: validation/miou has not improved' in out
    assert f'next: instseg export {tmp_path / "run" / "best.ckpt"}' in out
    epochs = {name: load_checkpoint(tmp_path / 'run' / f'{name}.ckpt')[2].epochs
              for name in ('best', 'last')}
    assert epochs == {'best': 1, 'last': 3}


def test_stopping_early_without_anything_to_watch_is_an_error(tmp_path, capsys):
    assert train(write_config(tmp_path, 3, optimization={'patience': 5}), tmp_path / 'run') == 1
    assert 'optimization.patience: expected validation images' in capsys.readouterr().err


TWO_PROCESSES = """\
import os, pathlib, sys
from instseg_ros.cli import main
from instseg_ros.learning.sampling import TrainingCrops

make = TrainingCrops.__getitem__

def note(crops, number):
    path = pathlib.Path(__file__).with_name('crops' + os.environ.get('LOCAL_RANK', '0'))
    with open(path, 'a') as file:
        print(number, file=file)
    return make(crops, number)

TrainingCrops.__getitem__ = note
if __name__ == '__main__':
    sys.exit(main())
"""


def test_two_processes_share_the_crops_and_agree(tmp_path):
    config = write_config(tmp_path, 10, data={'validation_images': 3},
                          optimization={'batch_size': 2})
    script = tmp_path / 'two.py'
    script.write_text(TWO_PROCESSES)
    command = [sys.executable, str(script), 'train', '--config', str(config), '--out',
               str(tmp_path / 'run'), '--accelerator', 'cpu', '--devices', '2']
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count('next: instseg export') == 1
    shares = [(tmp_path / f'crops{rank}').read_text().split() for rank in (0, 1)]
    # Two of ten are held out; of the eight, each has two steps of two in each of two epochs.
    assert [len(share) for share in shares] == [8, 8]
    assert len({*shares[0], *shares[1]}) == 16
    assert load_checkpoint(tmp_path / 'run' / 'last.ckpt')[2].steps == 4
    assert train(config, tmp_path / 'run', '--resume') == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_gpu_that_is_not_there_is_an_error(tmp_path, capsys):
    config = write_config(tmp_path, images=3)
    assert train(config, tmp_path / 'run', '--accelerator', 'gpu') == 1
    assert 'accelerator gpu, devices 1: ' in capsys.readouterr().err


def test_an_existing_run_is_not_overwritten(tmp_path, capsys):
    config = write_config(tmp_path, images=3)
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'last.ckpt').write_bytes(b'precious')
    assert train(config, tmp_path / 'run') == 1
    assert 'go on with it (--resume)' in capsys.readouterr().err
    assert (tmp_path / 'run' / 'last.ckpt').read_bytes() == b'precious'


def test_a_file_in_the_place_of_the_output_folder_is_an_error(tmp_path, capsys):
    (tmp_path / 'run').write_text('precious')
    assert train(write_config(tmp_path, images=3), tmp_path / 'run') == 1
    assert 'run: expected a folder for the results, got a file' in capsys.readouterr().err


def test_a_damaged_image_is_one_clear_sentence_also_from_a_worker(tmp_path, capsys):
    config = write_config(tmp_path, 3, data={'cache_gb': 0.0}, optimization={'workers': 1})
    image = min((tmp_path / 'images').iterdir())
    image.write_bytes(image.read_bytes()[:100])
    assert train(config, tmp_path / 'run') == 1
    assert re.search(rf'^instseg train: error: {re.escape(str(image))}: expected an image',
                     capsys.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize('images, held_out, message', [
    (3, 0, 'an epoch has 3 crops, expected at least one for each of the 4 processes'),
    (16, 3, 'there are 3 validation images, expected at least one for each of the 4 processes')])
def test_every_process_needs_its_share(tmp_path, images, held_out, message):
    path = write_config(tmp_path, images, data={'validation_images': held_out})
    data = TrainingData(TrainingConfig.from_yaml(path))
    data.check_shares(processes=held_out or images)
    with pytest.raises(ValueError, match=message):
        data.check_shares(processes=4)


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
    with pytest.raises(ValueError, match=f'{re.escape(str(path))}: .*{message}'):
        TrainingConfig.from_yaml(path)


def test_numbers_of_crops_never_repeat_and_cover_every_image(tmp_path):
    path = write_dataset(tmp_path / 'data', 5)
    document = json.loads(path.read_text())
    document['annotations'] = [a for a in document['annotations'] if a['image_id'] < 3]
    path.write_text(json.dumps(document))
    dataset = CocoDataset(path.parent / 'images', path, CLASSES)
    assert [dataset.shows_object(k) for k in range(5)] == [True, True, True, False, False]
    samples = CachedSamples(dataset, range(5))
    assert samples.with_instances == [0, 1, 2] and samples.without_instances == [3, 4]
    sampler = EpochSampler(EveryImage(samples, empty_share=0.25), seed=0)
    numbers = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        numbers.append(list(sampler))
    assert all(len(epoch) == len(sampler) == 4 for epoch in numbers)
    assert len({number for epoch in numbers for number in epoch}) == 16
    assert all({0, 1, 2} <= {number % 5 for number in epoch} for epoch in numbers)
