"""Metrics of a network with the truth in place of some of its parts: which part limits it.

For a checkpoint whose network starts from a detector. The truth is that of the output grid:

  semantic    each pixel's class
  evidence    the boxes that raise and lower class logits: those of all objects, of a score of 1
  centers     one peak for each object, at the pixel of its mask that is nearest to the centroid
  embeddings  at the pixels of an object, the box of its mask

Pixels that are not labelled keep what the network predicts. For example:

  python benchmarks/upper_bounds.py build/street.ckpt --raw-threshold 0.3 \
      --images $INSTSEG_DATA/coco_street_clean/images \
      --annotations $INSTSEG_DATA/coco_street_clean/annotations/instances.json \
      --truth '' semantic centers embeddings centers+embeddings semantic+centers+embeddings
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

import numpy as np
import torch
from torch import Tensor

from instseg_ros.core.config import GroupingConfig, RefinementConfig
from instseg_ros.core.postprocessing import Postprocessor
from instseg_ros.core.scaling import scale_image
from instseg_ros.core.types import UNLABELLED
from instseg_ros.datasets.config import DataSetConfig
from instseg_ros.datasets.opening import open_dataset
from instseg_ros.datasets.types import LabelledImages
from instseg_ros.evaluation.evaluation import evaluate_predictions
from instseg_ros.evaluation.instances import detections_of
from instseg_ros.evaluation.predictions import Prediction
from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.checkpoints import load_checkpoint
from instseg_ros.learning.detector.evidence import Boxes
from instseg_ros.learning.detector.modes import embed_boxes
from instseg_ros.learning.detector.network import BOX, DetectorNetwork
from instseg_ros.learning.export.onnx_export import model_info
from instseg_ros.learning.export.wrapper import ExportedNetwork
from instseg_ros.learning.samples import CachedSamples, WholeImages

SURE = 30.0
"""Logit of what is true."""

COLUMNS = ('mIoU', 'AP50', 'small', 'medium', 'large', 'AP', 'PQ of things', 'false an image',
           'recall')


class PartlyTrue:
    """Predictions of a network for a data set, with the truth in place of some parts.

    Parameters
    ----------
    network : DetectorNetwork
    exported : ExportedNetwork
        Of the same network.
    postprocessor : Postprocessor
    dataset : LabelledImages
    parts : set of str
        Which parts are replaced.
    """

    def __init__(self, network: DetectorNetwork, exported: ExportedNetwork,
                 postprocessor: Postprocessor, dataset: LabelledImages,
                 parts: frozenset[str]) -> None:
        self.network, self.exported, self.postprocessor = network, exported, postprocessor
        self.dataset, self.parts = dataset, parts
        info = postprocessor.info
        self.truths = WholeImages(CachedSamples(dataset, range(len(dataset)), cache_gb=0),
                                  info.input_size, info.size_multiple, info.output_stride)

    def load(self, index: int) -> Prediction:
        """Return the prediction for image `index`."""
        truth, info = self.truths[index], self.postprocessor.info
        scaled = scale_image(self.dataset.load_image(index), info.input_size,
                             info.size_multiple, info.output_stride)
        class_logits, evidence = self.network.class_logits, self.network.evidence.forward
        if 'semantic' in self.parts:
            self.network.class_logits = lambda *inputs: true_logits(
                class_logits(*inputs), truth['semantic_ids'][None])
        if 'evidence' in self.parts:
            boxes = true_evidence(truth['semantic_ids'], truth['instance_ids'],
                                  self.network.thing_ids, info.output_stride)
            self.network.evidence.forward = lambda logits, _: evidence(logits, boxes)
        with torch.no_grad():
            prediction = self.network(truth['image'][None].float())
            if 'centers' in self.parts:
                prediction = prediction._replace(center=true_centers(truth['instance_ids'])[None])
            if 'embeddings' in self.parts:
                prediction = prediction._replace(corrected=None, embedding=true_boxes(
                    prediction.embedding, truth['instance_ids'], info.output_stride))
            output = self.exported.output_of(prediction)
        self.network.class_logits, self.network.evidence.forward = class_logits, evidence
        segmentation = self.postprocessor.run(scaled.crop(output),
                                              self.dataset.load_image(index), scaled.scale)
        return Prediction(segmentation, list(detections_of(segmentation)))


def true_logits(logits: Tensor, semantic_ids: Tensor) -> Tensor:
    """Return the class logits (N, C, H, W), beyond doubt where the class is known."""
    known = semantic_ids != UNLABELLED
    right = torch.nn.functional.one_hot(semantic_ids.where(known, torch.zeros_like(semantic_ids)),
                                        logits.shape[1]).movedim(-1, 1) * SURE
    return torch.where(known[:, None], right.to(logits.dtype), logits)


def true_centers(instance_ids: Tensor) -> Tensor:
    """Return logits (H, W) that are high at one pixel of each object only."""
    logits = torch.full(instance_ids.shape, -SURE)
    for instance_id in instance_ids.unique():
        if instance_id:
            pixels = (instance_ids == instance_id).nonzero().float()
            nearest = pixels[(pixels - pixels.mean(0)).square().sum(1).argmin()].long()
            logits[nearest[0], nearest[1]] = SURE
    return logits


def true_boxes(embedding: Tensor, instance_ids: Tensor, stride: int) -> Tensor:
    """Return the embedding (1, E, H, W) with the box of its object at each pixel of one."""
    result = embedding.clone()
    for mask, box in objects_of(instance_ids, stride):
        result[0, :BOX, mask] = embed_boxes(box.view(1, 4, 1, 1)).view(4, 1)
    return result


def true_evidence(semantic_ids: Tensor, instance_ids: Tensor, thing_ids: Sequence[int],
                  stride: int) -> Boxes:
    """Return the boxes of all objects, of a score of 1."""
    objects = objects_of(instance_ids, stride)
    classes = [thing_ids.index(int(semantic_ids[mask][0])) for mask, _ in objects]
    corners = torch.stack([box for _, box in objects]) if objects else torch.zeros(0, 4)
    return Boxes(torch.ones(1, len(objects)), torch.tensor([classes], dtype=torch.int64),
                 corners[None])


def objects_of(instance_ids: Tensor, stride: int) -> list[tuple[Tensor, Tensor]]:
    """Return the mask (H, W) of each object, and its box (4,) in pixels of the input."""
    found = []
    for instance_id in instance_ids.unique():
        if instance_id:
            mask = instance_ids == instance_id
            rows, columns = mask.nonzero().unbind(1)
            box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            found.append((mask, (box * stride).float()))
    return found


def row(report: dict) -> list[float]:
    """Return the figures of a report, in the order of `COLUMNS`."""
    instance, objects = report['instance'], report['objects']
    return [report['semantic']['miou'], instance['ap50'],
            *(instance[f'ap50_{size}'] for size in ('small', 'medium', 'large')), instance['ap'],
            report['panoptic']['pq_things'], objects['per_image']['false'], objects['recall']]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('--images', required=True)
    parser.add_argument('--annotations', required=True)
    parser.add_argument('--labelled', nargs='+', default=[])
    parser.add_argument('--raw-threshold', type=float, required=True,
                        help='confidence of a center before calibration')
    parser.add_argument('--truth', nargs='+', default=['', 'semantic', 'centers', 'embeddings'],
                        help="parts, joined by '+'")
    args = parser.parse_args()
    network, config, _ = load_checkpoint(args.checkpoint)
    info = model_info(network, config.data.classes, config.data.thing_ids,
                      config.model.input_size, {},
                      duplicate_distance=config.loss.duplicate_distance)
    dataset = open_dataset(DataSetConfig(images=args.images, annotations=args.annotations,
                                         labelled=args.labelled),
                           config.data.classes, config.data.thing_ids)
    exported = ExportedNetwork(network, Calibration(1.0, 0.0))
    postprocessor = Postprocessor(info, GroupingConfig(args.raw_threshold), RefinementConfig())
    print('| truth | ' + ' | '.join(COLUMNS) + ' |')
    print('| --- ' * (1 + len(COLUMNS)) + '|')
    for parts in args.truth:
        predictions = PartlyTrue(network, exported, postprocessor, dataset,
                                 frozenset(filter(None, parts.split('+'))))
        report = evaluate_predictions(predictions, dataset, info.thing_ids).report()
        figures = ' | '.join(f'{value:.3f}' for value in np.array(row(report), float))
        print(f'| {parts.replace("+", ", ") or "none"} | {figures} |', flush=True)


if __name__ == '__main__':
    main()
