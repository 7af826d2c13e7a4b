"""Bounds of a network: what it finds with the truth in place of some of its parts."""
from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from made_up import write_dataset
from short_trainings import CLASSES

from instseg_ros.core.config import GroupingConfig, RefinementConfig
from instseg_ros.core.postprocessing import Postprocessor
from instseg_ros.datasets.config import DataSetConfig
from instseg_ros.datasets.opening import open_dataset
from instseg_ros.evaluation.evaluation import evaluate_predictions
from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.detector.network import DetectorNetwork
from instseg_ros.learning.encoders.nanodet_plus import NanoDetPlus
from instseg_ros.learning.export.onnx_export import model_info
from instseg_ros.learning.export.wrapper import ExportedNetwork

SCRIPT = Path(__file__).resolve().parents[3] / 'benchmarks' / 'upper_bounds.py'
THINGS = (1, 2)


@pytest.fixture(scope='module')
def tool():
    """Return the script."""
    spec = importlib.util.spec_from_file_location('upper_bounds', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Return an image of two objects of one class; the box of one holds the other's."""
    folder = tmp_path_factory.mktemp('images')
    path = write_dataset(folder, 1)
    document = json.loads(path.read_text())
    document['annotations'] = [
        {'id': k, 'image_id': 0, 'category_id': 1, 'iscrowd': 0, 'segmentation': [outline]}
        for k, outline in enumerate((
            [8, 8, 40, 8, 40, 66, 90, 66, 90, 8, 120, 8, 120, 88, 8, 88],
            [50, 14, 80, 14, 80, 58, 50, 58]), 1)]
    path.write_text(json.dumps(document))
    return open_dataset(DataSetConfig(images=str(folder / 'images'), annotations=str(path)),
                        CLASSES, THINGS)


def partly_true(tool, dataset, parts, **changes):
    """Return the predictions of a network with random weights, but for these parts."""
    torch.manual_seed(1)
    network = DetectorNetwork(**{
        'encoder': NanoDetPlus((16, 32, 64), 16), 'class_names': CLASSES, 'thing_ids': THINGS,
        'embedding_size': 4, 'output_stride': 4, 'residual_width': 0, 'semantic_encoder': None,
        'widths': {16: 16, 8: 16, 4: 8}, 'evidence': (1.0, 2.0), **changes}).eval()
    info = model_info(network, CLASSES, THINGS, 128, {}, duplicate_distance=2.0)
    postprocessor = Postprocessor(info, GroupingConfig(0.5), RefinementConfig(method='nearest'))
    return tool.PartlyTrue(network, ExportedNetwork(network, Calibration(1.0, 0.0)),
                           postprocessor, dataset, frozenset(parts))


@pytest.mark.parametrize('assignment_width', [0, 12])
def test_with_all_of_the_truth_every_object_is_found(tool, dataset, assignment_width):
    predictions = partly_true(tool, dataset, ('semantic', 'centers', 'embeddings'),
                              assignment_width=assignment_width)
    objects = evaluate_predictions(predictions, dataset, THINGS).report()['objects']
    assert (objects['found'], objects['missed'], objects['false']) == (2, 0, 0)


def test_true_boxes_as_evidence_decide_on_the_classes(tool, dataset):
    def miou(parts):
        predictions = partly_true(tool, dataset, parts, evidence=(50.0, 50.0))
        return evaluate_predictions(predictions, dataset, THINGS).report()['semantic']['miou']

    assert miou(()) < 0.5
    assert miou(('evidence',)) > 0.7  # the box holds more than the object
