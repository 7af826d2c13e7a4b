"""What a page says about two results of the same frames."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Collection, Iterable, Mapping

import numpy as np

from instseg_ros.core.types import UNLABELLED
from instseg_ros.evaluation.html_report import jpeg_url
from instseg_ros.evaluation.panoptic import PanopticScore
from instseg_ros.reports.agreement import agreement, draw_differences
from instseg_ros.reports.chosen import Chosen, Picture
from instseg_ros.reports.frames import ClassNames
from instseg_ros.reports.pairing import Pair

SHOWN = 8
"""Number of frames that a page shows."""
GAP = 50
"""They are at least this part of the recording apart."""
SIDE = 600
"""Long side of a picture in pixels."""


@dataclass
class Comparison:
    """What the page says.

    Attributes
    ----------
    first, second : str
    pairs : int
        Frames that were compared.
    remarks, problems : list of str
    rows : list of list of str
        Cells of the table of classes.
    speeds : list of (str, str)
        What was measured, and milliseconds.
    groups : list of list of Picture
        Of the frames that differ most: for each the caption, and the pictures side by side.
    quality : float
        PQ, the mean over the classes that have segments; nan without any.
    """

    first: str
    second: str
    pairs: int = 0
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    speeds: list[tuple[str, str]] = field(default_factory=list)
    groups: list[Any] = field(default_factory=list)
    quality: float = float('nan')


def compare(pairs: Iterable[Pair], comparison: Comparison, names: ClassNames,
            thing_ids: Collection[int], count: int) -> None:
    """Compare all pairs of frames, and add what came of it to a comparison.

    Parameters
    ----------
    pairs : iterable of (Frame, Frame)
    comparison : Comparison
    names : ClassNames
        Of both.
    thing_ids : collection of int
        Classes that have objects.
    count : int
        Number of pairs that are expected.
    """
    total = PanopticScore(UNLABELLED, sorted(thing_ids))
    most = Chosen('', SHOWN, count // GAP, SIDE)
    groups: dict[str, list[Picture]] = {}
    sizes = 0
    for number, (first, second) in enumerate(pairs):
        results = first.segmentation, second.segmentation
        if results[0].semantic_ids.shape != results[1].semantic_ids.shape:
            sizes += 1
            continue
        score = agreement(*results, thing_ids)
        total += score
        comparison.pairs += 1
        difference = 1 - score.pooled_pq
        if not np.isnan(difference) and most.wants(difference, number):
            differences = draw_differences(*results, thing_ids)
            caption = f'{first.caption}: PQ {score.pooled_pq:.3f}'
            most.put(difference, number, Picture('', caption, str(number)))
            groups[str(number)] = [
                Picture(jpeg_url(picture, SIDE), words) for picture, words in (
                    (first.draw(), f'A: {len(results[0].instances)} objects'),
                    (second.draw(), f'B: {len(results[1].instances)} objects'),
                    (differences, 'differences'))]
            groups = {picture.note: groups[picture.note] for picture in most.pictures}
    if sizes:
        comparison.problems.append(f'{sizes} frames have another size in B than in A; they are '
                                   'not compared')
    comparison.groups += [(picture, groups[picture.note]) for picture in most.pictures]
    comparison.rows += table(total, names)
    seen = total.pq[~np.isnan(total.pq)]
    comparison.quality = float(seen.mean()) if seen.size else float('nan')


def table(score: PanopticScore, names: Mapping[int, str]) -> list[list[str]]:
    """Return the rows of all classes with segments, and their mean."""
    pq, sq, rq = score.pq, score.sq, score.rq
    seen = np.flatnonzero(~np.isnan(pq))
    counts = [counted.sum(axis=1) for counted in (score.found, score.missed, score.false)]
    rows = [[names[number], *(f'{values[number]:.3f}' for values in (pq, sq, rq)),
             *(str(values[number]) for values in counts)] for number in map(int, seen)]
    if seen.size:
        rows.append(['mean, sum', *(f'{values[seen].mean():.3f}' for values in (pq, sq, rq)),
                     *(str(values.sum()) for values in counts)])
    return rows


def check_classes(first: Mapping[int, str], second: Mapping[int, str]) -> None:
    """Check that two lists of classes are the same where both have an id.

    Raises
    ------
    ValueError
        They are not; the text names both.
    """
    if any(second.get(number, name) != name for number, name in first.items()):
        raise ValueError('expected two results of the same classes, got '
                         f'{", ".join(f"{key} {first[key]}" for key in sorted(first))} and '
                         f'{", ".join(f"{key} {second[key]}" for key in sorted(second))}')


def median(values: Counter[int]) -> int:
    """Return the (lower) median of whole numbers that are given with how often each is there."""
    half, passed = (sum(values.values()) + 1) // 2, 0
    for value in sorted(values):
        passed += values[value]
        if passed >= half:
            return value
    raise ValueError('expected at least one value, got none')
