"""Outputs of a network with impossible values, given to what follows the network."""
import json

import numpy as np
from model_files import check_segmentation
from tiny_models import tiny_info

from instseg_ros.core.config import GroupingConfig, RefinementConfig
from instseg_ros.core.postprocessing import Postprocessor
from instseg_ros.core.types import NetworkOutput

INFO = tiny_info()
SHAPE = (12, 16)
VALUES = (0.0, 1.0, -1.0, 5.0, 1e-45, 1e20, 1e38, -1e38, float('nan'), float('inf'),
          float('-inf'), 1.0000001)
METHODS = ('slic', 'bilateral', 'nearest')


def steps(rng):
    return [['seed', rng.randrange(1000), rng.randrange(3), rng.choice((0.0, 0.1, 0.7, 1.0))],
            *([rng.choice(('semantic_ids', 'center_heatmap', 'embedding')), rng.random(),
               rng.randrange(256), rng.choice((1, 1, 3, 100))] for _ in range(rng.randrange(4)))]


def write(steps, folder):
    path = folder / 'output.json'
    path.write_text(json.dumps(steps))
    return path


def check(path):
    seed, method, threshold = 0, 0, 0.1
    edits = []
    for step in json.loads(path.read_text()):
        if step[0] == 'seed':
            _, seed, method, threshold = step
        else:
            edits.append(step)
    rng = np.random.default_rng(seed)
    arrays = {
        'semantic_ids': rng.integers(0, len(INFO.class_names), SHAPE).astype(np.uint8),
        'center_heatmap': rng.random(SHAPE, np.float32) * (rng.random(SHAPE) < 0.1),
        'embedding': rng.normal(size=(*SHAPE, INFO.embedding_size)).astype(np.float32)}
    arrays['center_heatmap'] = arrays['center_heatmap'].astype(np.float32)
    for name, share, value, length in edits:
        flat = arrays[name].reshape(-1)
        place = int(share * len(flat))
        flat[place:place + length] = value if name == 'semantic_ids' else VALUES[
            value % len(VALUES)]
    image = rng.integers(0, 256, (4 * SHAPE[0], 4 * SHAPE[1], 3)).astype(np.uint8)
    processor = Postprocessor(INFO, GroupingConfig(center_threshold=threshold),
                              RefinementConfig(METHODS[method]), threads=1)
    result = processor.run(NetworkOutput(**arrays), image)
    check_segmentation(result, INFO, image.shape[:2])
    ids, heat, embedding = arrays.values()
    assert ids.max() < len(INFO.class_names)
    assert heat.min() >= 0 and heat.max() <= 1.00001
    centers = (heat >= threshold) & (heat > 0) & np.isin(ids, INFO.thing_ids)
    assert np.isfinite(embedding[centers]).all()
    compared = np.isin(ids, ids[centers])
    assert np.isfinite(embedding[compared]).all()
