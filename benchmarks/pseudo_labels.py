"""Label photographs with a model, as a COCO file to train on beside labelled images.

Objects of at least a score are labels. So is background of at least a confidence. All other pixels
are a group (`iscrowd`), which training ignores.

For example, the images of many.json that are not in few.json, with a model trained on these:

  python benchmarks/pseudo_labels.py --model few.onnx --images images --annotations many.json \
      --without few.json --out pseudo.json
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Mapping

import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from instseg_ros import Segmenter
from instseg_ros.core.types import Segmentation
from instseg_ros.files import replacing
from instseg_ros.media.images import read_image


def main() -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', type=Path, required=True, metavar='FILE')
    parser.add_argument('--images', type=Path, required=True, metavar='DIR')
    parser.add_argument('--annotations', type=Path, required=True, metavar='FILE',
                        help='COCO file that names images and categories; its labels are not read')
    parser.add_argument('--without', type=Path, metavar='FILE', help='COCO file of images to omit')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE')
    parser.add_argument('--score', type=float, default=0.7, help='default: 0.7')
    parser.add_argument('--confidence', type=float, default=0.9, help='default: 0.9')
    args = parser.parse_args()
    listed = json.loads(args.annotations.read_text())
    omitted = {item['file_name'] for item in json.loads(args.without.read_text())['images']
               } if args.without else set()
    segmenter = Segmenter.from_onnx(args.model)
    categories = {item['name']: item['id'] for item in listed['categories']}
    images = [{**item, 'labels': sorted(categories)} for item in listed['images']
              if item['file_name'] not in omitted]
    found = []
    for item in tqdm(images, unit='img'):
        result = segmenter.segment(read_image(args.images / item['file_name']), confidence=True)
        found += [{**label, 'image_id': item['id']}
                  for label in labels_of(result, categories, args.score, args.confidence)]
    for number, label in enumerate(found, 1):
        label['id'] = number
    with replacing(args.out) as temporary:
        temporary.write_text(json.dumps({'categories': listed['categories'], 'images': images,
                                         'annotations': found}))
    print(f'{sum(not label["iscrowd"] for label in found)} objects in {len(images)} images')
    return 0


def labels_of(result: Segmentation, categories: Mapping[str, int], score: float,
              confidence: float) -> list[dict[str, Any]]:
    """Return what a segmentation is sure of, and the rest as a group of any of its categories."""
    if result.semantic_confidence is None:
        raise ValueError('expected a segmentation with the confidence of its classes')
    sure = (result.semantic_ids == 0) & (result.semantic_confidence >= 255 * confidence)
    labels = []
    for item in result.instances:
        if item.score >= score and item.class_name in categories:
            mask = result.instance_ids == item.instance_id
            sure |= mask
            labels.append(label_of(mask, categories[item.class_name], 0))
    return [*labels, label_of(~sure, min(categories.values()), 1)]


def label_of(mask: np.ndarray, category: int, is_crowd: int) -> dict[str, Any]:
    """Return an annotation of a mask (H, W)."""
    runs = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {'category_id': category, 'iscrowd': is_crowd,
            'segmentation': {'size': runs['size'], 'counts': runs['counts'].decode()}}


if __name__ == '__main__':
    raise SystemExit(main())
