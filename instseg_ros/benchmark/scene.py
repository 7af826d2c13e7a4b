"""A made-up street: an image, its true labels, and what a network might say about it.

Regions of stuff with objects in front, ragged, blurred and noisy; the network's label maps are the
true ones on the output grid, off by half an output pixel or so at the boundaries. The same numbers
always give the same scene.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from instseg_ros.benchmark.config import BenchmarkConfig
from instseg_ros.core.types import Inference, ModelInfo, NetworkOutput

EMBEDDING_SIZE = 32
REGIONS = 18
REGION_RADIUS = (100, 450)
"""In pixels of an image 1024 pixels high."""

OBJECT_RADIUS = (15, 70)
"""The same, where there are as many objects as by default."""

_DEFAULTS = BenchmarkConfig()


@dataclass(frozen=True)
class Scene:
    """A made-up image and what is to be said about it.

    Attributes
    ----------
    inference : Inference
        The image (H0, W0, 3), the network's output and the scale between them.
    semantic_ids : (H0, W0) uint8
        The true classes.
    instance_ids : (H0, W0) uint16
        The true objects.
    instances : int
        Number of objects that were drawn.
    info : ModelInfo
        Of the network that would say this.
    """

    inference: Inference
    semantic_ids: np.ndarray
    instance_ids: np.ndarray
    instances: int
    info: ModelInfo


def scene_info(classes: int = _DEFAULTS.classes, *,
               stride: int = _DEFAULTS.output_stride) -> ModelInfo:
    """Describe a network of so many classes; about 8 of 19 are things, as in Cityscapes."""
    things = max(1, classes * 8 // 19)
    return ModelInfo(
        class_names=tuple(f'class {index}' for index in range(classes)),
        thing_ids=tuple(range(classes - things, classes)), palette=((0, 0, 0),) * classes,
        output_stride=stride, size_multiple=stride, embedding_size=EMBEDDING_SIZE, input_size=1)


def street_scene(size: tuple[int, int], instances: int = _DEFAULTS.instances,
                 info: ModelInfo = scene_info(), grid: tuple[int, int] | None = None,
                 seed: int = 0) -> Scene:
    """Make a scene.

    All objects together cover about the same share of the image, however many there are: what
    grows with their number is nothing but their number, and the length of their outlines.

    Parameters
    ----------
    size : (int, int)
        Height and width of the image.
    instances : int
        Objects that are drawn. One that others cover has no center.
    info : ModelInfo
        Classes, output stride and length of the embeddings.
    grid : (int, int), optional
        Height and width of the network's output; by default `size` over the output stride.
    seed : int
    """
    rng = np.random.default_rng(seed)
    grid = grid or tuple(-(-side // info.output_stride) for side in size)
    image, *labels = _paint(size, instances, info, rng)
    scale = tuple(output / side for output, side in zip(grid, size))
    rows, columns = _displaced(grid, scale, size, rng)
    output = _say(*(np.ascontiguousarray(ids[rows, columns]) for ids in labels), instances, info,
                  rng)
    return Scene(Inference(image, output, scale), *labels, instances, info)


def _paint(size: tuple[int, int], instances: int, info: ModelInfo, rng: np.random.Generator
           ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image and its semantic and instance ids; each region has a colour of its own."""
    stuff = [index for index in range(len(info.class_names)) if index not in info.thing_ids]
    semantic_ids, instance_ids = np.zeros(size, np.uint8), np.zeros(size, np.uint16)
    semantic_ids[:] = stuff[0] if stuff else info.thing_ids[0]
    colors = np.full((*size, 3), rng.integers(20, 236, 3), np.float32)
    shrink = (_DEFAULTS.instances / max(instances, 1))**.5
    for number in range(1 - REGIONS, instances + 1):
        if number <= 0:
            place, mask = _blob(size, REGION_RADIUS, 0, rng)
            class_id = rng.choice(stuff or info.thing_ids)
        else:
            place, mask = _blob(size, tuple(shrink * radius for radius in OBJECT_RADIUS), .3, rng)
            class_id = info.thing_ids[number % len(info.thing_ids)]
        semantic_ids[place][mask] = class_id
        instance_ids[place][mask] = max(number, 0)
        colors[place][mask] = rng.integers(20, 236, 3)
    noise = rng.normal(0, 8, (*size, 3)).astype(np.float32)
    image = np.clip(cv2.GaussianBlur(colors, (0, 0), 1.0) + noise, 0, 255).astype(np.uint8)
    return image, semantic_ids, instance_ids


def _blob(size: tuple[int, int], radii: tuple[float, float], top: float,
          rng: np.random.Generator) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return the box of a ragged ellipse below `top` of the height, and its mask in the box."""
    middle = rng.uniform(top, 1) * size[0], rng.uniform(0, 1) * size[1]
    radius = rng.uniform(*radii) * size[0] / 1024
    waves = rng.integers(3, 9)
    reach = 1.2 * 1.6 * radius, 1.2 * radius
    place = tuple(slice(max(0, int(center - extent)), min(side, int(center + extent) + 2))
                  for center, extent, side in zip(middle, reach, size))
    y, x = np.ogrid[place]
    down, right = (y - middle[0]) / radius, (x - middle[1]) / radius
    ragged = .2 * np.sin(waves * np.arctan2(down, right))
    return place, right**2 + (down / 1.6)**2 + ragged < 1


def _displaced(grid: tuple[int, int], scale: tuple[float, float], size: tuple[int, int],
               rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and column of the image that each output pixel takes its label from."""
    place = np.stack(np.mgrid[:grid[0], :grid[1]]) + .5
    noise = np.stack([cv2.GaussianBlur(layer, (0, 0), 1.0)
                      for layer in rng.normal(size=place.shape)])
    place += .5 * noise / max(noise.std(), 1e-9)
    return tuple(np.clip(axis / step, 0, side - 1).astype(int)
                 for axis, step, side in zip(place, scale, size))


def _say(semantic_ids: np.ndarray, instance_ids: np.ndarray, instances: int, info: ModelInfo,
         rng: np.random.Generator) -> NetworkOutput:
    """Return an output whose grouping is `instance_ids`.

    Embeddings are the position, as those of our models, a direction of each object's own, and
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
