"""Which checkpoint goes on as what, and how the others are refused."""
from __future__ import annotations

import dataclasses
import json
import resource
import shutil
import tempfile
from contextlib import contextmanager

import pytest
import torch
from short_trainings import curve, train, write_config

from instseg_ros.cli import main
from instseg_ros.datasets.config import DataSetConfig
from instseg_ros.learning.callbacks import BestCheckpoint, CheckpointFiles, Patience
from instseg_ros.learning.checkpoints import (
    ENTRY,
    FREE_TO_CHANGE,
    check_resumable,
    differences,
    load_checkpoint,
    write_weights,
)
from instseg_ros.learning.config import DataConfig, TrainingConfig
from instseg_ros.learning.integrity import CHECKSUM, checksum


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A folder with data, configuration and a finished training of it in `run`."""
    folder = tmp_path_factory.mktemp('finished')
    assert train(write_config(folder, 5, 1), folder / 'run') == 0
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of it, somewhere else."""
    return shutil.copytree(finished, tmp_path / 'moved')


def edit(path, change):
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    if CHECKSUM in checkpoint.get(ENTRY, {}):  # a file as another version would have written it
        checkpoint[ENTRY][CHECKSUM] = checksum(checkpoint)
    torch.save(checkpoint, path)


def test_weights_alone_are_the_same_network_but_do_not_resume(finished, tmp_path):
    source = finished / 'run' / 'last.ckpt'
    network, config, metadata = load_checkpoint(source)
    for half, tolerance in ((False, 0), (True, 1e-3)):
        small = tmp_path / f'{half}.ckpt'
        write_weights(source, small, half)
        assert small.stat().st_size < source.stat().st_size / 2
        other, *same = load_checkpoint(small)
        assert same == [config, metadata]
        for name, tensor in other.state_dict().items():
            assert tensor.dtype == network.state_dict()[name].dtype
            assert torch.allclose(tensor, network.state_dict()[name], rtol=tolerance,
                                  atol=tolerance / 10)
        with pytest.raises(ValueError, match='has no state of the optimizer'):
            check_resumable(small, config, metadata.data, 1)


def test_what_does_not_touch_the_curve_may_change(folder, capsys):
    config = write_config(folder, 5, 1, optimization={'workers': 1, 'patience': 0,
                                                      'validation_period': 3})
    assert train(config, folder / 'run', '--resume') == 0
    out = capsys.readouterr().out
    assert 'stopped after' not in out and 'next: instseg export' in out


@pytest.mark.parametrize('sections, message', [
    ({'model': {'embedding_size': 16}}, 'model.embedding_size: 8 in the checkpoint, 16 now'),
    ({'loss': {'gamma': 1.5}, 'augmentation': {'crop_size': 96}},
     'augmentation.crop_size: 64 in the checkpoint, 96 now; loss.gamma: 2 in the checkpoint, 1.5'),
    ({'optimization': {'epochs': 4}}, 'optimization.epochs: 1 in the checkpoint, 4 now'),
    ({'data': {'classes': ['background', 'post', 'box']}},
     'data.classes: background, box, post in the checkpoint, background, post, box now')])
def test_another_training_is_not_resumed_and_told_why(folder, capsys, sections, message):
    sections['optimization'] = {'epochs': 1, **sections.get('optimization', {})}
    config = write_config(folder, 5, **sections)
    before = (folder / 'run' / 'last.ckpt').read_bytes()
    assert train(config, folder / 'run', '--resume') == 1
    error = capsys.readouterr().err
    assert message in error and 'model.weights takes the path of a checkpoint' in error
    assert (folder / 'run' / 'last.ckpt').read_bytes() == before


def test_other_images_under_the_old_name_are_noticed(folder, capsys):
    path = folder / 'instances.json'
    document = json.loads(path.read_text())
    del document['annotations'][0]
    path.write_text(json.dumps(document))
    assert train(write_config(folder, 5, 1), folder / 'run', '--resume') == 1
    assert 'data.class_frequencies: ' in capsys.readouterr().err


def test_another_number_of_processes_would_be_another_training(folder, capsys):
    edit(folder / 'run' / 'last.ckpt', lambda c: c['instseg_ros'].update(processes=4))
    assert train(write_config(folder, 5, 1), folder / 'run', '--resume') == 1
    assert 'processes: 4 in the checkpoint, 1 now' in capsys.readouterr().err


def as_of_format_1(checkpoint):
    del checkpoint['instseg_ros']
    data = checkpoint['hyper_parameters']['config']['data']
    data['calibration_images'] = data.pop('validation_images')


def test_an_older_format_can_be_used_but_not_resumed(folder, capsys):
    path = folder / 'run' / 'last.ckpt'
    edit(path, as_of_format_1)
    assert load_checkpoint(path)[2].epochs == 1
    assert train(write_config(folder, 5, 1), folder / 'run', '--resume') == 1
    assert 'of format 1, this version resumes format 3' in capsys.readouterr().err


def test_a_network_that_was_put_together_has_no_epochs(folder):
    path = folder / 'run' / 'last.ckpt'
    edit(path, lambda c: c.update(epoch=-1, global_step=0))
    assert load_checkpoint(path)[2].epochs == 0


@pytest.mark.parametrize('change, message', [
    (lambda c: c['instseg_ros'].update(format=99), 'of format 99, this version reads up to 3'),
    (lambda c: c['hyper_parameters']['config']['model'].update(wings=2),
     r'does not understand (unknown key "model.wings"'),
    (lambda c: c['state_dict'].pop('network.mean'), 'holds another network')])
def test_a_checkpoint_of_another_version_is_refused(folder, capsys, change, message):
    path = folder / 'run' / 'last.ckpt'
    edit(path, change)
    assert main(['export', str(path), '--out', str(folder / 'model.onnx')]) == 1
    assert message in capsys.readouterr().err


def test_initial_weights_of_another_network_are_refused_in_words(folder, capsys):
    config = write_config(folder, 5, 1, model={'embedding_size': 16,
                                               'weights': str(folder / 'run' / 'last.ckpt')})
    assert train(config, folder / 'second') == 1
    assert 'another network: model.embedding_size: 8 in the checkpoint' in capsys.readouterr().err


@contextmanager
def files_of_at_most(size):
    """Let the system refuse to write more into a file, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    # The system's temporary folder may be on a smaller disk than the checkpoints.
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'missing'))
    path = tmp_path / 'run' / 'last.ckpt'
    CheckpointFiles().save_checkpoint({'epoch': 0, 'x': torch.ones(3)}, path)
    with files_of_at_most(10_000), pytest.raises(OSError, match='last.ckpt'):
        CheckpointFiles().save_checkpoint({'epoch': 1, 'x': torch.ones(10_000)}, path)
    assert torch.load(path, weights_only=True)['epoch'] == 0
    assert list(path.parent.iterdir()) == [path]


def test_weights_that_cannot_be_written_leave_their_source(folder):
    path = folder / 'run' / 'last.ckpt'
    before = path.read_bytes()
    with files_of_at_most(10_000), pytest.raises((OSError, RuntimeError)):
        write_weights(path, path)
    assert path.read_bytes() == before


def test_a_training_resumes_beside_half_a_row_of_its_curves(folder):
    path = folder / 'run' / 'metrics.csv'
    before = path.read_text()
    path.write_text(before + '0,')
    assert train(write_config(folder, 5, 1), folder / 'run', '--resume') == 0
    assert path.read_text() == before
    path.write_text(before.replace('epoch,step,', 'epo\n'))
    assert train(write_config(folder, 5, 1), folder / 'run', '--resume') == 0


def test_an_error_before_the_first_step_is_the_message(folder, capsys):
    teacher = folder / 'run' / 'last.ckpt'
    edit(teacher, lambda c: c['hyper_parameters']['config']['data'].update(
        classes=['background', 'sheep', 'goat']))
    config = write_config(folder, 5, 1, model={'teacher': str(teacher)},
                          loss={'distillation_weight': 1.0})
    assert train(config, folder / 'second') == 1
    assert (f'model.teacher: {teacher}: expected some of the classes background, box, post'
            in capsys.readouterr().err)


def test_a_training_with_two_teachers(folder):
    teacher = str(folder / 'run' / 'last.ckpt')
    config = write_config(folder, 5, 1, model={'teacher': [teacher, teacher]},
                          loss={'distillation_weight': 1.0})
    assert train(config, folder / 'second') == 0
    assert curve(folder / 'second', 'train/distillation')[0] > 0
    assert load_checkpoint(folder / 'second' / 'last.ckpt')[1].model.teacher == (teacher, teacher)


def test_every_option_that_may_change_exists():
    data = DataConfig(images='a', annotations='b', classes=('background', 'box'))
    known = {f'{section}.{name}' for section, options in TrainingConfig(data).to_dict().items()
             for name in options}
    known |= {f'data.{part}.{name}' for part in ('sets', 'validation')
              for name in DataSetConfig.__dataclass_fields__}
    assert not FREE_TO_CHANGE - known


def test_the_data_sets_of_a_mixture_may_move_but_not_change_their_shares():
    def mixture(folder, share):
        return {'data': DataConfig(
            sets=[{'images': f'{folder}/{name}', 'annotations': f'{folder}/{name}.json',
                   'share': share} for name in 'ab'], classes=('background', 'box'),
            validation={'images': f'{folder}/v', 'annotations': f'{folder}/v.json'})}

    def found(*mixtures):
        return differences(*({'data': dataclasses.asdict(mixture['data'])}
                             for mixture in mixtures))

    assert found(mixture('here', 1.0), mixture('there', 1.0)) == []
    assert found(mixture('here', 1.0), mixture('here', 0.5))[0] == (
        'data.sets[0].share: 1 in the checkpoint, 0.5 now')


def test_a_resumed_training_has_the_patience_of_its_configuration():
    old, new = (Patience('loss', patience=value) for value in (2, 7))
    new.load_state_dict({**old.state_dict(), 'wait_count': 1})
    assert (new.patience, new.wait_count) == (7, 1)


def test_the_best_is_remembered_in_a_moved_folder(tmp_path):
    there, here = (BestCheckpoint(tmp_path / name, monitor='loss') for name in ('there', 'here'))
    there.best_model_score = torch.tensor(0.5)
    here.load_state_dict(there.state_dict())
    assert here.best_model_score == 0.5
