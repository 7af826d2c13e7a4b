"""Pseudo-labels are what a model is sure of; all else is left open."""
from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from instseg_ros.core.types import Instance, Segmentation

PATH = Path(__file__).resolve().parents[2] / 'benchmarks' / 'pseudo_labels.py'


def test_only_certain_objects_and_background_are_labels():
    spec = importlib.util.spec_from_file_location('pseudo_labels', PATH)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    ids = np.zeros((4, 6), np.uint16)
    ids[:2, :2], ids[:2, 4:] = 1, 2
    confidence = np.full((4, 6), 255, np.uint8)
    confidence[3] = 100
    result = Segmentation(
        (ids > 0).astype(np.uint8), ids,
        tuple(Instance(k, 1, 'car', score, (0.5, 0.5), (0, 0, 2, 2), 4)
              for k, score in ((1, 0.8), (2, 0.6))), semantic_confidence=confidence)
    car, rest = tool.labels_of(result, {'person': 3, 'car': 5}, 0.7, 0.9)
    assert (car['category_id'], car['iscrowd'], rest['iscrowd']) == (5, 0, 1)
    np.testing.assert_array_equal(coco_mask.decode(car['segmentation']), ids == 1)
    left_open = ids == 2
    left_open[3] = True
    np.testing.assert_array_equal(coco_mask.decode(rest['segmentation']), left_open)
