"""Label images with instances.jsonl, damaged or of other classes, scored on labelled images."""
import json

import cv2
import numpy as np
from coco_cases import CLASSES, DOCUMENT, dumped, open_instances, write_instances
from mutations import byte_steps, damaged

from instseg_ros.evaluation.evaluation import evaluate_predictions
from instseg_ros.evaluation.prediction_files import LabelFolder

RECORD = {'frame': 0, 'source': 'a.png', 'name': 'a.png', 'instances': [
    {'id': 1, 'class_id': 2, 'class_name': 'car', 'score': .9},
    {'id': 2, 'class_id': 1, 'class_name': 'person', 'score': .8}]}
FILES = ('semantic/a.png.png', 'instance/a.png.png', 'instances.jsonl')


def steps(rng):
    file = rng.choice(FILES)
    return [[file, step] for step in byte_steps(rng)]


def write(steps, folder):
    write_instances(folder, dumped(DOCUMENT))
    semantic_ids, instance_ids = np.zeros((2, 10, 20), np.uint8)
    semantic_ids[1:5, 2:14], semantic_ids[6:8] = 2, 1
    instance_ids[1:5, 2:14], instance_ids[6:8] = 1, 2
    contents = (*(cv2.imencode('.png', ids)[1].tobytes() for ids in (semantic_ids, instance_ids)),
                json.dumps(RECORD).encode())
    for name, data in zip(FILES, contents):
        path = folder / 'out' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damaged(data, [step for file, step in steps if file == name]))
    return folder


def check(path):
    dataset = open_instances(path)
    predictions = LabelFolder(path / 'out', dataset, dataset.thing_ids)
    report = evaluate_predictions(predictions, dataset, dataset.thing_ids).report()
    json.dumps(report, allow_nan=False)
    # The label maps have checksums: either the file is refused or they are the right ones.
    assert report['semantic']['miou'] == report['panoptic']['pq'] == 1
    assert set(report['semantic']['iou']) == set(CLASSES)
