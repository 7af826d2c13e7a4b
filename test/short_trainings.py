"""Short trainings on a made-up data set, through the command."""
from __future__ import annotations

import csv

import yaml
from made_up import write_dataset

from instseg_ros.cli import main

CLASSES = ['background', 'box', 'post']


def write_config(folder, images, epochs=2, **sections):
    """Write a data set and a configuration that trains on it within seconds."""
    if not (folder / 'instances.json').exists():
        write_dataset(folder, images)
    config = {
        'data': {'images': 'images', 'annotations': 'instances.json', 'classes': CLASSES,
                 'validation_images': 0},
        'model': {'embedding_size': 8, 'width_16': 8, 'width_8': 8, 'width_4': 8,
                  'frozen_stages': 5, 'input_size': 128},
        'augmentation': {'crop_size': 64, 'long_side_min': 96, 'long_side_max': 160},
        'optimization': {'epochs': epochs, 'batch_size': 2, 'precision': 'fp32', 'workers': 0}}
    for name, section in sections.items():
        config[name] = {**config.get(name, {}), **section}
    path = folder / 'training.yaml'
    path.write_text(yaml.safe_dump(config))
    return path


def train(config, out, *more):
    """Run `instseg train` and return its exit code."""
    return main(['train', '--config', str(config), '--out', str(out), *more])


def curve(folder, name):
    """Return epoch and value of a figure in metrics.csv."""
    with open(folder / 'metrics.csv') as file:
        return {int(row['epoch']): float(row[name])
                for row in csv.DictReader(file) if row.get(name)}
