"""Whether two successive images show the same scene."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from instseg_ros.core.silhouettes import color_distances, color_shares

STEP = 8  # every so many rows and columns are looked at
CELLS = 8  # of the layout along each side

MIN_COLOR_DISTANCE = 0.35
"""In a cut, colours differ by more than this. (Ours, as the next; see
docs/measurements/tracking.md.)"""

MAX_CORRELATION = 0.7
"""In a cut, bright and dark places correlate by less than this."""


@dataclass(frozen=True)
class Scenery:
    """What is compared of an image.

    Attributes
    ----------
    colors : (1, B) float32
        Square roots of the shares of each colour; they change little when the camera turns.
    layout : (CELLS * CELLS,) float32
        Brightness of each part of the image, with mean 0 and length 1; it changes little when the
        exposure does.
    """

    colors: np.ndarray
    layout: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray) -> Scenery:
        """Describe an image, (H0, W0, 3) uint8, RGB."""
        pixels = image[::STEP, ::STEP].copy()
        layout = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32),
                            (CELLS, CELLS), interpolation=cv2.INTER_AREA).ravel()
        layout -= layout.mean()
        return cls(color_shares(pixels), layout / max(np.sqrt((layout * layout).sum()), 1e-6))

    def is_continued_by(self, other: Scenery) -> bool:
        """Tell whether another image may be the next one of the same video."""
        return bool(color_distances(self.colors, other.colors)[0, 0] <= MIN_COLOR_DISTANCE
                    or (self.layout * other.layout).sum() >= MAX_CORRELATION)
