"""A made-up street, and a network output that fits it.

The output is simulated from the true labels: label maps on the output grid whose boundaries are
off by about half an output pixel, a strong center for each object among weak maxima, and noisy
embeddings. The same arguments always give the same scene.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from instseg_ros.benchmark.measurement import BenchmarkConfig
from instseg_ros.core.types import Inference, ModelInfo, NetworkOutput
from instseg_ros.datasets.scenes import Scene as Street
from instseg_ros.datasets.scenes import make_scene

EMBEDDING_SIZE = 32


@dataclass(frozen=True)
class Scene:
    """A made-up image, its true labels and a network output for it.

    Attributes
    ----------
    inference : Inference
        The image (H0, W0, 3), the network's output and the scale between them.
    semantic_ids : (H0, W0) uint8
        The true classes.
    instance_ids : (H0, W0) uint16
        The true objects.
    instances : int
        Number of objects that were drawn; nearer ones may hide others.
    info : ModelInfo
        Of a network with this output.
    """

    inference: Inference
    semantic_ids: np.ndarray
    instance_ids: np.ndarray
    instances: int
    info: ModelInfo


def scene_info(classes: int = BenchmarkConfig.classes, *,
               stride: int = BenchmarkConfig.output_stride) -> ModelInfo:
    """Describe a network of so many classes; about 8 of 19 are things, as in Cityscapes."""
    things = max(1, classes * 8 // 19)
    return ModelInfo(
        class_names=tuple(f'class {index}' for index in range(classes)),
        thing_ids=tuple(range(classes - things, classes)), palette=((0, 0, 0),) * classes,
        output_stride=stride, size_multiple=stride, embedding_size=EMBEDDING_SIZE, input_size=1)


def street_scene(size: tuple[int, int], instances: int = BenchmarkConfig.instances,
                 info: ModelInfo | None = None, grid: tuple[int, int] | None = None,
                 seed: int = 0) -> Scene:
    """Make a scene.

    Parameters
    ----------
    size : (int, int)
        Height and width of the image.
    instances : int
        Objects that are drawn; none if the network has no thing classes.
    info : ModelInfo, optional
        Classes, output stride and length of the embeddings; by default `scene_info()`.
    grid : (int, int), optional
        Height and width of the network's output; by default `size` over the output stride.
    seed : int
    """
    rng = np.random.default_rng(seed)
    info = info or scene_info()
    if grid is None:
        grid = -(-size[0] // info.output_stride), -(-size[1] // info.output_stride)
    instances = instances if info.thing_ids else 0
    street = make_scene(rng, *size, things=instances)
    semantic_ids, instance_ids = _semantic_ids(street, info), street.instance_ids
    scale = grid[0] / size[0], grid[1] / size[1]
    places = _displaced(grid, scale, size, rng)
    output = _simulated_output(semantic_ids[places], instance_ids[places], instances, info, rng)
    return Scene(Inference(street.image, output, scale), semantic_ids, instance_ids, instances,
                 info)


def _semantic_ids(street: Street, info: ModelInfo) -> np.ndarray:
    """Return the street's semantic ids in the network's classes, which objects take in turns."""
    things = np.array(info.thing_ids, np.uint8)
    stuff = np.setdiff1d(np.arange(len(info.class_names), dtype=np.uint8), things)
    stuff = stuff if len(stuff) else things
    semantic_ids = stuff[street.semantic_ids % len(stuff)]
    is_thing = street.instance_ids > 0
    semantic_ids[is_thing] = things[street.instance_ids[is_thing] % len(things)]
    return semantic_ids


def _displaced(grid: tuple[int, int], scale: tuple[float, float], size: tuple[int, int],
               rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and column of the image that each output pixel takes its label from."""
    place = np.mgrid[:grid[0], :grid[1]] + .5
    noise = np.stack([cv2.GaussianBlur(layer, (0, 0), 1.0)
                      for layer in rng.normal(size=place.shape)])
    place += .5 * noise / max(noise.std(), 1e-9)
    rows, columns = (np.clip(axis / step, 0, side - 1).astype(int)
                     for axis, step, side in zip(place, scale, size))
    return rows, columns


def _simulated_output(semantic_ids: np.ndarray, instance_ids: np.ndarray, instances: int,
                      info: ModelInfo, rng: np.random.Generator) -> NetworkOutput:
    """Return an output whose grouping is `instance_ids`.

    An embedding is the position, as in our models, plus a direction of each object's own and
    noise. Each object has one strong center; a tenth of all pixels are weak local maxima.
    """
    shape = semantic_ids.shape
    embedding = rng.normal(0, .1, (*shape, info.embedding_size)).astype(np.float32)
    for axis, steps in enumerate(np.mgrid[:shape[0], :shape[1]][:min(2, info.embedding_size)]):
        embedding[..., axis] += .09 * steps
    directions = rng.normal(size=(instances + 1, info.embedding_size))
    directions *= 3 / np.linalg.norm(directions, axis=1, keepdims=True)
    directions[0] = 0
    embedding += directions.astype(np.float32)[instance_ids]
    heatmap = np.where(rng.random(shape) < .1, rng.uniform(0, .5, shape), 0).astype(np.float32)
    order = np.argsort(instance_ids, axis=None, kind='stable')
    numbers, first, counts = np.unique(instance_ids.ravel()[order], return_index=True,
                                       return_counts=True)
    middles = order[first + counts // 2][numbers > 0]
    heatmap.ravel()[middles] = rng.uniform(.75, 1, len(middles))
    return NetworkOutput(semantic_ids, heatmap, embedding)
