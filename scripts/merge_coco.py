r"""Merge several sets of COCO instances into one file, to evaluate on all images together.

The images stay where they are: names are relative to the folder in --root.

  python scripts/merge_coco.py --root $INSTSEG_DATA --out build/both.json \
      coco_street_clean/images coco_street_clean/annotations/instances.json \
      coco_street/images coco_street/annotations/instances_val.json
  instseg evaluate --model models/street.onnx --images $INSTSEG_DATA --annotations build/both.json
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from instseg_ros.files import replacing


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('sets', nargs='+', type=Path, metavar='IMAGES ANNOTATIONS',
                        help='folder of images and file of instances of each set, below --root')
    parser.add_argument('--root', type=Path, required=True, help='folder that all sets are in')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    if len(args.sets) % 2:
        parser.error('expected a folder of images and a file of annotations for each set, got '
                     f'{len(args.sets)} paths')
    merged: dict[str, list[dict[str, Any]]] = {'images': [], 'annotations': [], 'categories': []}
    names: dict[str, int] = {}
    for images, instances in zip(args.sets[::2], args.sets[1::2]):
        try:
            part = json.loads((args.root / instances).read_text())
        except (OSError, ValueError) as error:
            parser.error(f'{args.root / instances}: {error}')
        if not isinstance(part, dict) or not set(merged) <= set(part):
            parser.error(f'{args.root / instances}: expected COCO instances with the keys '
                         f'{", ".join(merged)}')
        add(merged, names, str(images), part)
    merged['categories'] = [{'id': number, 'name': name} for name, number in names.items()]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(args.out) as path:
        path.write_text(json.dumps(merged))
    print(f'{args.out}: {len(merged["images"])} images, {len(merged["annotations"])} objects')


def add(merged: dict[str, list[dict[str, Any]]], names: dict[str, int], folder: str,
        part: dict[str, list[dict[str, Any]]]) -> None:
    """Add a set with new numbers; `names` are those of the categories so far."""
    categories = {item['id']: names.setdefault(item['name'], len(names) + 1)
                  for item in part['categories']}
    first = len(merged['images']) + 1
    numbers = {item['id']: first + k for k, item in enumerate(part['images'])}
    merged['images'] += [{**item, 'id': numbers[item['id']],
                          'file_name': f'{folder}/{item["file_name"]}'} for item in part['images']]
    first = len(merged['annotations']) + 1
    merged['annotations'] += [
        {**item, 'id': first + k, 'image_id': numbers[item['image_id']],
         'category_id': categories[item['category_id']]}
        for k, item in enumerate(part['annotations'])]


if __name__ == '__main__':
    main()
