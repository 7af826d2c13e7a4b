"""COCO panoptic files with odd values, and damaged PNGs of segments."""
import json

from coco_cases import check_truths, dumped, open_panoptic, write_panoptic_text
from mutations import byte_steps, damaged, edited, value_steps, written

LAYOUT = {'images': [{'id': 5, 'file_name': 'a.png', 'width': 20, 'height': 10}],
          'categories': [{'id': 3, 'name': 'car', 'isthing': 1}] * 2,
          'annotations': [{'image_id': 5, 'file_name': 'a.png', 'segments_info': [
              {'id': 300, 'category_id': 3, 'iscrowd': 0}] * 2}]}
"""What the file looks like: where its values are."""


def steps(rng):
    if rng.random() < 0.3:
        return [['png', step] for step in byte_steps(rng)]
    return [['file', step] for step in value_steps(rng, LAYOUT)]


def write(steps, folder):
    write_panoptic_text(folder)
    path, png = folder / 'panoptic.json', folder / 'panoptic' / 'a.png'
    content = edited(json.loads(path.read_text()), [step for kind, step in steps
                                                    if kind == 'file'])
    write_panoptic_text(folder, written(dumped(content)))
    png.write_bytes(damaged(png.read_bytes(), [step for kind, step in steps if kind == 'png']))
    return folder


def check(path):
    check_truths(open_panoptic(path))
