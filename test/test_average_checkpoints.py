"""Averaged weights are those of a network that lies between trainings."""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from short_trainings import write_config

from instseg_ros.learning.checkpoints import load_checkpoint
from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.module import TrainingModule

SCRIPT = Path(__file__).resolve().parents[1] / 'scripts' / 'average_checkpoints.py'


def write_checkpoint(folder, seed, **model):
    """Write a checkpoint of an untrained network."""
    folder.mkdir(exist_ok=True)
    config = TrainingConfig.from_yaml(write_config(folder, 2, model={'frozen_stages': 0, **model}))
    torch.manual_seed(seed)
    path = folder / f'{seed}.ckpt'
    torch.save({'state_dict': TrainingModule(config).state_dict(),
                'epoch': seed, 'global_step': 10 * seed,
                'hyper_parameters': {'config': config.to_dict()}}, path)
    return path


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """Checkpoints of two networks of one form."""
    folder = tmp_path_factory.mktemp('checkpoints')
    return [write_checkpoint(folder, seed) for seed in (1, 2)]


def average(*arguments):
    """Run the script."""
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True,
                          text=True)


@pytest.mark.parametrize('more, first', [([], 0.5), (['--shares', 0.75, 0.25], 0.75),
                                         (['--shares', 1, 0], 1.0)])
def test_each_weight_is_the_mean_by_the_shares(checkpoints, tmp_path, more, first):
    run = average(*checkpoints, *more, '--out', tmp_path / 'new' / 'mean.ckpt')
    assert run.returncode == 0, run.stderr
    (a, _), (b, _), (mean, metadata) = (
        (network.state_dict(), metadata) for network, _, metadata in map(
            load_checkpoint, (*checkpoints, tmp_path / 'new' / 'mean.ckpt')))
    assert (metadata.epochs, metadata.steps) == (3, 20)
    assert any(not torch.allclose(a[name], b[name]) for name in a)
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, first * a[name] + (1 - first) * b[name])


@pytest.mark.parametrize('shares', [['0.5'], ['0.5', '0.6'], ['0.2', '0.3', '0.5']])
def test_shares_that_are_none_are_refused(checkpoints, tmp_path, shares):
    run = average(*checkpoints, '--shares', *shares, '--out', tmp_path / 'mean.ckpt')
    assert run.returncode == 2 and not (tmp_path / 'mean.ckpt').exists()
    assert f'expected 2 numbers with a sum of 1, got {" ".join(shares)}' in run.stderr


def test_other_networks_are_refused_with_what_differs(checkpoints, tmp_path):
    other = write_checkpoint(tmp_path / 'other', 3, width_4=16)
    run = average(checkpoints[0], other, '--out', tmp_path / 'mean.ckpt')
    assert run.returncode == 2 and not (tmp_path / 'mean.ckpt').exists()
    assert f'{other}: another network than {checkpoints[0]}: ' in run.stderr
    assert re.search(r'\d+ tensors differ in shape, semantic\.residual\.\S+ is \(16, .* instead '
                     r'of \(8, ', run.stderr)


def test_what_is_no_checkpoint_is_refused_and_an_earlier_result_stays(checkpoints, tmp_path):
    out = tmp_path / 'mean.ckpt'
    assert average(*checkpoints, '--out', out).returncode == 0
    before = out.read_bytes()
    run = average(checkpoints[0], tmp_path / 'none.ckpt', '--out', out)
    assert run.returncode == 2 and f'{tmp_path / "none.ckpt"}: no such checkpoint' in run.stderr
    assert out.read_bytes() == before
