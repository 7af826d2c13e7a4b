"""A made-up COCO data set: rectangles of two classes on a plain ground."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

COLORS = {1: (200, 40, 40), 2: (40, 90, 200)}
CATEGORIES = [{'id': 1, 'name': 'box'}, {'id': 2, 'name': 'post'}]


def write_dataset(folder: Path, count: int, seed: int = 0) -> Path:
    """Write `count` images of 128x96 pixels and return the annotation file."""
    rng = np.random.default_rng(seed)
    (folder / 'images').mkdir(parents=True)
    images, annotations = [], []
    for image_id in range(count):
        image = np.full((96, 128, 3), 110, np.uint8)
        for slot in range(3):
            category = int(rng.integers(1, 3))
            x, y = 6 + 42 * slot, int(rng.integers(5, 30))
            w, h = (30, 24) if category == 1 else (10, 50)
            image[y:y + h, x:x + w] = COLORS[category][::-1]
            annotations.append({
                'id': len(annotations) + 1, 'image_id': image_id, 'category_id': category,
                'iscrowd': 0, 'area': w * h, 'bbox': [x, y, w, h],
                'segmentation': [[x, y, x + w, y, x + w, y + h, x, y + h]]})
        name = f'{image_id:03d}.png'
        cv2.imwrite(str(folder / 'images' / name), image)
        images.append({'id': image_id, 'file_name': name, 'width': 128, 'height': 96})
    path = folder / 'instances.json'
    path.write_text(json.dumps({'images': images, 'annotations': annotations,
                                'categories': CATEGORIES}))
    return path
