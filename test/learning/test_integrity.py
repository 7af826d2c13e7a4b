"""Damage to a checkpoint is found, in whichever of its tensors."""
import random

import pytest

torch = pytest.importorskip('torch')

from instseg_ros.learning.checkpoints import ENTRY, load_checkpoint, write_weights
from instseg_ros.learning.config import DataConfig, ModelConfig, TrainingConfig
from instseg_ros.learning.integrity import CHECKSUM, checksum
from instseg_ros.learning.module import TrainingModule


@pytest.fixture(scope='module')
def content():
    """Return the contents of a small checkpoint."""
    config = TrainingConfig(DataConfig(images='x', annotations='x', classes=('background', 'box')),
                            ModelConfig(embedding_size=4, width_16=8, width_8=8, width_4=8))
    content = {'state_dict': TrainingModule(config).state_dict(), 'epoch': 0, 'global_step': 0,
               'hyper_parameters': {'config': config.to_dict()},
               'optimizer_states': [{'state': {0: {'step': torch.tensor(3.0),
                                                   'exp_avg': torch.ones(4)}}}]}
    content[ENTRY] = {'format': 2, CHECKSUM: checksum(content)}
    return content


@pytest.fixture
def path(content, tmp_path):
    torch.save(content, tmp_path / 'a.ckpt')
    return tmp_path / 'a.ckpt'


def test_a_sound_checkpoint_is_loaded_without_a_word(path, caplog):
    load_checkpoint(path)
    assert not caplog.text


@pytest.mark.parametrize('seed', range(20))
def test_flipped_bits_are_found(path, seed):
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    for bit in rng.sample(range(8 * len(data)), 64):
        data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    with pytest.raises(ValueError, match='a.ckpt'):
        load_checkpoint(path)


@pytest.mark.parametrize('change', [
    lambda content: next(iter(content['state_dict'].values())).view(-1)[0].add_(1),
    lambda content: content['optimizer_states'][0]['state'][0]['exp_avg'][2].fill_(5),
    lambda content: content['state_dict'].popitem(),
    lambda content: content['state_dict'].update(
        {name: value.double() for name, value in list(content['state_dict'].items())[:1]}),
], ids=['weight', 'optimizer', 'missing', 'type'])
def test_a_changed_tensor_is_found(path, change):
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    with pytest.raises(ValueError, match='a.ckpt: its tensors have SHA-256 .* damaged or was cha'):
        load_checkpoint(path)


def test_an_older_checkpoint_is_loaded_with_a_note(path, content, caplog):
    torch.save({**content, ENTRY: {'format': 2}}, path)
    load_checkpoint(path)
    assert 'names no checksum' in caplog.text


@pytest.mark.parametrize('half', [False, True])
def test_weights_alone_have_a_checksum_of_their_own(path, half, tmp_path, caplog):
    write_weights(path, tmp_path / 'small.ckpt', half)
    load_checkpoint(tmp_path / 'small.ckpt')
    assert not caplog.text
