"""The data that the stages pass on: frozen dataclasses with checked shapes and dtypes.

Pixels are (y, x) unless a name ends in xyxy. H, W is the network's output grid, H0, W0 the camera
image.
"""
from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, Mapping, Protocol

import numpy as np

UNLABELLED = 255
"""Semantic id of a pixel without a class (`vision_msgs/LabelInfo`: the largest id of the type)."""

BACKGROUND = 'background'
"""Name of the class, if a model has it, of what is none of the others."""

NO_INSTANCE = 0
"""Instance id of a pixel that belongs to no instance."""

METADATA_KEY = 'instseg_ros'
FORMAT_VERSION = 1


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


@dataclass(frozen=True)
class ModelInfo:
    """The description of a model, stored in the metadata of its ONNX file.

    Attributes
    ----------
    class_names : tuple of str
        Name of each semantic id.
    thing_ids : tuple of int
        Semantic ids whose pixels are grouped into instances; the others are stuff.
    palette : tuple of (int, int, int)
        RGB colour of each semantic id.
    output_stride : int
        Pixels of the network's input per pixel of its output.
    size_multiple : int
        The network's input height and width must be multiples of this.
    embedding_size : int
        Length of a pixel's embedding.
    input_size : int
        Long side in pixels to which an image is scaled by default.
    score_scale, score_shift : float
        Calibration of an instance's score from its center's confidence, see
        `instseg_ros.core.instances.instance_scores`; by default both are the same.
    duplicate_distance : float
        Centers of one class whose embeddings are nearer than this count as the same object. Files
        without the entry were trained for 2.
    training : dict
        About the training (data, duration, figures), for people.
    """

    class_names: tuple[str, ...]
    thing_ids: tuple[int, ...]
    palette: tuple[tuple[int, int, int], ...]
    output_stride: int
    size_multiple: int
    embedding_size: int
    input_size: int
    score_scale: float = 1.0
    score_shift: float = 0.0
    duplicate_distance: float = 2.0
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.class_names)
        if not 1 <= count <= UNLABELLED:
            raise ValueError(f'class_names: expected 1 to {UNLABELLED} names, got {count}')
        if len(set(self.class_names)) != count:
            raise ValueError(f'class_names: expected distinct names, got {self.class_names}')
        if len(self.palette) != count:
            raise ValueError(f'palette: expected {count} colours, got {len(self.palette)}')
        for color in self.palette:
            if len(color) != 3 or not all(0 <= value <= 255 for value in color):
                raise ValueError(f'palette: expected RGB colours of 0 to 255, got {color}')
        if any(not 0 <= thing < count for thing in self.thing_ids):
            raise ValueError(f'thing_ids: expected ids below {count}, got {self.thing_ids}')
        for name in ('output_stride', 'size_multiple', 'embedding_size', 'input_size'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name}: expected at least 1, got {getattr(self, name)}')
        if not (self.score_scale > 0 and math.isfinite(self.score_scale)
                and math.isfinite(self.score_shift)):
            raise ValueError('score_scale, score_shift: expected finite numbers, the first above '
                             f'0, got {self.score_scale} and {self.score_shift}')
        if not (self.duplicate_distance >= 0 and math.isfinite(self.duplicate_distance)):
            raise ValueError('duplicate_distance: expected a finite number of at least 0, got '
                             f'{self.duplicate_distance}')
        if self.size_multiple % self.output_stride:
            raise ValueError(f'size_multiple: expected a multiple of output_stride '
                             f'{self.output_stride}, got {self.size_multiple}')

    def to_metadata(self) -> dict[str, str]:
        """Return the entry for an ONNX file's metadata."""
        return {METADATA_KEY: json.dumps({'format_version': FORMAT_VERSION,
                                          **dataclasses.asdict(self)})}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> ModelInfo:
        """Read the entry of an ONNX file's metadata.

        Raises
        ------
        ValueError
            The entry is missing, damaged or of another format version.
        """
        if METADATA_KEY not in metadata:
            raise ValueError(f'no "{METADATA_KEY}" entry in the metadata of the model: it was not '
                             'exported by "instseg export" (classes and palette are unknown)')
        try:
            values = json.loads(metadata[METADATA_KEY])
            version = values.pop('format_version')
            if version != FORMAT_VERSION:
                raise ValueError(f'model format {version}: this version reads format '
                                 f'{FORMAT_VERSION}; export the model again')
            return cls(**{**values,
                          'class_names': tuple(values['class_names']),
                          'thing_ids': tuple(int(thing) for thing in values['thing_ids']),
                          'palette': tuple(tuple(color) for color in values['palette'])})
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f'the "{METADATA_KEY}" entry in the metadata of the model is '
                             f'damaged: {error}') from error


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
    """

    semantic_ids: np.ndarray
    center_heatmap: np.ndarray
    embedding: np.ndarray | DeviceArray

    def __post_init__(self) -> None:
        check_array('semantic_ids', self.semantic_ids, ('H', 'W'), np.uint8)
        shape = self.semantic_ids.shape
        check_array('center_heatmap', self.center_heatmap, shape, np.float32)
        if isinstance(self.embedding, np.ndarray):
            check_array('embedding', self.embedding, (*shape, 'E'), np.float32)
        elif self.embedding.shape[:2] != shape:
            raise ValueError(f'embedding: expected {shape[0]} rows and {shape[1]} columns, got '
                             f'shape {self.embedding.shape}')


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
    """

    semantic_ids: np.ndarray
    instance_ids: np.ndarray
    instances: tuple[Instance, ...] = ()
    instances_dropped: int = 0
    timings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_array('semantic_ids', self.semantic_ids, ('H0', 'W0'), np.uint8)
        check_array('instance_ids', self.instance_ids, self.semantic_ids.shape, np.uint16)
