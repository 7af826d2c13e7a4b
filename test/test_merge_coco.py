"""Merged sets of COCO instances hold the same images and objects."""
from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from instseg_ros.datasets.config import DataSetConfig
from instseg_ros.datasets.opening import open_dataset

SCRIPT = Path(__file__).resolve().parents[1] / 'scripts' / 'merge_coco.py'


def write_set(folder, color, categories, objects):
    """Write two images of a colour, and objects (image, category, x) of 8x8 pixels."""
    (folder / 'images').mkdir(parents=True)
    for number in (1, 2):
        cv2.imwrite(str(folder / 'images' / f'{number}.png'),
                    np.full((32, 48, 3), color, np.uint8))
    (folder / 'a.json').write_text(json.dumps({
        'images': [{'id': k, 'file_name': f'{k}.png', 'height': 32, 'width': 48}
                   for k in (1, 2)],
        'categories': [{'id': number, 'name': name} for name, number in categories.items()],
        'annotations': [{'id': k, 'image_id': image, 'category_id': categories[name],
                         'bbox': [x, 4, 8, 8], 'area': 64, 'iscrowd': 0,
                         'segmentation': [[x, 4, x + 8, 4, x + 8, 12, x, 12]]}
                        for k, (image, name, x) in enumerate(objects)]}))


def test_images_and_objects_are_those_of_both_sets(tmp_path):
    write_set(tmp_path / 'first', 10, {'car': 3, 'person': 1}, [(1, 'car', 4), (2, 'person', 8)])
    write_set(tmp_path / 'second', 200, {'person': 3, 'car': 7}, [(2, 'car', 16)])
    out = tmp_path / 'new' / 'both.json'
    subprocess.run([sys.executable, SCRIPT, '--root', tmp_path, '--out', out, 'first/images',
                    'first/a.json', 'second/images', 'second/a.json'], check=True)
    classes = ['background', 'person', 'car']

    def contents(images, annotations):
        data = open_dataset(DataSetConfig(images=str(images), annotations=str(annotations)),
                            classes, (1, 2))
        return [(data.load_image(k).mean(), data.load_label_maps(k)[0].tolist())
                for k in range(len(data))]

    parts = [contents(tmp_path / name / 'images', tmp_path / name / 'a.json')
             for name in ('first', 'second')]
    assert contents(tmp_path, out) == parts[0] + parts[1]


@pytest.mark.parametrize('paths, message', [
    (['first/images'], 'expected a folder of images and a file of annotations for each set'),
    (['first/images', 'none.json'], 'none.json: .*No such file'),
    (['first/images', 'text.json'], 'text.json: .*Expecting value'),
    (['first/images', 'list.json'], 'list.json: expected COCO instances with the keys images')])
def test_bad_arguments_are_refused_by_name(tmp_path, paths, message):
    (tmp_path / 'text.json').write_text('no JSON')
    (tmp_path / 'list.json').write_text('[]')
    out = tmp_path / 'both.json'
    run = subprocess.run([sys.executable, SCRIPT, '--root', tmp_path, '--out', out, *paths],
                         capture_output=True, text=True)
    assert run.returncode == 2
    assert re.search(message, run.stderr)
    assert not out.exists()
