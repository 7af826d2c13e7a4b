"""Made-up videos of a street with exact labels: to measure whether objects keep their ids.

The street of `instseg_ros.datasets.scenes` stands still; people, bicycles, cars and motorcycles
cross the view at constant speed, each at its own distance: they come in, hide each other, and go
out again.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

import numpy as np

from instseg_ros.core.types import NO_INSTANCE
from instseg_ros.datasets.scenes import (
    CAMERA_HEIGHT,
    FOCAL_LENGTH,
    SHAPES,
    THINGS,
    Part,
    Scene,
    change_light,
    paint_parts,
    paint_street,
)

FREQUENCIES = (0.7, 0.1, 0.15, 0.05)
"""Share of each of `THINGS`: mostly people, who are the hardest to tell apart."""

SPEEDS = {'person': (0.6, 1.8), 'bicycle': (2.0, 6.0), 'car': (3.0, 9.0), 'motorcycle': (3.0, 9.0)}
"""Meters a second."""

DEPTHS = 6.0, 18.0  # meters from the camera


@dataclass(frozen=True)
class MovingThing:
    """Something that crosses the view.

    Attributes
    ----------
    name : str
        Class.
    parts : list of Part
    size : (2,) float64
        Width and height in meters.
    depth : float
        Meters from the camera.
    middle : float
        Meters to the right of the middle of the view at time 0.
    speed : float
        Meters a second to the right.
    color : (3,) int
    """

    name: str
    parts: list[Part]
    size: np.ndarray
    depth: float
    middle: float
    speed: float
    color: np.ndarray

    def paint(self, scene: Scene, number: int, horizon: float, time: float) -> None:
        """Paint it as it is at a time, in seconds."""
        width = scene.semantic_ids.shape[1]
        scale = FOCAL_LENGTH * width / self.depth  # pixels per meter
        size = self.size * scale
        middle = width / 2 + (self.middle + self.speed * time) * scale
        corner = np.array([middle - size[0] / 2, horizon + CAMERA_HEIGHT * scale - size[1]])
        paint_parts(scene, number, self.name, self.parts, corner, size,
                    mirrored=self.speed < 0, color=self.color)


def moving_scenes(rng: np.random.Generator, frames: int, rate: float = 10.0, height: int = 360,
                  width: int = 640, things: int = 12) -> Iterator[Scene]:
    """Yield the frames of a random video; the same for the same state of `rng` and arguments.

    Parameters
    ----------
    rng : Generator
    frames : int
    rate : float
        Frames a second.
    height, width : int
        Of the images; at least 8 pixels each.
    things : int
        How many cross the view, at some time between the first frame and the last.

    Yields
    ------
    Scene
        A thing has the same instance id in all of them.
    """
    horizon = height * rng.uniform(0.35, 0.5)
    street = _empty(height, width)
    paint_street(street, horizon, rng)
    duration = frames / rate
    crossing = [_make_thing(rng, duration) for _ in range(things)]
    numbered = sorted(enumerate(crossing, start=1), key=lambda pair: -pair[1].depth)
    light = int(rng.integers(2**32))
    for frame in range(frames):
        scene = Scene(street.image.copy(), street.semantic_ids.copy(), street.instance_ids.copy())
        for number, thing in numbered:
            thing.paint(scene, number, horizon, frame / rate)
        # From the same seed: the light of a street doesn't change from frame to frame.
        image = change_light(scene.image, np.random.default_rng(light))
        yield Scene(image, scene.semantic_ids, scene.instance_ids)


def _make_thing(rng: np.random.Generator, duration: float) -> MovingThing:
    name = rng.choice(THINGS, p=FREQUENCIES)
    width, height, parts = SHAPES[name](rng)
    depth = rng.uniform(*DEPTHS)
    speed = rng.uniform(*SPEEDS[name]) * rng.choice((-1, 1))
    # In view at a time between the first frame and the last.
    place = rng.uniform(-0.5, 0.5) * depth / FOCAL_LENGTH
    return MovingThing(name, parts, np.array([width, height]), depth,
                       place - speed * rng.uniform(0, duration), speed, rng.integers(30, 240, 3))


def _empty(height: int, width: int) -> Scene:
    return Scene(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8),
                 np.full((height, width), NO_INSTANCE, np.uint16))
