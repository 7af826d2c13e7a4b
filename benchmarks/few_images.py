"""Measure how many labelled images a model of one's own classes needs.

Trains the same configuration for as many steps on more and more images, of which each selection
holds the smaller ones, and evaluates all on the same other images. Categories can get other names,
so that classes which the initial weights know become unknown ones. Where a data set has too few
images, others follow in the given order. Results are kept, and interrupted trainings resumed, as
by `ablation.py`.

For example, with "two_wheeler" as the class that is new:

  python benchmarks/few_images.py --config config/training/own_classes.yaml --out runs/few_images \
      --counts 20 100 400 --classes background person car two_wheeler \
      --rename bicycle=two_wheeler --rename motorcycle=two_wheeler \
      --images $INSTSEG_DATA/coco_street/images \
      --annotations $INSTSEG_DATA/coco_street/annotations/instances_train.json \
      --more $INSTSEG_DATA/street2/images $INSTSEG_DATA/street2/annotations/instances_train.json \
          'source!=Clothing*' \
      --more $INSTSEG_DATA/street2/images $INSTSEG_DATA/street2/annotations/instances_train.json \
          'source=Clothing*' \
      --validation-images $INSTSEG_DATA/coco_street_clean/images \
      --validation-annotations $INSTSEG_DATA/coco_street_clean/annotations/instances.json
"""
from __future__ import annotations

import argparse
import json
import os
import random
from collections import defaultdict
from pathlib import Path
from typing import Any, Mapping, Sequence

from ablation import result, with_options

from instseg_ros.commands.train import parse_override
from instseg_ros.datasets.selection import selected_records
from instseg_ros.files import replacing
from instseg_ros.learning.config import TrainingConfig

LABELS, PART = 'labels', 'part'
"""Fields of an image: the categories labelled in it, and which data set it is from."""


def main() -> int:
    """Train and evaluate; print the table after each."""
    args = parse_arguments()
    images, labels = joined([(args.images, args.annotations, ''), *args.more], dict(args.rename))
    write(args.out / 'validation.json',
          renamed(json.loads(args.validation_annotations.read_text()), dict(args.rename)))
    base = with_options(
        TrainingConfig.from_yaml(args.config, {'data.images': str(images)}).to_dict(),
        {'data.classes': args.classes, 'data.labelled_field': LABELS, **dict(args.set)})
    evaluation = argparse.Namespace(out=args.out, images=args.validation_images.resolve(),
                                    annotations=args.out / 'validation.json')
    for seed in args.seeds:
        for count in args.counts:
            path = args.out / f'images{count}_seed{seed}.json'
            write(path, selected(labels, args.classes, count, seed))
            evaluation.out = args.out / f'{count}'
            report = result(evaluation, base, {'data.annotations': str(path.resolve())}, seed)
            print(row(count, seed, report, args.classes[1:]), flush=True)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', type=Path, required=True, help='training file')
    parser.add_argument('--out', type=Path, required=True, help='folder of all that is made')
    parser.add_argument('--counts', type=int, nargs='+', default=[20, 100, 400],
                        help='numbers of labelled images, some of which are held out')
    parser.add_argument('--seeds', type=int, nargs='+', default=[1])
    parser.add_argument('--classes', nargs='+', required=True, help='with the background')
    parser.add_argument('--rename', action='append', default=[], metavar='CATEGORY=NAME',
                        type=lambda text: tuple(text.split('=', 1)), help='repeatable')
    parser.add_argument('--set', action='append', default=[], metavar='SECTION.KEY=VALUE',
                        type=parse_override, help='an option of training; repeatable')
    parser.add_argument('--more', nargs=3, action='append', default=[],
                        metavar=('DIR', 'FILE', 'SELECT'),
                        help='images, COCO file, and data.select of a data set that follows when '
                        'all images before are taken; repeatable')
    for prefix, what in (('', 'trained on'), ('validation-', 'evaluated on')):
        parser.add_argument(f'--{prefix}images', type=Path, required=True, metavar='DIR',
                            help=f'images that are {what}')
        parser.add_argument(f'--{prefix}annotations', type=Path, required=True, metavar='FILE',
                            help='their COCO file (JSON)')
    return parser.parse_args()


def joined(parts: Sequence[tuple[str | Path, str | Path, str]], names: Mapping[str, str]
           ) -> tuple[Path, dict[str, Any]]:
    """Return a folder and a COCO document of all images below it, with new names of categories.

    Parameters
    ----------
    parts : sequence of (path, path, str)
        Folder of images, COCO file, and `data.select`.
    names : dict
        See `renamed`.
    """
    root = Path(os.path.commonpath([Path(folder).resolve() for folder, _, _ in parts]))
    whole: dict[str, Any] = {'categories': [], 'images': [], 'annotations': []}
    for k, (folder, file, select) in enumerate(parts):
        labels = renamed(json.loads(Path(file).read_text()), names)
        known = {item['id']: item['name'] for item in labels['categories']}
        ids: dict[int, int] = {}
        for item in sorted(selected_records(labels['images'], select, Path(file)),
                           key=lambda item: item['id']):
            ids[item['id']] = len(whole['images'])
            shown = item.get(LABELS, known.values())
            whole['images'].append({
                **item, 'id': ids[item['id']], PART: k,
                'file_name': str((Path(folder) / item['file_name']).resolve().relative_to(root)),
                LABELS: sorted({names.get(name, name) for name in shown})})
        places = {item['name']: item['id'] for item in whole['categories']}
        for name in known.values():
            if name not in places:
                places[name] = len(places) + 1
                whole['categories'].append({'id': places[name], 'name': name})
        whole['annotations'] += [
            {**item, 'id': len(whole['annotations']) + row, 'image_id': ids[item['image_id']],
             'category_id': places[known[item['category_id']]]}
            for row, item in enumerate(item for item in labels['annotations']
                                       if item['image_id'] in ids)]
    return root, whole


def renamed(labels: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a COCO document with other names of categories; equal ones become one."""
    ids: dict[str, int] = {}
    new = {category['id']: ids.setdefault(names.get(category['name'], category['name']),
                                          category['id']) for category in labels['categories']}
    return {**labels, 'categories': [{'id': k, 'name': name} for name, k in ids.items()],
            'annotations': [{**item, 'category_id': new[item['category_id']]}
                            for item in labels['annotations']]}


def selected(labels: Mapping[str, Any], classes: list[str], count: int, seed: int
             ) -> dict[str, Any]:
    """Return a document with some of the images that show an object of the classes.

    Those of the first data set are taken first.
    """
    wanted = {category['id'] for category in labels['categories'] if category['name'] in classes}
    objects = {item['image_id'] for item in labels['annotations'] if item['category_id'] in wanted}
    parts = defaultdict(list)
    for item in labels['images']:
        if item['id'] in objects:
            parts[item.get(PART, 0)].append(item['id'])
    generator, shown = random.Random(seed), []
    for _, part in sorted(parts.items()):
        part.sort()
        generator.shuffle(part)
        shown += part
    if count > len(shown):
        raise SystemExit(f'--counts: expected at most {len(shown)}, the images with an object, '
                         f'got {count}')
    kept = set(shown[:count])
    return {**labels, 'images': [item for item in labels['images'] if item['id'] in kept],
            'annotations': [item for item in labels['annotations'] if item['image_id'] in kept]}


def write(path: Path, labels: Mapping[str, Any]) -> None:
    """Write a COCO file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(labels))


def row(count: int, seed: int, report: Mapping[str, Any], classes: list[str]) -> str:
    """Return a row: mIoU, mean AP50, IoU and AP50 of each class, false objects and recall."""
    semantic, instance, objects = report['semantic'], report['instance'], report['objects']
    cells = [f'{semantic["miou"]:.3f}', f'{instance["ap50"]:.3f}'] + [
        f'{semantic["iou"][name]:.2f}, {instance["per_class"][name]["ap50"]:.2f}'
        for name in classes]
    cells.append(f'{objects["per_image"]["false"]:.2f}, {objects["recall"]:.2f}')
    return f'| {count} | {seed} | {" | ".join(cells)} |'


if __name__ == '__main__':
    raise SystemExit(main())
