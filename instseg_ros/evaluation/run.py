"""All figures of a model, or of anybody's predictions, on one labelled data set."""
from __future__ import annotations

from typing import Any, Callable, Iterable, Protocol, Sequence

import numpy as np

from instseg_ros.core.types import ModelInfo, Segmentation
from instseg_ros.datasets.types import LabelledImages
from instseg_ros.evaluation.instances import detections_of
from instseg_ros.evaluation.predictions import Prediction, Predictions
from instseg_ros.evaluation.report import Evaluation

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Passes on what it is given and shows how far it is; `tqdm.tqdm` is one."""


class ImageSegmenter(Protocol):
    """What is evaluated; `Segmenter` is one."""

    model_info: ModelInfo

    def segment(self, image: np.ndarray) -> Segmentation:
        """Return class and object of every pixel."""


class ModelPredictions:
    """What a model says about the images of a data set, computed when asked for.

    Parameters
    ----------
    segmenter : ImageSegmenter
    dataset : LabelledImages
        Made with the class names of the segmenter's model.

    Raises
    ------
    ValueError
        Data set and model have other classes.
    """

    def __init__(self, segmenter: ImageSegmenter, dataset: LabelledImages) -> None:
        expected = segmenter.model_info.class_names
        if tuple(dataset.class_names) != tuple(expected):
            raise ValueError(f'dataset: expected the classes of the model {expected}, got '
                             f'{dataset.class_names}')
        self.segmenter = segmenter
        self.dataset = dataset

    def load(self, index: int) -> Prediction:
        """Return what the model says about image `index`."""
        segmentation = self.segmenter.segment(self.dataset.load_image(index))
        return Prediction(segmentation, list(detections_of(segmentation)))


def evaluate_predictions(predictions: Predictions, dataset: LabelledImages,
                         thing_ids: Sequence[int], progress: Progress = iter) -> Evaluation:
    """Compare predictions with a data set, image by image.

    Parameters
    ----------
    predictions : Predictions
    dataset : LabelledImages
    thing_ids : sequence of int
        Classes that have instances.
    progress : callable
        Wraps the sequence of image indices, for example `tqdm.tqdm`.

    Raises
    ------
    DatasetError
        An image, an annotation or a prediction can't be used.
    """
    evaluation = Evaluation(dataset.class_names, thing_ids)
    for index in progress(range(len(dataset))):
        evaluation.update(dataset.load_ground_truth(index), predictions.load(index),
                          dataset.image_name(index))
    return evaluation


def evaluate(segmenter: ImageSegmenter, dataset: LabelledImages,
             progress: Progress = iter) -> dict[str, Any]:
    """Return all figures of a model on a data set; see `Evaluation.report`.

    Raises
    ------
    DatasetError
        An image or an annotation can't be used.
    ValueError
        Data set and model have other classes.
    """
    predictions = ModelPredictions(segmenter, dataset)
    return evaluate_predictions(predictions, dataset, segmenter.model_info.thing_ids,
                                progress).report()
