"""Checkpoints with damaged bytes, and with odd entries."""
import io
import json

import torch
from mutations import byte_steps, damaged, edited, value_steps

from instseg_ros.learning.checkpoints import ENTRY, load_checkpoint
from instseg_ros.learning.config import DataConfig, ModelConfig, TrainingConfig
from instseg_ros.learning.integrity import CHECKSUM, checksum
from instseg_ros.learning.module import TrainingModule

CONFIG = TrainingConfig(DataConfig(images='x', annotations='x', classes=('background', 'box')),
                        ModelConfig(embedding_size=4, width_16=8, width_8=8, width_4=8))
STATE = TrainingModule(CONFIG).state_dict()
ENTRIES = json.loads(json.dumps({
    'epoch': 0, 'global_step': 3, 'hyper_parameters': {'config': CONFIG.to_dict()},
    ENTRY: {'format': 2, CHECKSUM: checksum({'state_dict': STATE})}}))

QUICK = 5


def steps(rng):
    if rng.random() < 0.5:
        return [['bytes', step] for step in byte_steps(rng)]
    return [['entry', step] for step in value_steps(rng, ENTRIES, most=2)]


def write(steps, folder):
    content = edited(ENTRIES, [step for kind, step in steps if kind == 'entry'])
    if isinstance(content, dict):
        content = {**content, 'state_dict': STATE}
    file = io.BytesIO()
    torch.save(content, file)
    path = folder / 'last.ckpt'
    path.write_bytes(damaged(file.getvalue(), [step for kind, step in steps if kind == 'bytes']))
    return path


def check(path):
    network, _, _ = load_checkpoint(path)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, STATE[f'network.{name}']), f'{name} changed unnoticed'
