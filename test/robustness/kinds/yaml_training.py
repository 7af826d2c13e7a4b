"""Training configurations with odd values and damaged bytes."""
import math

import pytest
import yaml
from mutations import byte_steps, damaged, edited, value_steps, written

pytest.importorskip('torch')

from instseg_ros.learning.config import TrainingConfig

CONTENT = {'data': {'images': 'a', 'annotations': 'b.json', 'classes': ['background', 'car'],
                    'class_map': {'van': 'car'}, 'class_shares': {'car': 2.0}},
           'model': {'encoder': 'mobilenet_v2', 'weights': '', 'input_size': 640},
           'augmentation': {'paste_max': 2}, 'loss': {'gamma': 2.0},
           'optimization': {'epochs': 5, 'learning_rate': 0.001, 'precision': 'fp32'}}


def steps(rng):
    if rng.random() < 0.3:
        return [['bytes', step] for step in byte_steps(rng)]
    return [['value', step] for step in value_steps(rng, CONTENT)]


def write(steps, folder):
    content = edited(CONTENT, [step for kind, step in steps if kind == 'value'])
    try:
        text = yaml.safe_dump(content)
    except (yaml.YAMLError, ValueError):
        text = repr(content)
    path = folder / 'training.yaml'
    path.write_bytes(damaged(written(text).encode('utf-8', 'replace'),
                             [step for kind, step in steps if kind == 'bytes']))
    return path


def check(path):
    config = TrainingConfig.from_yaml(path)
    assert math.isfinite(config.optimization.learning_rate)
    assert all(isinstance(name, str) for name in config.data.classes)
    TrainingConfig.from_dict(config.to_dict())
