"""Images of four sizes and encodings, and bad ones, as the fields of sensor_msgs/Image."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np

SIZES = ((240, 320), (120, 160), (200, 120), (61, 82))
"""Height and width; small, so that the images are many."""

CODES = {'rgb8': None, 'bgr8': cv2.COLOR_RGB2BGR, 'mono8': cv2.COLOR_RGB2GRAY,
         'bgra8': cv2.COLOR_RGB2BGRA}


def good_images() -> list[dict[str, Any]]:
    """Return the fields of one image of each size and encoding; noise with a few shapes."""
    rng = np.random.default_rng(0)
    images = []
    for height, width in SIZES:
        for encoding, code in CODES.items():
            rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
            for _ in range(6):
                center = rng.integers(0, (width, height)).tolist()
                cv2.circle(rgb, center, height // 6, rng.integers(0, 256, 3).tolist(), -1)
            pixels = rgb if code is None else cv2.cvtColor(rgb, code)
            images.append({'height': height, 'width': width, 'encoding': encoding,
                           'is_bigendian': 0, 'step': pixels.strides[0],
                           'data': pixels.reshape(-1)})
    return images


def bad_images() -> list[dict[str, Any]]:
    """Return the fields of images that contradict themselves, each in its own way."""
    image = good_images()[0]
    data = image['data']
    return [{**image, **change} for change in (
        {'data': data[:-1]}, {'data': data[:0]}, {'step': 3}, {'height': 0},
        {'width': 2 ** 31}, {'encoding': 'rgb7'}, {'encoding': ''}, {'encoding': 'nv12'},
        {'encoding': 'mono16', 'step': 640})]


def image_of(number: int, good: list[dict[str, Any]], bad: list[dict[str, Any]],
             bad_every: int = 7) -> tuple[dict[str, Any], bool]:
    """Return the fields of an image by its number, and whether it is a good one."""
    if number % bad_every == bad_every - 1:
        return bad[number // bad_every % len(bad)], False
    return good[number % len(good)], True
