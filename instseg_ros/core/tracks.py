"""The objects found in one image, and the objects known from the images before."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from instseg_ros.core.motion import Motion
from instseg_ros.core.silhouettes import Silhouettes, joined, no_silhouettes, silhouettes_of
from instseg_ros.core.types import Segmentation

COLOR_MEMORY = 0.9
"""Share of the known colours that an object keeps when it is found again. (Ours.)"""


@dataclass(frozen=True)
class Found:
    """The objects of one image in an order that depends on nothing but themselves.

    Attributes
    ----------
    ids : (D,) uint16
        In the map.
    class_ids, areas : (D,) int64
    scores : (D,) float64
    centers : (D, 2) float64
        Middle of each box, (y, x) in pixels.
    silhouettes : Silhouettes
    """

    ids: np.ndarray
    class_ids: np.ndarray
    areas: np.ndarray
    scores: np.ndarray
    centers: np.ndarray
    silhouettes: Silhouettes


class Tracks:
    """The known objects.

    Attributes
    ----------
    ids, class_ids : (K,) int64
    unseen : (K,) float64
        Seconds since the object was found last.
    confirmed : (K,) bool
        Whether it had a high score once; others are not kept when they are lost.
    silhouettes : Silhouettes
        As it was found last; the colours are averaged.
    motion : Motion
    """

    def __init__(self) -> None:
        self.ids, self.class_ids = np.empty(0, np.int64), np.empty(0, np.int64)
        self.unseen, self.confirmed = np.empty(0), np.empty(0, np.bool_)
        self.silhouettes = no_silhouettes()
        self.motion = Motion()

    def __len__(self) -> int:
        return len(self.ids)

    def predict(self, elapsed: float) -> None:
        """Move all on by some seconds."""
        self.unseen = self.unseen + elapsed
        self.motion.predict(elapsed)

    def see(self, rows: np.ndarray, found: Found, columns: np.ndarray,
            strong: np.ndarray) -> None:
        """Take over what was found of some objects (N,), in columns (N,) of `found`."""
        self.unseen[rows] = 0
        self.confirmed[rows] |= strong[columns]
        self.motion.correct(rows, found.centers[columns])
        old, new = self.silhouettes, found.silhouettes
        old.boxes[rows], old.masks[rows] = new.boxes[columns], new.masks[columns]
        mixed = COLOR_MEMORY * old.colors[rows] + (1 - COLOR_MEMORY) * new.colors[columns]
        norms = np.sqrt(np.einsum('nb,nb->n', mixed, mixed))
        old.colors[rows] = mixed / np.where(norms > 0, norms, 1)[:, None]

    def append(self, ids: np.ndarray, found: Found, columns: np.ndarray,
               strong: np.ndarray) -> None:
        """Add new objects with these ids (N,), in columns (N,) of `found`."""
        self.ids = np.append(self.ids, ids)
        self.class_ids = np.append(self.class_ids, found.class_ids[columns])
        self.unseen = np.append(self.unseen, np.zeros(len(ids)))
        self.confirmed = np.append(self.confirmed, strong[columns])
        self.silhouettes = joined(self.silhouettes, found.silhouettes[columns])
        self.motion.append(found.centers[columns])

    def select(self, rows: np.ndarray) -> None:
        """Keep some objects only."""
        self.ids, self.class_ids = self.ids[rows], self.class_ids[rows]
        self.unseen, self.confirmed = self.unseen[rows], self.confirmed[rows]
        self.silhouettes = self.silhouettes[rows]
        self.motion.select(rows)


def find(segmentation: Segmentation, image: np.ndarray | None) -> Found:
    """Return the objects of a segmentation as arrays, strongest first."""
    instances = segmentation.instances
    rows = np.array([(-item.score, *item.box_xyxy, item.area, item.class_id, item.instance_id)
                     for item in instances], np.float64).reshape(-1, 8)
    rows = rows[np.lexsort(rows.T[6::-1])]
    ids = rows[:, 7].astype(np.uint16)
    boxes = np.ascontiguousarray(rows[:, 1:5])
    return Found(ids, rows[:, 6].astype(np.int64), rows[:, 5].astype(np.int64), -rows[:, 0],
                 (boxes[:, 1::-1] + boxes[:, :1:-1]) / 2,
                 silhouettes_of(segmentation, ids, boxes, image))
