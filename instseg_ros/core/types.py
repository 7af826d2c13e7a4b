"""The data that the stages pass on: frozen dataclasses with checked shapes and dtypes.

Pixels are (y, x) unless a name ends in xyxy. H, W is the network's output grid, H0, W0 the camera
image.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Protocol

import numpy as np

from instseg_ros.core.model_info import MAX_CLASSES, ModelInfo

__all__ = ['NO_INSTANCE', 'UNLABELLED', 'Centers', 'DeviceArray', 'Inference', 'Instance',
           'ModelInfo', 'NetworkOutput', 'Segmentation', 'check_array']

UNLABELLED = MAX_CLASSES
"""Semantic id of a pixel without a class (`vision_msgs/LabelInfo`: the largest id of the type)."""

BACKGROUND = 'background'
"""Name of the class, if a model has it, of what is none of the others."""

NO_INSTANCE = 0
"""Instance id of a pixel that belongs to no instance."""


def check_array(name: str, array: Any, shape: tuple[int | str, ...], dtype: Any) -> None:
    """Check an array's dtype and shape; strings in `shape` stand for any length.

    Raises
    ------
    TypeError
        `array` is not a NumPy array, or has another dtype.
    ValueError
        The shape differs.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f'{name}: expected a NumPy array, got {type(array).__name__}')
    if array.dtype != np.dtype(dtype):
        raise TypeError(f'{name}: expected dtype {np.dtype(dtype)}, got {array.dtype}')
    if len(shape) != array.ndim or any(
            isinstance(want, int) and want != got for want, got in zip(shape, array.shape)):
        want = '(' + ', '.join(str(length) for length in shape) + ')'
        raise ValueError(f'{name}: expected shape {want}, got {array.shape}')


class DeviceArray(Protocol):
    """An embedding (H, W, E) float32 in the memory of a GPU, with the operations of the grouping.

    See `instseg_ros.core.network.device_grouping`.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """H, W and E."""

    def crop(self, rows: int, columns: int) -> DeviceArray:
        """Return the first rows and columns."""

    def take(self, pixels: np.ndarray) -> np.ndarray:
        """Return the embeddings (K, E) float32 of pixels (K,), flat indices in raster order."""

    def assign(self, semantic_ids: np.ndarray, centers: Centers) -> np.ndarray:
        """Assign every pixel to a center, as `instseg_ros.core.grouping.assign_pixels`."""


@dataclass(frozen=True)
class NetworkOutput:
    """The network's output for one image.

    Attributes
    ----------
    semantic_ids : (H, W) uint8
    center_heatmap : (H, W) float32, in [0, 1]
        Calibrated confidence to be the center of an instance; 0 where a neighbour is stronger.
    embedding : (H, W, E) float32
        In the memory of the CPU or of a GPU.
    semantic_confidence : (H, W) uint8, optional
        Softmax probability of the class in `semantic_ids`, times 255. Older model files don't have
        this output.
    """

    semantic_ids: np.ndarray
    center_heatmap: np.ndarray
    embedding: np.ndarray | DeviceArray
    semantic_confidence: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_array('semantic_ids', self.semantic_ids, ('H', 'W'), np.uint8)
        shape = self.semantic_ids.shape
        check_array('center_heatmap', self.center_heatmap, shape, np.float32)
        if isinstance(self.embedding, np.ndarray):
            check_array('embedding', self.embedding, (*shape, 'E'), np.float32)
        elif self.embedding.shape[:2] != shape:
            raise ValueError(f'embedding: expected {shape[0]} rows and {shape[1]} columns, got '
                             f'shape {self.embedding.shape}')
        if self.semantic_confidence is not None:
            check_array('semantic_confidence', self.semantic_confidence, shape, np.uint8)


@dataclass(frozen=True)
class Inference:
    """The network's output for an image, and what is needed to get back to the image.

    Attributes
    ----------
    image : (H0, W0, 3) uint8, RGB
    output : NetworkOutput
        The part of the output grid that shows the image.
    scale : (float, float)
        Output pixels per image pixel in y and x, see `instseg_ros.core.scaling`.
    timings : dict of str to float
        Seconds spent so far in each stage.
    """

    image: np.ndarray
    output: NetworkOutput
    scale: tuple[float, float]
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Centers:
    """Instance centers on the network's output grid, strongest first.

    Attributes
    ----------
    points : (K, 2) float32
        (y, x) in output pixels.
    confidences : (K,) float32
        Calibrated, descending.
    class_ids : (K,) uint8
    embeddings : (K, E) float32
    """

    points: np.ndarray
    confidences: np.ndarray
    class_ids: np.ndarray
    embeddings: np.ndarray

    def __post_init__(self) -> None:
        check_array('points', self.points, ('K', 2), np.float32)
        count = len(self.points)
        check_array('confidences', self.confidences, (count,), np.float32)
        check_array('class_ids', self.class_ids, (count,), np.uint8)
        check_array('embeddings', self.embeddings, (count, 'E'), np.float32)

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class Instance:
    """One object in the camera image.

    Attributes
    ----------
    instance_id : int
        Its pixel value in `Segmentation.instance_ids`, from 1.
    class_id : int
    class_name : str
    score : float
        In [0, 1]: how probable it is that there is such an object and the mask overlaps with it
        at an IoU above 0.5; as good as the model's calibration.
    center_yx : (float, float)
        Predicted center, in pixels of the camera image.
    box_xyxy : (int, int, int, int)
        Left, top, right, bottom; right and bottom are exclusive.
    area : int
        Number of pixels.
    """

    instance_id: int
    class_id: int
    class_name: str
    score: float
    center_yx: tuple[float, float]
    box_xyxy: tuple[int, int, int, int]
    area: int


@dataclass(frozen=True)
class Segmentation:
    """Class and object of every pixel of one camera image.

    Attributes
    ----------
    semantic_ids : (H0, W0) uint8
        255: unlabelled.
    instance_ids : (H0, W0) uint16
        0: no instance. Every pixel of an instance has the instance's class in `semantic_ids`.
    instances : tuple of Instance
        Strongest first; each has at least one pixel.
    instances_dropped : int
        Number of centers beyond `max_instances` that were dropped.
    timings : dict of str to float
        Seconds spent in each stage, in order.
    semantic_confidence : (H0, W0) uint8, optional
        Softmax probability of each pixel's class, times 255; None unless it was requested.
    """

    semantic_ids: np.ndarray
    instance_ids: np.ndarray
    instances: tuple[Instance, ...] = ()
    instances_dropped: int = 0
    timings: Mapping[str, float] = field(default_factory=dict)
    semantic_confidence: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_array('semantic_ids', self.semantic_ids, ('H0', 'W0'), np.uint8)
        check_array('instance_ids', self.instance_ids, self.semantic_ids.shape, np.uint16)
        if self.semantic_confidence is not None:
            check_array('semantic_confidence', self.semantic_confidence, self.semantic_ids.shape,
                        np.uint8)
