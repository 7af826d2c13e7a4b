"""COCO results files with odd values, and the figures that come of them."""
import json
import math

from coco_cases import (
    CLASSES,
    DETECTIONS,
    DOCUMENT,
    dumped,
    open_instances,
    write_instances,
)
from mutations import edited, value_steps, written

from instseg_ros.evaluation.evaluation import evaluate_predictions
from instseg_ros.evaluation.prediction_files import ResultsFile


def steps(rng):
    return value_steps(rng, DETECTIONS)


def write(steps, folder):
    write_instances(folder, dumped(DOCUMENT))
    (folder / 'results.json').write_text(written(dumped(edited(DETECTIONS, steps))),
                                         encoding='utf-8')
    return folder


def check(path):
    dataset = open_instances(path)
    predictions = ResultsFile(path / 'results.json', dataset)
    report = evaluate_predictions(predictions, dataset, dataset.thing_ids).report()
    json.dumps(report, allow_nan=False)
    for value in (report['semantic']['miou'], report['instance']['ap'], report['panoptic']['pq']):
        assert value is None or (0 <= value <= 1 + 1e-9 and math.isfinite(value))
    assert set(report['semantic']['iou']) == set(CLASSES)
