"""Training configurations: paths, variables, bases, and values from the command line."""
from __future__ import annotations

import pytest
import yaml
from short_trainings import train, write_config

from instseg_ros.learning.checkpoints import load_checkpoint
from instseg_ros.learning.config import TrainingConfig


@pytest.fixture
def write(tmp_path):
    def write(**data):
        path = tmp_path / 'training.yaml'
        path.write_text(yaml.safe_dump({
            'data': {'images': '${STREETS}/images', 'annotations': 'a.json', **data},
            'model': {'weights': '${STREETS}/w.safetensors'}}))
        return path
    return write


def test_variables_are_filled_in_and_other_paths_are_relative_to_the_file(write, monkeypatch):
    monkeypatch.setenv('STREETS', '/data/streets')
    path = write()
    config = TrainingConfig.from_yaml(path)
    assert config.data.images == '/data/streets/images'
    assert config.data.annotations == str(path.parent / 'a.json')
    assert config.model.weights == '/data/streets/w.safetensors'


def test_a_variable_that_is_not_set_is_named_with_its_option(write, monkeypatch):
    monkeypatch.delenv('STREETS', raising=False)
    path = write()
    with pytest.raises(ValueError, match=rf'{path}: data.images: the environment variable STREETS '
                       r'is not set, needed for \$\{STREETS\}/images'):
        TrainingConfig.from_yaml(path, {'model.weights': ''})


def test_overrides_are_relative_to_the_working_directory(write, monkeypatch, tmp_path):
    monkeypatch.delenv('STREETS', raising=False)  # no overridden path needs it
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    path = write()
    monkeypatch.chdir(elsewhere)
    config = TrainingConfig.from_yaml(path, {
        'data.images': 'mine', 'model.weights': '', 'optimization.epochs': 7})
    assert config.data.images == str(elsewhere / 'mine')
    assert config.data.annotations == str(tmp_path / 'a.json')
    assert (config.model.weights, config.optimization.epochs) == ('', 7)
    with pytest.raises(ValueError, match='unknown key "model.wings"'):
        TrainingConfig.from_yaml(path, {'data.images': 'a', 'model.weights': '',
                                        'model.wings': 2})


def test_one_teacher_or_several_are_paths_like_others(write, monkeypatch, tmp_path):
    monkeypatch.setenv('STREETS', '/data/streets')
    path = write()
    values = yaml.safe_load(path.read_text())
    several = ['../teacher.ckpt', '${STREETS}/voc.safetensors']
    for given, expected in (
            ('teacher.ckpt', (str(tmp_path / 'teacher.ckpt'),)), ('', ()),
            (several, (str(tmp_path / '../teacher.ckpt'), '/data/streets/voc.safetensors'))):
        values['model']['teacher'] = given
        path.write_text(yaml.safe_dump(values))
        config = TrainingConfig.from_yaml(path)
        assert config.model.teacher == expected
        assert TrainingConfig.from_dict(config.to_dict()) == config
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = TrainingConfig.from_yaml(path, {'model.teacher': several})
    assert config.model.teacher == (str(elsewhere / '../teacher.ckpt'),
                                    '/data/streets/voc.safetensors')


def test_a_path_that_is_no_text_is_refused(write):
    with pytest.raises(ValueError, match='data.segments: expected a path, got 5'):
        TrainingConfig.from_yaml(write(segments=5), {'data.images': 'a', 'model.weights': ''})


def test_precision_has_the_names_of_export_whatever_an_older_checkpoint_holds(write):
    def precision(value):
        return TrainingConfig.from_yaml(write(images='a'), {
            'model.weights': '', 'optimization.precision': value}).optimization.precision

    assert [precision(name) for name in ('fp32', 'bf16', '32-true', '16-mixed')] == [
        'fp32', 'bf16', 'fp32', 'fp16']
    with pytest.raises(ValueError, match='expected one of fp32, bf16, fp16, got .int8'):
        precision('int8')


def test_the_command_trains_on_the_data_that_its_arguments_name(tmp_path, capsys):
    config = write_config(tmp_path, 3, 1, data={'images': '${NOWHERE}/a', 'annotations': 'b'})
    data = ['--images', str(tmp_path / 'images'),
            '--annotations', str(tmp_path / 'instances.json')]
    out = tmp_path / 'run'
    assert train(config, out) == 1
    assert 'data.images: the environment variable NOWHERE is not set' in capsys.readouterr().err
    assert train(config, out, *data, '--set', 'model.dropout=0.25') == 0
    assert load_checkpoint(out / 'last.ckpt')[1].model.dropout == 0.25
    with pytest.raises(SystemExit):
        train(config, out, '--set', 'epochs=3')
    assert 'expected SECTION.KEY=VALUE, got epochs=3' in capsys.readouterr().err


def test_a_file_with_a_base_has_only_what_differs(write, monkeypatch, tmp_path):
    monkeypatch.delenv('STREETS', raising=False)  # no path that is replaced needs it
    base = write(crops=7, class_shares={'car': 2.0})
    inner, outer = tmp_path / 'inner' / 'inner.yaml', tmp_path / 'outer.yaml'
    inner.parent.mkdir()
    inner.write_text('base: ../training.yaml\ndata: {images: mine, class_shares: {}}\n'
                     'model: {dropout: 0.5, teacher: a.ckpt}')
    outer.write_text('base: inner/inner.yaml\nmodel: {dropout: 0.25}\nloss: {gamma: 1.0}')
    config = TrainingConfig.from_yaml(outer, {'model.weights': '', 'optimization.epochs': 3})
    assert config.data.images == str(inner.parent / 'mine')
    assert config.data.annotations == str(base.parent / 'a.json')
    assert config.data.crops == 7
    assert not config.data.class_shares
    assert config.model.teacher == (str(inner.parent / 'a.ckpt'),)
    assert (config.model.dropout, config.model.weights) == (0.25, '')
    assert (config.loss.gamma, config.optimization.epochs) == (1.0, 3)


@pytest.mark.parametrize('text, message', [
    ('base: training.yaml', 'training.yaml: base: expected another file than those with this'),
    ('base: other.yaml', 'other.yaml: base: expected another file .*, got .*training.yaml'),
    ('base: nothing.yaml', 'nothing.yaml: No such file'),
    ('base: []', r'training.yaml: base: expected a path, got \[\]'),
    ('base: [other.yaml]', r'training.yaml: base: expected a path, got \['),
    ('base: good.yaml\nmodel: 5', 'training.yaml: model: expected a section with keys, got 5'),
    ('base: good.yaml\nwings: {}', 'training.yaml: unknown .*wings'),
    ('base: good.yaml\nmodel: {wings: 2}', 'training.yaml: unknown key "model.wings"'),
])
def test_a_base_that_cannot_be_is_refused(tmp_path, text, message):
    (tmp_path / 'other.yaml').write_text('base: training.yaml')
    (tmp_path / 'good.yaml').write_text('data: {images: a, annotations: b.json}')
    (tmp_path / 'training.yaml').write_text(text)
    with pytest.raises(ValueError, match=message):
        TrainingConfig.from_yaml(tmp_path / 'training.yaml')
