"""The prepared run on a machine with an accelerator, here on the CPU with a tiny training."""
from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from label_files import write_label_images
from short_trainings import CLASSES, write_config

from instseg_ros.datasets.config import DataSetConfig
from instseg_ros.datasets.opening import open_dataset, open_training_data
from instseg_ros.learning.config import TrainingConfig

SCRIPTS = Path(__file__).resolve().parents[2] / 'scripts'


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config(tmp_path):
    """Return a configuration of two data sets, with a third one for validation."""
    path = write_config(tmp_path, 6, epochs=1, model={'encoder': 'resnet18'})  # exports quickly
    values = yaml.safe_load(path.read_text())
    (tmp_path / 'stuff').mkdir()
    photographs, labels, index = write_label_images(tmp_path / 'stuff')
    own = {key: values['data'].pop(key) for key in ('images', 'annotations')}
    del values['data']['validation_images']
    values['data'].update(
        classes=[*CLASSES, 'road'], stuff=['road'], crops=4, validation={**own, 'name': 'held'},
        sets=[{**own, 'name': 'boxes'},
              {'name': 'streets', 'format': 'label_images', 'images': str(photographs),
               'segments': str(labels), 'annotations': str(index),
               'class_map': {'street': 'road'}}])
    path.write_text(yaml.safe_dump(values))
    return path


def test_an_archive_holds_the_training_in_small(config, tmp_path):
    archive = tmp_path / 'packed.tar'
    load('pack_training').main(['--config', str(config), '--out', str(archive), '--long-side',
                                '64', '--limit', 'boxes=3', '--validation-long-side', '128'])
    shutil.unpack_archive(archive, tmp_path / 'packed')
    packed = TrainingConfig.from_yaml(tmp_path / 'packed' / 'training.yaml')
    whole = TrainingConfig.from_yaml(config)
    assert packed.augmentation == whole.augmentation and packed.data.crops == 4
    dataset, data = open_training_data(packed.data)
    assert len(dataset) == 4 and data.classes == whole.data.classes
    original = open_dataset(whole.data.sets[0], data.classes, data.thing_ids)
    small, large = dataset.load_label_maps(0), original.load_label_maps(0)
    assert small[0].shape == (48, 64) and large[0].shape == (96, 128)
    for ids, whole_ids in zip(small, large):
        assert (ids == whole_ids[::2, ::2]).mean() > 0.95
        assert set(np.unique(ids)) == set(np.unique(whole_ids))
    assert dataset.load_image(0).shape == (48, 64, 3)
    assert [dataset.candidates(k) for k in (0, 3)] == [(0, 3), (0, 1, 2)]
    validation = open_dataset(packed.data.validation, data.classes, data.thing_ids)
    assert len(validation) == 6 and validation.load_image(0).shape == (96, 128, 3)


def test_an_archive_holds_every_teacher(config, tmp_path):
    values = yaml.safe_load(config.read_text())
    paths = [tmp_path / name / 'last.ckpt' for name in ('first', 'second')]
    for path in paths:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    values['model']['teacher'] = list(map(str, paths))
    config.write_text(yaml.safe_dump(values))
    load('pack_training').main(['--config', str(config), '--out', str(tmp_path / 'packed.tar')])
    shutil.unpack_archive(tmp_path / 'packed.tar', tmp_path / 'packed')
    packed = TrainingConfig.from_yaml(tmp_path / 'packed' / 'training.yaml').model
    assert [Path(path).read_text() for path in packed.teacher] == ['first', 'second']
    assert packed.weights == ''


def test_an_unknown_data_set_is_named(config, tmp_path, capsys):
    with pytest.raises(SystemExit):
        load('pack_training').main(['--config', str(config), '--out', str(tmp_path / 'x.tar'),
                                    '--limit', 'cars=3'])
    assert '--limit: no data set is called cars' in capsys.readouterr().err
    assert isinstance(TrainingConfig.from_yaml(config).data.sets[0], DataSetConfig)


def test_everything_runs_from_an_archive_alone(config, tmp_path):
    archive, out = tmp_path / 'packed.tar', tmp_path / 'out'
    load('pack_training').main(['--config', str(config), '--out', str(archive)])
    load('accelerator_run').main([
        str(archive), '--out', str(out), '--seconds', '1500', '--size', '64x96', '--rounds', '1',
        '--precision', 'fp32', '--no-calibration', '--set', 'optimization.epochs=2'])
    summary = json.loads((out / 'summary.json').read_text())
    results = {name: step['result'] for name, step in summary['steps'].items()}
    assert results == dict.fromkeys(['train', 'keep_weights', 'export_fp32', 'evaluate',
                                     'time_torch', 'batching_cpu_fp32',
                                     'time_64x96_cpu_fp32'], 0), (
        out / 'log.txt').read_text()[-3000:]
    assert summary['evaluation']['images'] == 6
    assert {item['batch'] for item in summary['torch_times']['times']} == {1, 4}
    assert summary['time_64x96_cpu_fp32']['model'][0]['size'] == [64, 96]
    assert [item['batch'] for item in summary['batching_cpu_fp32']['batches']] == [1, 2, 4]
    assert set(summary['providers_not_available']) <= {'cuda', 'tensorrt'}
    for name in ('weights.ckpt', 'model_fp32.onnx', 'metrics.csv', 'log.txt'):
        assert (out / name).stat().st_size > 0


def test_models_are_timed_without_a_training(tiny_model, tmp_path):
    load('accelerator_run').main(['--model', str(tiny_model), '--out', str(tmp_path / 'out'),
                                  '--size', '64x96', '--rounds', '1'])
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    name = f'cpu_{tiny_model.stem}'
    assert summary[f'time_64x96_{name}']['model'][0]['network_size'] == [64, 96]
    assert [item['batch'] for item in summary[f'batching_{name}']['batches']] == [1, 2, 4]


@pytest.mark.parametrize('arguments', [[], ['street.tar', '--model', 'street.onnx']])
def test_an_archive_and_models_exclude_each_other(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit):
        load('accelerator_run').main([*arguments, '--out', str(tmp_path / 'out')])
    assert 'expected either an archive or --model' in capsys.readouterr().err


def test_a_step_that_takes_too_long_is_stopped_and_the_next_one_runs(tmp_path):
    run = load('accelerator_run').Run(tmp_path, 30, {})
    assert not run.step('slow', ['-c', 'import time; time.sleep(60)'], share=0.03)
    assert not run.step('failing', ['-c', 'raise SystemExit(3)'])
    assert run.step('good', ['-c', 'print(12)'])
    steps = json.loads((tmp_path / 'summary.json').read_text())['steps']
    assert [step['result'] for step in steps.values()] == ['stopped after 1 s', 3, 0]
    assert '12' in (tmp_path / 'log.txt').read_text()
