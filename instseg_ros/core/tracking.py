"""Stable ids: an object keeps its id from image to image.

1. Every known object is moved on by its velocity (`instseg_ros.core.motion`).
2. The objects of the new image are matched with the known ones of their class in two rounds, as
   ByteTrack does (Zhang et al., ECCV 2022): first those with a high score, then those with a low
   score with the known objects that are left.
3. An object without a match gets a new id. A known object without a match is kept for a while.

Two things differ from ByteTrack, since every object in the image needs an id: those with a low
score are matched with lost objects as well, and get new ids instead of being dropped.

The cost of a match is the lack of overlap of the masks plus the weighted distance in colour. The
network's embeddings are not used: they separate neighbours in one image and follow the position,
so they do not tell people apart a second later (docs/measurements/tracking.md).
"""
from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from instseg_ros.core.config import TrackingConfig
from instseg_ros.core.cuts import Scenery
from instseg_ros.core.renaming import replace_ids
from instseg_ros.core.silhouettes import color_distances, overlaps
from instseg_ros.core.stopwatch import Stopwatch
from instseg_ros.core.tracks import Found, Tracks, find
from instseg_ros.core.types import Instance, Segmentation, check_array

LAST_ID = int(np.iinfo(np.uint16).max)
"""Ids go from 1 to this and begin anew."""

MIN_OVERLAP = 0.15
"""Intersection over union from which a match is possible, whatever the colours. (Ours.)"""

MIN_CONTAINED = 0.5
"""Intersection over the smaller area from which a match is possible, too: what gets hidden, or
comes out from behind something, overlaps with all that is left of it. (Ours.)"""

MAX_COLOR_DISTANCE = 0.35
"""Up to this distance in colour, a match without overlap is possible within GATE. (Ours.)"""

GATE = 9.21
"""Limit of the squared Mahalanobis distance: 99 % of a chi-squared distribution with two degrees
of freedom."""

PERIOD = 0.1
"""Seconds between two images with the same stamp, in lack of a better one. (Ours.)"""

IMPOSSIBLE = 1e6  # cost of a match


class Tracker:
    """Gives the objects of successive images stable ids; for one camera, in one thread.

    >>> tracker = Tracker(TrackingConfig(enabled=True))
    >>> result = tracker.update(segmenter.segment(image), stamp, image)

    Parameters
    ----------
    config : TrackingConfig

    Attributes
    ----------
    config : TrackingConfig
        May be replaced between two images.
    """

    def __init__(self, config: TrackingConfig = TrackingConfig(enabled=True)) -> None:
        self.config = config
        self._last_id = 0
        self.reset()

    def reset(self) -> None:
        """Forget all objects; their ids are not given again before all others were."""
        self._tracks = Tracks()
        self._stamp: float | None = None
        self._shape: tuple[int, ...] = ()
        self._scenery: Scenery | None = None

    def update(self, segmentation: Segmentation, stamp: float,
               image: np.ndarray | None = None) -> Segmentation:
        """Return the segmentation of the next image with stable ids.

        The objects that were known before are forgotten if `stamp` is below the last one, if the
        image has another size, or if it shows another scene (`instseg_ros.core.cuts`). A stamp
        that repeats counts as PERIOD later. An object is forgotten when it was not found for more
        than `config.keep` seconds.

        Parameters
        ----------
        segmentation : Segmentation
        stamp : float
            When the image was taken, in seconds.
        image : (H0, W0, 3) uint8, RGB, optional
            Without it, neither colours of objects nor cuts are compared.

        Returns
        -------
        Segmentation
            With other values in `instance_ids` and in the `instance_id` of the same instances in
            the same order; the very same object if tracking is not enabled.

        Raises
        ------
        TypeError, ValueError
            The image doesn't fit the segmentation, the stamp is not finite, or the map holds an
            id that no instance has.
        """
        if not self.config.enabled:
            self.reset()
            return segmentation
        if not np.isfinite(stamp):
            raise ValueError(f'stamp: expected a finite number of seconds, got {stamp}')
        if image is not None:
            check_array('image', image, (*segmentation.instance_ids.shape, 3), np.uint8)
            image = np.ascontiguousarray(image)
        watch = Stopwatch()
        elapsed = self._begin(segmentation, stamp, image)
        found = find(segmentation, image)
        self._predict(elapsed)
        new_ids = self._match(found, segmentation)
        result = with_ids(segmentation, found.ids, new_ids)
        watch.lap('tracking')
        return dataclasses.replace(result, timings={**segmentation.timings, **watch.laps})

    def _begin(self, segmentation: Segmentation, stamp: float,
               image: np.ndarray | None) -> float:
        """Forget all if the image doesn't continue the last one; return the seconds since it."""
        shape = segmentation.instance_ids.shape
        scenery = Scenery.of(image) if image is not None else None
        if ((self._stamp is not None and stamp < self._stamp)
                or (self._shape and shape != self._shape)
                or (self._scenery is not None and scenery is not None
                    and not self._scenery.is_continued_by(scenery))):
            self.reset()
        last, self._stamp, self._shape, self._scenery = self._stamp, stamp, shape, scenery
        if last is None:
            return 0.0
        return stamp - last if stamp > last else PERIOD

    def _predict(self, elapsed: float) -> None:
        """Move all known objects on, and forget those that were lost for too long."""
        tracks = self._tracks
        tracks.predict(elapsed)
        tracks.select(tracks.unseen <= self.config.keep)

    def _costs(self, found: Found, segmentation: Segmentation) -> np.ndarray:
        """Return the costs (K, D) of all matches of known and found objects."""
        tracks = self._tracks
        shifts = tracks.motion.velocities * tracks.unseen[:, None]
        overlap, contained = overlaps(tracks.silhouettes, shifts, segmentation.instance_ids,
                                      found.ids, found.areas)
        same_class = tracks.class_ids[:, None] == found.class_ids
        possible = same_class & ((overlap >= MIN_OVERLAP) | (contained >= MIN_CONTAINED))
        costs = 1 - overlap
        weight = self.config.color_weight
        if weight and found.silhouettes.colors.any():
            distances = color_distances(tracks.silhouettes.colors, found.silhouettes.colors)
            sizes = np.sqrt((tracks.silhouettes.boxes[:, 2:]
                             - tracks.silhouettes.boxes[:, :2]).prod(axis=1))
            near = tracks.motion.squared_distances(found.centers, sizes) <= GATE
            possible |= same_class & near & (distances <= MAX_COLOR_DISTANCE)
            costs += weight * distances
        return np.where(possible, costs, IMPOSSIBLE)

    def _match(self, found: Found, segmentation: Segmentation) -> np.ndarray:
        """Match what was found with the known objects, and return its ids (D,)."""
        tracks = self._tracks
        strong = found.scores >= self.config.high_score
        costs = self._costs(found, segmentation)
        left = np.ones(len(tracks), np.bool_)
        first = assign(costs, left, strong)
        left[first[0]] = False
        second = assign(costs, left, ~strong)
        rows, columns = (np.concatenate(pair) for pair in zip(first, second))
        tracks.see(rows, found, columns, strong)
        new_ids = np.zeros(len(found.ids), np.uint16)
        new_ids[columns] = tracks.ids[rows]
        others = np.flatnonzero(new_ids == 0)
        new_ids[others] = self._unused_ids(len(others))
        tracks.append(new_ids[others].astype(np.int64), found, others, strong)
        tracks.select((tracks.unseen == 0) | tracks.confirmed)
        return new_ids

    def _unused_ids(self, count: int) -> np.ndarray:
        """Return new ids (count,): the next ones that no known object has."""
        used = set(self._tracks.ids.tolist())
        ids: list[int] = []
        while len(ids) < count:
            self._last_id = self._last_id % LAST_ID + 1
            if self._last_id not in used:
                ids.append(self._last_id)
        return np.array(ids, np.uint16)


def assign(costs: np.ndarray, tracks: np.ndarray, found: np.ndarray
           ) -> tuple[np.ndarray, np.ndarray]:
    """Match rows and columns at the least total cost.

    Parameters
    ----------
    costs : (K, D) float64
    tracks, found : (K,) and (D,) bool
        Which rows and columns may be matched.

    Returns
    -------
    (N,) int64, (N,) int64
        The pairs, as rows and as columns of `costs`.
    """
    rows, columns = np.flatnonzero(tracks), np.flatnonzero(found)
    part = costs[rows[:, None], columns]
    i, j = linear_sum_assignment(part)
    possible = part[i, j] < IMPOSSIBLE
    return rows[i[possible]], columns[j[possible]]


def with_ids(segmentation: Segmentation, ids: np.ndarray, new_ids: np.ndarray) -> Segmentation:
    """Return a segmentation in which the objects `ids` (D,) are called `new_ids` (D,)."""
    table = np.zeros(LAST_ID + 1, np.uint16)
    table[ids] = new_ids
    instances = tuple(renamed(item, int(table[item.instance_id]))
                      for item in segmentation.instances)
    return dataclasses.replace(segmentation, instances=instances,
                               instance_ids=replace_ids(segmentation.instance_ids, table))


def renamed(item: Instance, instance_id: int) -> Instance:
    """Return an instance with another id, faster than `dataclasses.replace` does."""
    copy = object.__new__(Instance)
    vars(copy).update(vars(item), instance_id=instance_id)
    return copy


def warm_up() -> None:
    """Compile or load the kernels, so that no image waits for it."""
    semantic_ids, instance_ids = np.ones((8, 8), np.uint8), np.ones((8, 8), np.uint16)
    found = Segmentation(semantic_ids, instance_ids, (
        Instance(1, 1, 'object', 1.0, (4.0, 4.0), (0, 0, 8, 8), 64),))
    tracker = Tracker()
    for stamp in (0.0, 0.1):
        tracker.update(found, stamp, np.zeros((8, 8, 3), np.uint8))
