"""Metrics of a model at several thresholds of the center confidence.

The network runs once for each image; post-processing is repeated for each threshold. The threshold
of the *score*, which filters instances after grouping, is in `instseg_ros.evaluation.confidence`.
"""
from __future__ import annotations

import dataclasses
from typing import Any, Sequence

from instseg_ros.core.segmenter import Segmenter
from instseg_ros.datasets.types import LabelledImages
from instseg_ros.evaluation.confidence import operating_point
from instseg_ros.evaluation.evaluation import without_nan
from instseg_ros.evaluation.instances import InstanceScore, detections_of
from instseg_ros.evaluation.panoptic import PanopticScore
from instseg_ros.evaluation.partial_labels import restrict_to_labels
from instseg_ros.evaluation.predictions import Prediction
from instseg_ros.evaluation.semantic import mean_of_known

CENTER_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class CenterThresholds:
    """Predictions of a model, which collect metrics at other thresholds as they are loaded.

    Parameters
    ----------
    segmenter : Segmenter
        Its own threshold is always among those that are compared.
    dataset : LabelledImages
    thresholds : sequence of float
        Further ones, in [0, 1].
    """

    def __init__(self, segmenter: Segmenter, dataset: LabelledImages,
                 thresholds: Sequence[float] = CENTER_THRESHOLDS) -> None:
        self.dataset = dataset
        grouping = segmenter.postprocessor.grouping
        self.used = grouping.center_threshold
        self.thing_ids = list(segmenter.model_info.thing_ids)
        count = len(segmenter.model_info.class_names)
        self.infer = segmenter.infer
        self.postprocessors = {threshold: dataclasses.replace(
            segmenter.postprocessor,
            grouping=dataclasses.replace(grouping, center_threshold=threshold))
            for threshold in sorted({*thresholds, self.used})}
        self.instances = {threshold: InstanceScore(count) for threshold in self.postprocessors}
        self.panoptic = {threshold: PanopticScore(count, self.thing_ids)
                         for threshold in self.postprocessors}
        self.images = 0

    def load(self, index: int) -> Prediction:
        """Return the prediction for image `index` at the segmenter's own threshold."""
        truth = self.dataset.load_ground_truth(index)
        inference = self.infer(self.dataset.load_image(index))
        predictions = {}
        for threshold, postprocessor in self.postprocessors.items():
            found = postprocessor.run(inference.output, inference.image, inference.scale)
            predictions[threshold] = Prediction(found, list(detections_of(found)))
            self.instances[threshold].update(truth, predictions[threshold].detections)
            self.panoptic[threshold].update((truth.semantic_ids, truth.instance_ids),
                                            restrict_to_labels(found, truth))
        self.images += 1
        return predictions[self.used]

    def report(self) -> dict[str, Any]:
        """Return the metrics of all images that were loaded.

        Returns
        -------
        dict
            `used`: the segmenter's own threshold; `thresholds`: for each one `threshold`,
            `detections`, `precision`, `recall` and `f1` (of the detections of all classes
            together, at IoU 0.50), `ap50`, `pq`, `pq_things`, `missed` and `false` (an image).
            None stands for a metric without a value.
        """
        return without_nan({'used': self.used,
                            'thresholds': [self._row(key) for key in self.postprocessors]})

    def _row(self, threshold: float) -> dict[str, float]:
        precision, panoptic = self.instances[threshold].compute(), self.panoptic[threshold]
        things = self.thing_ids
        return {'threshold': threshold,
                **operating_point(precision.right, precision.objects),
                'ap50': precision.mean(iou50=True), 'pq': mean_of_known(panoptic.pq),
                'pq_things': mean_of_known(panoptic.pq[things]),
                'missed': int(panoptic.missed[things].sum()) / max(self.images, 1),
                'false': int(panoptic.false[things].sum()) / max(self.images, 1)}
