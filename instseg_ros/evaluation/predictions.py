"""Predictions to be evaluated: those of a model, or of anything with the same interface."""
from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from instseg_ros.core.types import ModelInfo, Segmentation
from instseg_ros.datasets.types import LabelledImages
from instseg_ros.evaluation.instances import Detection, detections_of


class Prediction(NamedTuple):
    """Prediction for one image: label maps, and objects whose masks may overlap."""

    segmentation: Segmentation
    detections: list[Detection]


class Predictions(Protocol):
    """Predictions for every image of a data set."""

    def load(self, index: int) -> Prediction:
        """Return the prediction for image `index` of the data set."""


class ImageSegmenter(Protocol):
    """A model to be evaluated; `Segmenter` is one."""

    model_info: ModelInfo

    def segment(self, image: np.ndarray) -> Segmentation:
        """Return class and object of every pixel."""


class ModelPredictions:
    """Predictions of a model for the images of a data set, computed by `load`.

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
        """Return the prediction for image `index`."""
        segmentation = self.segmenter.segment(self.dataset.load_image(index))
        return Prediction(segmentation, list(detections_of(segmentation)))
