"""Training configurations and checkpoints of any content: used, or refused in one sentence."""
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.learning.checkpoints import FORMAT, load_checkpoint
from instseg_ros.learning.config import TrainingConfig

DATA = {'images': 'a', 'annotations': 'b.json', 'classes': ['background', 'car']}
CONFIG = TrainingConfig.from_dict({'data': DATA}).to_dict()


def config_with(folder, text):
    path = folder / 'training.yaml'
    path.write_text('data: {images: a, annotations: b.json}\n' + text)
    return TrainingConfig.from_yaml(path)


@pytest.mark.parametrize('text, message', [
    ('augmentation: {paste_max: .inf}', 'augmentation.paste_max: expected a value of type int'),
    ('model: {weights: 5.5}', 'model.weights: expected a path, got 5.5'),
    ('model: {weights: !!binary aGk=}', 'model.weights: expected text, .* got a bytes'),
    ('loss: {gamma: .inf}', 'loss.gamma: expected a finite number'),
    ('loss: {gamma: .nan}', 'loss.gamma: expected a value of at least 0, got nan'),
    ('optimization: {epochs: 99999999999999999999}', 'optimization.epochs: expected a finite'),
    ('model: &a {encoder: *a}', 'expected at most 50 levels'),
    ('model: []', r'model: expected a section with keys, got \[\]'),
    ('model: {encoder: []}', 'model.encoder: expected one of'),
    ('model: {teacher: {}}', 'model.teacher: expected a path or a list of paths, got {}'),
    ('model: {teacher: [a.ckpt, 5]}', r'model.teacher\[1\]: expected a path, got 5'),
    ('model: {teacher: ["", ""]}\nloss: {distillation_weight: 1.0}',
     'model.teacher: expected a network, .* got nothing'),
    ('model: {weights: [a.ckpt]}', 'model.weights: expected a value of type str'),
    ('loss: {assignment_weight: 1.0}', 'model.assignment_width: expected channels'),
    ('model: {assignment_width: 48}', 'model.assignment_width: only for the encoders'),
    ('model: {encoder: nanodet_plus_m, assignment_width: 48, trained: assignment}',
     'loss.assignment_weight: expected more than 0, as model.trained is "assignment", got 0'),
    ('model: {encoder: nanodet_plus_m, weights: a.ckpt, blend_with: b.pth}',
     'model.blend_with: only for other encoders than those of a detector .* got nanodet_plus_m'),
    ('model: {encoder: nanodet_plus_m}\nloss: {consistency_weight: 1.0}',
     "model.weights: expected a detector's weights .* got nothing"),
    ('model: {encoder: nanodet_plus_m, weights: a.onnx}\nloss: {consistency_weight: 1.0}',
     "model.weights: expected a detector's weights or a checkpoint .*, got .*a.onnx"),
    ('optimization: {seed: 4294967296}', 'optimization.seed: expected .*, got 4294967296'),
    ('5: 6', 'expected text as a key'),
    ('loss: !unknown {}', 'not valid YAML'),
])
def test_values_of_other_kinds_are_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=f'training.yaml: .*{message}'):
        config_with(tmp_path, text)


@pytest.mark.parametrize('values, message', [
    ({'classes': ['background', False]}, 'data.classes: expected a list of names'),
    ({'classes': ['background', 5]}, 'write numbers, yes and no in quotes'),
    ({'class_map': {'dog': ['car']}}, 'data.class_map.dog: expected the name of a class'),
    ({'select': 5}, 'data.select: expected a value of type str'),
    ({'class_shares': {'car': float('inf')}}, 'class_shares.car: expected a number from 0'),
])
def test_lists_and_mappings_of_names_hold_names(values, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig.from_dict({'data': {**DATA, **values}})


def checkpoint(**changes):
    entries = {'epoch': 0, 'global_step': 1, 'state_dict': {'network.x': torch.zeros(1)},
               'hyper_parameters': {'config': CONFIG},
               'instseg_ros': {'format': FORMAT, 'processes': 1}, **changes}
    return {name: value for name, value in entries.items() if value != 'absent'}


@pytest.mark.parametrize('content, message', [
    ([], r'\(expected a dictionary, got a list\)'),
    (checkpoint(state_dict='absent'), r'expected weights .* as "state_dict", got NoneType'),
    (checkpoint(state_dict={'network.x': 5}), 'expected weights by their names as "state_dict"'),
    (checkpoint(epoch='absent'), 'expected a number as "epoch", got None'),
    (checkpoint(epoch='three'), """expected a number as "epoch", got 'three'"""),
    (checkpoint(global_step=-2), 'expected a number as "global_step", got -2'),
    (checkpoint(hyper_parameters='absent'), 'it has no configuration'),
    (checkpoint(hyper_parameters={}), 'it has no configuration'),
    (checkpoint(hyper_parameters={'config': {'data': 5}}), 'it has no configuration'),
    (checkpoint(hyper_parameters={'config': {'data': {}}}), 'made with a configuration'),
    (checkpoint(instseg_ros=5), 'its entry "instseg_ros"'),
    (checkpoint(instseg_ros={}), 'its entry "instseg_ros"'),
    (checkpoint(instseg_ros={'format': 'x'}), 'its entry "instseg_ros"'),
    (checkpoint(instseg_ros={'format': FORMAT, 'data': {}}), 'its entry "instseg_ros"'),
    (checkpoint(), 'holds another network'),
    (checkpoint(state_dict={'network.x': torch.zeros(2).to_sparse()},
                instseg_ros={'format': FORMAT, 'processes': 1, 'sha256': 'x'}),
     'not a checkpoint of "instseg train"'),
    (checkpoint(hyper_parameters={'config': {**CONFIG, 'data': {**DATA, 'stuff': ['car']},
                                             'model': {'encoder': 'nanodet_plus_m'}}}),
     'data.stuff: expected at least one other class'),
])
def test_a_checkpoint_that_lacks_something_is_named_with_what(tmp_path, content, message):
    path = tmp_path / 'last.ckpt'
    torch.save(content, path)
    with pytest.raises(ValueError, match=f'last.ckpt: .*{message}'):
        load_checkpoint(path)


def test_what_is_no_file_is_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match='expected a checkpoint, got a folder'):
        load_checkpoint(tmp_path)


ODD = st.sampled_from([None, True, -1, 0, 5.5, 10 ** 30, float('inf'), float('nan'), '', 'x', [],
                       [1], {}, {'a': 1}, [None], [['a', 'b']]])


@settings(max_examples=300)
@given(data=st.data())
def test_any_value_of_any_key_is_used_or_refused(data):
    section = data.draw(st.sampled_from(sorted(CONFIG)))
    key = data.draw(st.sampled_from(sorted(CONFIG[section])))
    values = {**CONFIG, section: {**CONFIG[section], key: data.draw(ODD)}}
    with suppress(ValueError):
        TrainingConfig.from_dict(values)
