"""A small data set of label images that tests write to disk."""
import json

import cv2
import numpy as np

VALUES = {'0': 'other', '1': 'street', '5': 'grass', '11': 'person', '255': 'ignore'}


def write_label_images(folder, values=VALUES, labels=None):
    """Write one image with its labels and the index; return the three paths."""
    if labels is None:
        labels = np.zeros((8, 12), np.uint8)
        labels[4:] = 1
        labels[:2, :3], labels[:2, 3:6], labels[:2, 6:9] = 5, 11, 255
    for name in ('images', 'labels'):
        (folder / name).mkdir()
    cv2.imwrite(str(folder / 'images' / 'a.jpg'), np.full((8, 12, 3), 90, np.uint8))
    cv2.imwrite(str(folder / 'labels' / 'a.png'), labels)
    index = folder / 'index.json'
    index.write_text(json.dumps({'classes': values, 'images': [{'file': 'a'}]}))
    return folder / 'images', folder / 'labels', index
