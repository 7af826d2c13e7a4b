"""A small COCO data set whose figures are known, for all kinds about COCO files."""
import json

import numpy as np
from coco_files import coco_document, rectangle, write_coco, write_panoptic

from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.coco_panoptic import CocoPanopticDataset

CLASSES = ('background', 'person', 'car')
DOCUMENT = coco_document(annotations=[
    {'segmentation': [rectangle(2, 1, 14, 5)], 'bbox': [2, 1, 12, 4], 'area': 48},
    {'category_id': 70, 'bbox': [0, 6, 20, 2],
     'segmentation': {'size': [10, 20], 'counts': [6] + [2, 8] * 19 + [2, 2]}},
    {'iscrowd': 1, 'segmentation': {'size': [10, 20], 'counts': [199, 1]}}])
"""A car, a person as run lengths, and a crowd of one pixel."""

DETECTIONS = [{'image_id': 5, 'category_id': 3, 'score': .9,
               'segmentation': [rectangle(2, 1, 14, 5)]},
              {'image_id': 5, 'category_id': 70, 'score': .8,
               'segmentation': {'size': [10, 20], 'counts': [6] + [2, 8] * 19 + [2, 2]}}]

IDS = np.zeros((10, 20), np.int64)
IDS[1:5, 2:14], IDS[6:8] = 300, 70000
SEGMENTS = [{'id': 300, 'category_id': 3}, {'id': 70000, 'category_id': 70}]
PANOPTIC_CATEGORIES = ((3, 'car', 1), (70, 'person', 1))


def write_instances(folder, text):
    """Write images and an annotation file with this text; return the folder."""
    _, path = write_coco(folder, DOCUMENT)
    path.write_text(text, encoding='utf-8', errors='surrogatepass')
    return folder


def open_instances(folder):
    """Return the data set in a folder, checked as the commands do."""
    dataset = CocoDataset(folder / 'images', folder / 'instances.json', CLASSES)
    dataset.check_images()
    return dataset


def check_truths(dataset):
    """Load everything, and check what holds for every data set that is accepted."""
    for index in range(len(dataset)):
        image, truth = dataset.load_image(index), dataset.load_ground_truth(index)
        assert truth.semantic_ids.shape == truth.instance_ids.shape == image.shape[:2]
        classes = {*range(len(dataset.class_names)), 255}
        assert {*np.unique(truth.semantic_ids).tolist()} <= classes
        numbers = np.unique(truth.instance_ids[truth.instance_ids > 0])
        objects = [item for item in truth.objects if not item.crowd]
        assert len(numbers) <= len(objects) and numbers.max(initial=0) <= len(objects)
        for number in numbers.tolist():
            pixels = truth.semantic_ids[truth.instance_ids == number]
            assert (pixels == objects[number - 1].class_id).all()
    for sentence in dataset.remarks():
        sentence.encode()


def write_panoptic_text(folder, text=None):
    """Write a panoptic data set, its file with another text if one is given."""
    path = write_panoptic(folder, SEGMENTS, IDS, PANOPTIC_CATEGORIES)
    path = path[1] if isinstance(path, tuple) else folder / 'panoptic.json'
    if text is not None:
        path.write_text(text, encoding='utf-8', errors='surrogatepass')
    return folder


def open_panoptic(folder):
    """Return the panoptic data set in a folder, checked as the commands do."""
    dataset = CocoPanopticDataset(folder / 'images', folder / 'panoptic.json', CLASSES)
    dataset.check_images()
    return dataset


def dumped(content):
    """Return JSON text as Python writes it, NaN and lone surrogates included."""
    return json.dumps(content, ensure_ascii=True)
