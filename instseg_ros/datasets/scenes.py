"""Made-up street scenes whose labels are exact: to try the commands out, and for tests.

A pinhole camera looks along a street. Sky, buildings, sidewalk and road come first, then people,
bicycles, cars and motorcycles from far to near, each as a few shapes. Nearer things hide farther
ones, in the picture as in the labels. Light and noise change colours only.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import cv2
import numpy as np

from instseg_ros.core.types import NO_INSTANCE

STUFF = ('sky', 'building', 'sidewalk', 'road')
THINGS = ('person', 'bicycle', 'car', 'motorcycle')
SCENE_CLASSES = STUFF + THINGS
"""Class names in the order of the semantic ids of a scene."""

CAMERA_HEIGHT = 1.5  # meters above the street
FOCAL_LENGTH = 0.9  # image widths
NEAREST, FARTHEST = 5.0, 35.0  # meters
STREET_HALF_WIDTH, SIDEWALK_WIDTH = 5.0, 4.0  # meters
MOST_THINGS = 14
TYPICAL_THINGS = 7
"""Where a larger number of things is wanted, they are shrunk to cover about as much as these."""

DARK, GLASS, SKIN = (35, 35, 38), (90, 110, 125), (205, 160, 130)


@dataclass(frozen=True)
class Scene:
    """image (H, W, 3) uint8 RGB, semantic_ids (H, W) uint8, instance_ids (H, W) uint16."""

    image: np.ndarray
    semantic_ids: np.ndarray
    instance_ids: np.ndarray


@dataclass(frozen=True)
class Part:
    """A shape of a thing, in units of its box: (0, 0) top left, (1, 1) bottom right.

    Attributes
    ----------
    kind : str
        polygon: corners; ellipse: center and radii; line: its points.
    points : tuple of (float, float)
    color : tuple of 3 ints, or None
        RGB; None: the thing's own colour.
    thickness : float
        Of a line or of an ellipse's rim, in heights of the box; 0: filled.
    """

    kind: str
    points: tuple[tuple[float, float], ...]
    color: tuple[int, int, int] | None = None
    thickness: float = 0.0


def person(rng: np.random.Generator) -> tuple[float, float, list[Part]]:
    """Return width and height in meters, and the parts of a walking person."""
    stride, trousers = rng.uniform(0.1, 0.45), tuple(rng.integers(20, 120, 3).tolist())
    return 0.6, rng.uniform(1.2, 1.9), [
        Part('line', ((0.5, 0.5), (0.5 - stride, 0.97)), trousers, 0.1),
        Part('line', ((0.5, 0.5), (0.5 + stride, 0.97)), trousers, 0.1),
        Part('polygon', ((0.3, 0.17), (0.7, 0.17), (0.72, 0.55), (0.28, 0.55))),
        Part('line', ((0.3, 0.2), (0.5 - 0.8 * stride, 0.5)), None, 0.06),
        Part('line', ((0.7, 0.2), (0.5 + 0.8 * stride, 0.5)), None, 0.06),
        Part('ellipse', ((0.5, 0.08), (0.16, 0.08)), SKIN)]


def bicycle(rng: np.random.Generator) -> tuple[float, float, list[Part]]:
    """Return width and height in meters, and the parts of a bicycle, with gaps between them."""
    back, pedals, saddle, head = (0.2, 0.67), (0.45, 0.7), (0.38, 0.22), (0.72, 0.2)
    return 1.7, 1.05, [
        Part('ellipse', (back, (0.19, 0.31)), DARK, 0.05),
        Part('ellipse', ((0.8, 0.67), (0.19, 0.31)), DARK, 0.05),
        Part('line', (back, pedals, head, saddle, pedals), None, 0.06),
        Part('line', (back, (0.4, 0.32)), None, 0.05),
        Part('line', (head, (0.8, 0.67)), None, 0.05),
        Part('line', ((0.3, 0.2), (0.46, 0.2)), DARK, 0.06),
        Part('line', ((0.66, 0.08), (0.72, 0.2)), DARK, 0.05)]


def car(rng: np.random.Generator) -> tuple[float, float, list[Part]]:
    """Return width and height in meters, and the parts of a car, from the side or from behind."""
    if rng.random() < 0.5:
        return 1.8, 1.5, [
            Part('polygon', ((0.06, 0.75), (0.26, 0.75), (0.26, 1.0), (0.06, 1.0)), DARK),
            Part('polygon', ((0.74, 0.75), (0.94, 0.75), (0.94, 1.0), (0.74, 1.0)), DARK),
            Part('polygon', ((0.18, 0.0), (0.82, 0.0), (1.0, 0.42), (1.0, 0.85), (0.0, 0.85),
                             (0.0, 0.42))),
            Part('polygon', ((0.23, 0.07), (0.77, 0.07), (0.88, 0.38), (0.12, 0.38)), GLASS),
            Part('polygon', ((0.02, 0.48), (0.16, 0.48), (0.16, 0.6), (0.02, 0.6)), (190, 30, 30)),
            Part('polygon', ((0.84, 0.48), (0.98, 0.48), (0.98, 0.6), (0.84, 0.6)), (190, 30, 30))]
    return rng.uniform(3.8, 4.6), 1.5, [
        Part('polygon', ((0.0, 0.5), (0.18, 0.42), (0.32, 0.0), (0.7, 0.0), (0.84, 0.42),
                         (1.0, 0.55), (1.0, 0.85), (0.0, 0.85))),
        Part('polygon', ((0.25, 0.4), (0.35, 0.08), (0.5, 0.08), (0.5, 0.4)), GLASS),
        Part('polygon', ((0.54, 0.4), (0.54, 0.08), (0.67, 0.08), (0.77, 0.4)), GLASS),
        Part('ellipse', ((0.2, 0.8), (0.08, 0.2)), DARK),
        Part('ellipse', ((0.8, 0.8), (0.08, 0.2)), DARK)]


def motorcycle(rng: np.random.Generator) -> tuple[float, float, list[Part]]:
    """Return width and height in meters, and the parts of a motorcycle."""
    return 2.1, 1.2, [
        Part('ellipse', ((0.17, 0.72), (0.15, 0.26)), DARK, 0.14),
        Part('ellipse', ((0.83, 0.72), (0.15, 0.26)), DARK, 0.14),
        Part('line', ((0.7, 0.15), (0.83, 0.72)), (150, 150, 155), 0.07),
        Part('polygon', ((0.1, 0.42), (0.4, 0.45), (0.55, 0.25), (0.72, 0.3), (0.62, 0.75),
                         (0.35, 0.78))),
        Part('polygon', ((0.12, 0.32), (0.42, 0.36), (0.42, 0.46), (0.12, 0.44)), DARK),
        Part('line', ((0.6, 0.06), (0.72, 0.18)), DARK, 0.07)]


SHAPES = {'person': person, 'bicycle': bicycle, 'car': car, 'motorcycle': motorcycle}
FREQUENCIES = (0.45, 0.15, 0.3, 0.1)
"""Share of each of `THINGS`."""


def make_scene(rng: np.random.Generator, height: int = 360, width: int = 640,
               things: int | None = None) -> Scene:
    """Return a random scene; the same for the same state of `rng` and the same arguments.

    Parameters
    ----------
    rng : Generator
    height, width : int
        Of the image; at least 8 pixels each.
    things : int, optional
        How many to draw; nearer ones may hide others. Many are shrunk, so that all together cover
        about the same share of the image whatever their number. By default the number is random.
    """
    scene = Scene(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8),
                  np.full((height, width), NO_INSTANCE, np.uint16))
    horizon = height * rng.uniform(0.35, 0.5)
    paint_street(scene, horizon, rng)
    count = rng.integers(1, MOST_THINGS + 1) if things is None else things
    zoom = 1.0 if things is None else min(1, TYPICAL_THINGS / max(things, 1))**0.5
    depths = 1 / rng.uniform(1 / FARTHEST, 1 / NEAREST, count)
    for number, depth in enumerate(np.sort(depths)[::-1], start=1):
        _paint_thing(scene, number, depth, horizon, zoom, rng)
    return Scene(change_light(scene.image, rng), scene.semantic_ids, scene.instance_ids)


def paint_street(scene: Scene, horizon: float, rng: np.random.Generator) -> None:
    """Paint sky, buildings, sidewalk and road, each in front of the one before."""
    height, width = scene.semantic_ids.shape
    _fill(scene, 'sky', [(0, 0), (width, 0), (width, height), (0, height)],
          rng.integers((110, 150, 190), (200, 220, 255)))
    left = -rng.uniform(0, 0.1) * width
    while left < width:
        right = left + rng.uniform(0.1, 0.3) * width
        roof, wall = horizon * rng.uniform(0.05, 0.8), rng.integers(70, 200, 3)
        _fill(scene, 'building', [(left, roof), (right, roof), (right, height), (left, height)],
              wall)
        step = rng.uniform(0.03, 0.06) * width
        for x in np.arange(left + step / 2, right - step, step):
            for y in np.arange(roof + step / 2, horizon - step, step):
                _fill(scene, 'building', [(x, y), (x + step / 2, y), (x + step / 2, y + step / 2),
                                          (x, y + step / 2)], wall // 2)
        left = right
    middle = width * rng.uniform(0.35, 0.65)  # where the street vanishes
    per_meter = (height - horizon) / CAMERA_HEIGHT  # at the lower edge of the image
    for name, half, color in (('sidewalk', STREET_HALF_WIDTH + SIDEWALK_WIDTH, (150, 190)),
                              ('road', STREET_HALF_WIDTH, (70, 120))):
        _fill(scene, name, [(middle, horizon), (middle + half * per_meter, height),
                            (middle - half * per_meter, height)],
              np.full(3, rng.integers(*color)))
    for near, far in ((1.0, 0.6), (0.4, 0.25), (0.15, 0.1)):  # marks between the lanes
        y, end = (horizon + (height - horizon) * share for share in (near, far))
        _fill(scene, 'road', [(middle - 0.1 * per_meter * near, y),
                              (middle + 0.1 * per_meter * near, y),
                              (middle + 0.1 * per_meter * far, end),
                              (middle - 0.1 * per_meter * far, end)], np.full(3, 215))


def _paint_thing(scene: Scene, number: int, depth: float, horizon: float, zoom: float,
                 rng: np.random.Generator) -> None:
    width = scene.semantic_ids.shape[1]
    name = rng.choice(THINGS, p=FREQUENCIES)
    meters_wide, meters_high, parts = SHAPES[name](rng)
    scale = FOCAL_LENGTH * width / depth  # pixels per meter
    size = np.array([meters_wide, meters_high]) * scale * zoom
    bottom = horizon + CAMERA_HEIGHT * scale
    corner = np.array([rng.uniform(-0.1, 1.1) * width - size[0] / 2, bottom - size[1]])
    mirrored, own_color = rng.random() < 0.5, rng.integers(30, 240, 3)
    paint_parts(scene, number, name, parts, corner, size, mirrored=mirrored, color=own_color)


def paint_parts(scene: Scene, number: int, name: str, parts: Sequence[Part], corner: np.ndarray,
                size: np.ndarray, *, mirrored: bool, color: np.ndarray) -> None:
    """Paint a thing in front of all that a scene shows so far.

    Parameters
    ----------
    scene : Scene
        Changed in place.
    number : int
        Instance id.
    name : str
        Class.
    parts : sequence of Part
    corner, size : (2,) float64
        x, y of the box's upper left corner, its width and height, in pixels.
    mirrored : bool
        Left for right.
    color : (3,) int
        RGB, where a part has none.
    """
    for part in parts:
        place, mask = _draw(part, corner, size, mirrored, scene.semantic_ids.shape)
        scene.image[place][mask] = color if part.color is None else part.color
        scene.semantic_ids[place][mask] = SCENE_CLASSES.index(name)
        scene.instance_ids[place][mask] = number


def _draw(part: Part, corner: np.ndarray, size: np.ndarray, mirrored: bool,
          shape: tuple[int, int]) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return a window of the image that holds a part, and its pixels there as a bool mask."""
    start, stop = np.floor(corner - size).astype(int), np.ceil(corner + 2 * size).astype(int) + 2
    start, stop = (np.clip(edge, 0, shape[::-1]) for edge in (start, stop))
    place = slice(start[1], stop[1]), slice(start[0], stop[0])
    mask = np.zeros((stop - start)[::-1], np.uint8)
    if not mask.size:
        return place, mask.astype(bool)
    points = np.array(part.points)
    if mirrored:
        points[:1 if part.kind == 'ellipse' else None, 0] *= -1
        points[:1 if part.kind == 'ellipse' else None, 0] += 1
    thickness = max(1, round(part.thickness * size[1])) if part.thickness else cv2.FILLED
    if part.kind == 'ellipse':
        center, radii = corner + points[0] * size, points[1] * size
        cv2.ellipse(mask, (np.rint(center).astype(int) - start).tolist(),
                    np.maximum(np.rint(radii), 1).astype(int).tolist(), 0, 0, 360, 1, thickness)
        return place, mask.astype(bool)
    pixels = (np.rint(corner + points * size) - start).astype(np.int32)
    if part.kind == 'line':
        cv2.polylines(mask, [pixels], False, 1, thickness)
    else:
        cv2.fillPoly(mask, [pixels], 1)
    return place, mask.astype(bool)


def _fill(scene: Scene, name: str, corners: list[tuple[float, float]], color: np.ndarray) -> None:
    pixels = np.rint(np.array(corners)).astype(np.int32)
    cv2.fillPoly(scene.image, [pixels], color.tolist())
    cv2.fillPoly(scene.semantic_ids, [pixels], SCENE_CLASSES.index(name))


def change_light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image under a random light, seen by a camera with noise."""
    height, width = image.shape[:2]
    grain = cv2.resize(rng.normal(0, 1, (height // 8, width // 8)), (width, height))
    light = rng.uniform(0.5, 1.15) + 0.06 * grain
    light += rng.uniform(-0.25, 0.25) * np.linspace(-1, 1, width)  # the sun from one side
    tint = rng.uniform(0.9, 1.1, 3)
    lit = cv2.GaussianBlur(image.astype(np.float64), (3, 3), 0) * light[..., None] * tint
    noise = rng.normal(0, rng.uniform(1, 6), image.shape)
    return np.clip(np.rint(lit + noise), 0, 255).astype(np.uint8)
