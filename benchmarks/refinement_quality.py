"""Compare refinement methods and their options on labelled photographs.

The label maps to refine come from the ground truth, reduced to an output stride, with exact or
randomly displaced boundaries, or from a real model. The figures are means over all images: mIoU of
the classes, IoU of a segment (an object, or the background) with the segment of the same id
(ground truth only), panoptic quality of the things, and the F-measure of the boundary pixels of
all segments at a tolerance of 2 pixels, with its precision and recall.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Iterable, Iterator, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from instseg_ros.core.config import GroupingConfig, RefinementConfig, options_of
from instseg_ros.core.grouping import assign_pixels, find_centers
from instseg_ros.core.refinement import refine
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.core.types import UNLABELLED
from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.evaluation.boundary import BoundaryScore, boundary_score
from instseg_ros.evaluation.panoptic import PanopticScore, panoptic_ids
from instseg_ros.evaluation.semantic import SemanticScore

DATA = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'coco_street'
CLASSES = ('background', 'person', 'bicycle', 'car', 'motorcycle')
COLUMNS = ('mIoU', 'segment IoU', 'PQ things', 'boundary F', 'precision', 'recall')


class Scene(NamedTuple):
    """An image, the label maps to refine, and the right ones."""

    image: np.ndarray
    semantic_ids: np.ndarray
    instance_ids: np.ndarray
    scale: tuple[float, float]
    truth: tuple[np.ndarray, np.ndarray]


def main() -> int:
    """Print one table a source of label maps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=Path, default=DATA / 'images')
    parser.add_argument('--annotations', type=Path,
                        default=DATA / 'annotations' / 'instances_val.json')
    parser.add_argument('--limit', type=int, default=None, help='use only the first images')
    parser.add_argument('--strides', type=int, nargs='*', default=[4, 8],
                        help='strides to which ground truth is reduced (default: 4 8)')
    parser.add_argument('--jitter', type=float, nargs='*', default=[0.0, 0.7],
                        help='standard deviation, in output pixels, by which the boundary of '
                        'reduced ground truth is off (default: 0 0.7)')
    parser.add_argument('--model', type=Path, help='refine the label maps of this model too')
    parser.add_argument('--input-size', type=int, default=0,
                        help="long side of the model's input (default: its own)")
    parser.add_argument('--center-threshold', type=float,
                        default=GroupingConfig().center_threshold)
    parser.add_argument('--variant', action='append', metavar='METHOD[,OPTION=VALUE]...',
                        help='what to compare, for example slic,purity=0.9; repeatable '
                        '(default: nearest, slic, bilateral)')
    parser.add_argument('--json', type=Path, help='write the figures to this file too')
    args = parser.parse_args()
    variants = {text: parse_variant(text)
                for text in args.variant or ('nearest', 'slic', 'bilateral')}
    dataset = CocoDataset(args.images, args.annotations, CLASSES)
    indices = range(min(len(dataset), args.limit or len(dataset)))
    sources = {f'ground truth, stride {stride}, jitter {jitter:g}':
               reduced_truth(dataset, indices, stride, jitter)
               for stride in args.strides for jitter in args.jitter}
    if args.model:
        segmenter = Segmenter.from_onnx(args.model)
        sources[f'model {args.model.name}'] = model_output(
            dataset, indices, segmenter, args.input_size, args.center_threshold)
    report = {}
    for source, scenes in sources.items():
        matching = not source.startswith('model')
        report[source] = compare(tqdm(scenes, source, len(indices), leave=False), variants,
                                 matching)
        print(f'\n{source}\n\n| | {" | ".join(COLUMNS)} |\n|{" --- |" * (len(COLUMNS) + 1)}')
        for name, row in report[source].items():
            print(f'| {name} | ' + ' | '.join('-' if np.isnan(row[column])
                                              else f'{row[column]:.4f}'
                                              for column in COLUMNS) + ' |', flush=True)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + '\n')
    return 0


def parse_variant(text: str) -> RefinementConfig:
    """Read METHOD[,OPTION=VALUE]..."""
    method, *settings = text.split(',')
    types = {option.name: option.type for option in options_of(RefinementConfig)}
    values = dict(setting.split('=') for setting in settings)
    return dataclasses.replace(RefinementConfig(method=method), **{
        name: types[name](value) for name, value in values.items()})


def reduced_truth(dataset: CocoDataset, indices: Iterable[int], stride: int,
                  jitter: float) -> Iterator[Scene]:
    """Yield ground truth sampled at a stride, where each sample is taken beside its place.

    The displacement is Gaussian noise, smoothed over about one output pixel.
    """
    rng = np.random.default_rng(1)
    for index in indices:
        image, truth = dataset.load_image(index), dataset.load_ground_truth(index)
        shape = [-(-length // stride) for length in image.shape[:2]]
        place = np.stack(np.mgrid[:shape[0], :shape[1]]) + 0.5
        noise = np.stack([cv2.GaussianBlur(layer, (0, 0), 1.0)
                          for layer in rng.normal(size=place.shape)])
        place += jitter * noise / noise.std()
        y, x = (np.clip(axis * stride, 0, length - 1).astype(int)
                for axis, length in zip(place, image.shape))
        labels = truth.semantic_ids, truth.instance_ids
        yield Scene(image, *(np.ascontiguousarray(ids[y, x]) for ids in labels),
                    (1 / stride, 1 / stride), labels)


def model_output(dataset: CocoDataset, indices: Iterable[int], segmenter: Segmenter,
                 input_size: int, threshold: float) -> Iterator[Scene]:
    """Yield the grouped output of a model for each image."""
    if segmenter.model_info.class_names != CLASSES:
        raise SystemExit(f'expected a model of the classes {", ".join(CLASSES)}')
    segmenter.input_size = input_size or segmenter.input_size
    for index in indices:
        truth = dataset.load_ground_truth(index)
        inference = segmenter.infer(dataset.load_image(index))
        centers, _ = find_centers(inference.output, segmenter.model_info,
                                  GroupingConfig(center_threshold=threshold))
        yield Scene(inference.image, inference.output.semantic_ids,
                    assign_pixels(inference.output, centers), inference.scale,
                    (truth.semantic_ids, truth.instance_ids))


def compare(scenes: Iterable[Scene], variants: dict[str, RefinementConfig],
            matching: bool) -> dict[str, dict[str, float]]:
    """Return the figures of each variant; `matching`: equal ids mean the same object."""
    things = range(1, len(CLASSES))
    semantic = {name: SemanticScore(len(CLASSES)) for name in variants}
    panoptic = {name: PanopticScore(len(CLASSES), things) for name in variants}
    boundary = {name: BoundaryScore() for name in variants}
    overlaps = {name: [] for name in variants}
    for scene in scenes:
        ignore = scene.truth[0] == UNLABELLED
        truth_ids = panoptic_ids(*scene.truth)
        for name, config in variants.items():
            result = refine(*scene[:4], config)
            ids = panoptic_ids(*result)
            semantic[name].update(scene.truth[0], result[0])
            panoptic[name].update(scene.truth, result)
            boundary[name] += boundary_score(truth_ids, ids, ignore=ignore)
            if matching:
                overlaps[name] += segment_ious(truth_ids[~ignore], ids[~ignore])
    return {name: {
        'mIoU': float(semantic[name].miou),
        'segment IoU': float(np.mean(overlaps[name])) if matching else float('nan'),
        'PQ things': float(np.nanmean(panoptic[name].pq[list(things)])),
        'boundary F': boundary[name].f, 'precision': boundary[name].precision,
        'recall': boundary[name].recall} for name in variants}


def segment_ious(truth: np.ndarray, ids: np.ndarray) -> list[float]:
    """Return the IoU of each true segment with the segment of the same id."""
    names, counts = np.unique(truth, return_counts=True)
    predicted = dict(zip(*(array.tolist() for array in np.unique(ids, return_counts=True))))
    shared = dict(zip(*(array.tolist()
                        for array in np.unique(truth[truth == ids], return_counts=True))))
    return [shared.get(name, 0) / (count + predicted.get(name, 0) - shared.get(name, 0))
            for name, count in zip(names.tolist(), counts.tolist())]


if __name__ == '__main__':
    raise SystemExit(main())
