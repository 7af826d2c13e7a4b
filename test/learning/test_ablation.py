"""The table of variations: what is trained, what is shared, what is not done twice.

The commands are replaced by ones that only write a file where the real ones would.
"""
from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from instseg_ros.cli import make_parser
from instseg_ros.learning.config import TrainingConfig

ROOT = Path(__file__).resolve().parents[2]
VARIATIONS = {'base': {}, 'last': {'weights': 'last'}, 'nearest': {'refinement.method': 'nearest'},
              'no paste': {'augmentation.paste_probability': 0}}


def load_tool():
    spec = importlib.util.spec_from_file_location('ablation', ROOT / 'benchmarks' / 'ablation.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Bench:
    """The tool on a made-up configuration, with commands that only write files."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.monkeypatch, self.tool = folder, monkeypatch, load_tool()
        self.commands, self.failing = [], set()
        self.write(variations=VARIATIONS)
        (folder / 'base.yaml').write_text(yaml.safe_dump({
            'data': {'images': 'a', 'annotations': 'b', 'classes': ['background', 'box']}}))
        monkeypatch.setattr(subprocess, 'run', self.run)

    def write(self, variations):
        (self.folder / 'variations.yaml').write_text(yaml.safe_dump(variations, sort_keys=False))

    def run(self, command, check):
        arguments = make_parser(command[3]).parse_args(command[3:])
        self.commands.append(arguments)
        if arguments.command in self.failing:
            raise subprocess.CalledProcessError(1, command)
        if arguments.command == 'train':
            config = TrainingConfig.from_yaml(arguments.config)
            torch.save({'state_dict': {}, 'current_model_state': {}}, arguments.out / 'last.ckpt')
            assert config.data.classes == ('background', 'box')
        elif arguments.command == 'export':
            arguments.out.write_bytes(b'model')
        else:
            seed = int(arguments.model.parent.name.removeprefix('seed'))
            arguments.json.write_text(json.dumps({
                'semantic': {'miou': 0.5 + 0.1 * seed}, 'instance': {'ap': None, 'ap50': 0.25},
                'panoptic': {'pq': 0.3, 'pq_things': 0.2},
                'boundary': {'panoptic': {'f': 0.4}}}))

    def __call__(self, *more):
        """Call the tool and return its exit code and the names of the commands it ran."""
        self.commands.clear()
        self.monkeypatch.setattr(sys, 'argv', [
            'ablation.py', '--config', str(self.folder / 'base.yaml'),
            '--variations', str(self.folder / 'variations.yaml'),
            '--images', 'val', '--annotations', 'val.json',
            '--out', str(self.folder / 'out'), *more])
        code = self.tool.main()
        return code, [arguments.command for arguments in self.commands]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


def test_variations_share_trainings_and_finished_work_is_not_done_again(bench):
    code, commands = bench('--seeds', '1', '2')
    assert code == 0
    assert [commands.count(name) for name in ('train', 'export', 'evaluate')] == [4, 6, 8]
    assert {vars(arguments)['refinement.method'] for arguments in bench.commands
            if arguments.command == 'evaluate'} == {'slic', 'nearest'}
    assert bench('--seeds', '1', '2') == (0, [])
    assert bench('--seeds', '3', '--only', 'base') == (0, ['train', 'export', 'evaluate'])


def test_the_table_has_mean_and_spread_of_the_seeds(bench):
    bench('--seeds', '1', '2', '--only', 'base', 'nearest')
    lines = (bench.folder / 'out' / 'table.md').read_text().splitlines()
    assert lines[2].split(' | ')[:5] == ['| base', '2', '0.650 ± 0.071', '-', '0.250 ± 0.000']
    figures = json.loads((bench.folder / 'out' / 'table.json').read_text())
    assert figures['nearest']['seeds'] == [1, 2]
    assert figures['nearest']['mIoU'] == pytest.approx([0.6, 0.7])


def test_an_interrupted_training_goes_on_and_a_failed_variation_stops_no_other(bench, capsys):
    folder = bench.folder / 'out' / 'base' / 'seed1' / 'unfinished training'
    folder.mkdir(parents=True)
    (folder / 'last.ckpt').write_bytes(b'')
    bench.failing = {'evaluate'}
    code, commands = bench()
    assert code == 1 and commands.count('evaluate') == 4
    assert bench.commands[0].resume
    assert 'no paste, seed 1: exit code 1 of' in capsys.readouterr().err
    bench.failing = set()
    assert bench() == (0, ['evaluate'] * 4)


def test_results_of_another_configuration_are_not_mixed_in(bench):
    bench()
    with pytest.raises(SystemExit, match='choose another folder'):
        bench('--set', 'optimization.epochs=3')


@pytest.mark.parametrize('options, message', [
    ({'augmentation.paste': 0}, 'variation "x": unknown key "augmentation.paste"'),
    ({'weights': 'best'}, "weights: expected one of average, last, initial, got 'best'"),
])
def test_a_wrong_variation_is_refused_before_the_first_training(bench, options, message):
    bench.write({'base': {}, 'x': options})
    with pytest.raises(SystemExit, match=message):
        bench()
    assert not bench.commands


def test_the_variations_of_the_repository_are_valid(monkeypatch):
    for name in ('INSTSEG_DATA', 'INSTSEG_WEIGHTS'):
        monkeypatch.setenv(name, '/data')
    tool = load_tool()
    base = TrainingConfig.from_yaml(ROOT / 'config' / 'training' / 'street.yaml').to_dict()
    assert 'base' in tool.read_variations(ROOT / 'benchmarks' / 'ablation.yaml', base)
