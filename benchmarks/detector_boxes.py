"""Write the boxes of a detector as filled masks, to compare a model with the detector it is of.

Boxes of one class that overlap a stronger one by more than an IoU of 0.6 are dropped. For example:

  python benchmarks/detector_boxes.py build/street_start.ckpt --out build/boxes.json \
      --images $INSTSEG_DATA/coco_street_clean/images \
      --annotations $INSTSEG_DATA/coco_street_clean/annotations/instances.json
  instseg evaluate --predictions build/boxes.json --images ... --annotations ... \
      --classes background person bicycle car motorcycle
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from instseg_ros.core.scaling import scale_image
from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.learning.checkpoints import load_checkpoint
from instseg_ros.learning.detector.evidence import Boxes, strongest_boxes

LEAST_SCORE, OVERLAP = 0.05, 0.6


def main() -> None:
    """Write a COCO results file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('--images', type=Path, required=True)
    parser.add_argument('--annotations', type=Path, required=True)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    network, config, _ = load_checkpoint(args.checkpoint)
    dataset = CocoDataset(args.images, args.annotations, config.data.classes)
    ids = {record['name']: record['id'] for record in dataset.categories}
    results = []
    for index, record in enumerate(dataset.images):
        image = dataset.load_image(index)
        scaled = scale_image(image, config.model.input_size, network.size_multiple, 1)
        pixels = torch.from_numpy(scaled.pixels).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            boxes = strongest_boxes(network(pixels).detections)
        limits = np.array([image.shape[1], image.shape[0]] * 2)
        scale = np.array([scaled.scale[1], scaled.scale[0]] * 2)
        for k in strongest_of_overlapping(boxes):
            name = network.thing_names[boxes.classes[0, k]]
            if name in ids:
                left, top, right, bottom = np.clip(boxes.corners[0, k].numpy() / scale, 0,
                                                   limits).tolist()
                results.append({
                    'image_id': record['id'], 'category_id': ids[name],
                    'score': round(boxes.scores[0, k].item(), 4),
                    'segmentation': [[left, top, right, top, right, bottom, left, bottom]]})
    args.out.write_text(json.dumps(results))
    print(f'{len(results)} boxes of {len(dataset)} images: {args.out}')


def strongest_of_overlapping(boxes: Boxes) -> list[int]:
    """Return which boxes of an image are kept, strongest first."""
    kept: list[int] = []
    for k in boxes.scores[0].argsort(descending=True).tolist():
        corners, class_id = boxes.corners[0, k], boxes.classes[0, k]
        rivals = [j for j in kept if boxes.classes[0, j] == class_id]
        if boxes.scores[0, k] >= LEAST_SCORE and not any(
                overlap(corners, boxes.corners[0, j]) > OVERLAP for j in rivals):
            kept.append(k)
    return kept


def overlap(a: Tensor, b: Tensor) -> float:
    """Return the IoU of two boxes (4,)."""
    sides = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0)
    areas = [(box[2:] - box[:2]).prod() for box in (a, b)]
    return float(sides.prod() / (sum(areas) - sides.prod()).clamp(min=1e-6))


if __name__ == '__main__':
    main()
