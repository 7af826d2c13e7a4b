"""How far two results agree: panoptic quality of one against the other."""
from __future__ import annotations

from typing import Collection

import numpy as np

from instseg_ros.core.types import UNLABELLED, Segmentation
from instseg_ros.evaluation.panoptic import PanopticScore, match_segments, panoptic_ids

ONLY_FIRST, ONLY_SECOND, BOTH = (230, 60, 50), (60, 110, 230), (140, 150, 140)
"""RGB colours of segments that one result has, and of those that match."""


def agreement(first: Segmentation, second: Segmentation, thing_ids: Collection[int],
              long_side: int = 0) -> PanopticScore:
    """Return the matches of two results for images of one size.

    With PQ it doesn't matter which is first, but for unlabelled pixels, which are ignored in the
    first one only.

    Parameters
    ----------
    first, second : Segmentation
    thing_ids : collection of int
        Classes that have objects.
    long_side : int
        Compare so many pixels at most along the long side, for speed; 0 for all.

    Raises
    ------
    ValueError
        The sizes differ.
    """
    score = PanopticScore(UNLABELLED, sorted(thing_ids))
    shape = first.semantic_ids.shape
    step = -(-max(shape) // long_side) if long_side else 1
    score.update(*((result.semantic_ids[::step, ::step], result.instance_ids[::step, ::step])
                   for result in (first, second)))
    return score


def draw_differences(first: Segmentation, second: Segmentation, thing_ids: Collection[int]
                     ) -> np.ndarray:
    """Return a picture of segments without a match: of the first red, of the second blue.

    Parameters
    ----------
    first, second : Segmentation
        For images of one size.
    thing_ids : collection of int

    Returns
    -------
    (H0, W0, 3) uint8
    """
    maps = [(result.semantic_ids, result.instance_ids) for result in (first, second)]
    things = sorted(thing_ids)
    matching = match_segments(maps[0], maps[1], things)
    picture = np.full((*first.semantic_ids.shape, 3), 240, np.uint8)
    masks = []
    for labels, matched, alone in (
            (maps[0], matching.true_ids[matching.found], matching.true_ids[matching.missed]),
            (maps[1], np.zeros(0, np.int64), matching.predicted_ids[matching.false])):
        thing = np.isin(labels[0], things)
        ids = np.where(thing, panoptic_ids(*labels), panoptic_ids(labels[0], 0 * labels[1]))
        picture[np.isin(ids, matched) & thing] = BOTH
        masks.append(np.isin(ids, alone))
    picture[masks[0]] = ONLY_FIRST
    picture[masks[1]] = ONLY_SECOND
    both = masks[0] & masks[1]
    picture[both] = (np.array(ONLY_FIRST) + ONLY_SECOND) // 2
    return picture
