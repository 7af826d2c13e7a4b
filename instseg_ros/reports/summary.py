"""What a page says about a section, collected in one pass and in bounded memory."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Callable, Iterable, Iterator

import numpy as np

from instseg_ros.core.types import UNLABELLED
from instseg_ros.evaluation.html_report import jpeg_url, png_url
from instseg_ros.reports.agreement import agreement
from instseg_ros.reports.chosen import Chosen, Picture, evenly_spaced
from instseg_ros.reports.frames import Frame, Section
from instseg_ros.reports.plots import draw_bars, draw_counts, draw_histogram

Progress = Callable[[Iterator[Frame], int, str], Iterable[Frame]]
"""Wraps frames of a number and a title, for a progress bar."""

FILMSTRIP = 24
CHOSEN = 4
"""Number of pictures of the filmstrip, and of each kind of frames worth looking at."""
STRIP_SIDE, CHOSEN_SIDE = 320, 600
"""Long sides of their pictures, in pixels."""
COMPARED_SIDE = 512
"""Long side to which labels are thinned out for comparing neighbouring frames."""
BINS = 200
"""Number of points of a line over time at most."""
GAP = 50
"""Chosen frames of one kind are at least this part of the recording apart."""
LOST = 300
"""A track that is not seen for so many frames has ended."""


@dataclass
class Summary:
    """What the page says about a section.

    Attributes
    ----------
    frames, objects : int
    classes : list of (str, int, float)
        Name, objects in all frames together, share of the pixels.
    diagrams : list of (str, str)
        Caption and URL.
    filmstrip : list of Picture
    chosen : list of Chosen
    remarks : list of str
        What can't be shown, and why.
    """

    title: str
    problems: list[str]
    frames: int = 0
    objects: int = 0
    seconds: float | None = None
    classes: list[tuple[str, int, float]] = field(default_factory=list)
    diagrams: list[tuple[str, str]] = field(default_factory=list)
    filmstrip: list[Picture] = field(default_factory=list)
    chosen: list[Chosen] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def summarize(section: Section, progress: Progress) -> Summary:
    """Read a section to its end and return what to say about it."""
    summary = Summary(section.title, section.problems)
    gap = section.count // GAP
    jumps = Chosen('Sudden change of the number of objects', CHOSEN, gap, CHOSEN_SIDE)
    weak = Chosen('Low scores', CHOSEN, gap, CHOSEN_SIDE)
    flicker = Chosen('Disagreement with the frame before', CHOSEN, gap, CHOSEN_SIDE)
    strip = evenly_spaced(section.count, FILMSTRIP)
    over_time, tracks = _OverTime(section.count), _Tracks()
    pixels, objects = np.zeros(UNLABELLED + 1, np.int64), Counter[int]()
    before: Frame | None = None
    for number, frame in enumerate(progress(section.frames(), section.count, section.title)):
        result = frame.segmentation
        summary.frames += 1
        summary.seconds = frame.time
        pixels += np.bincount(result.semantic_ids.reshape(-1), minlength=UNLABELLED + 1)
        found = Counter(instance.class_id for instance in result.instances)
        objects += found
        over_time.add(number, frame.time, found)
        if section.tracked:
            tracks.add(number, (instance.instance_id for instance in result.instances))
        if number in strip:
            summary.filmstrip.append(Picture(jpeg_url(frame.draw(), STRIP_SIDE), frame.caption))
        if result.instances:
            score = float(np.mean([instance.score for instance in result.instances]))
            weak.offer(1 - score, number, frame, f'mean score {score:.2f}, '
                       f'lowest {min(item.score for item in result.instances):.2f}')
        if before is not None:
            _compare(before, frame, number, section.thing_ids, jumps, flicker)
        before = frame
    summary.objects = sum(objects.values())
    if section.axis != 'seconds':
        summary.seconds = None
    total = max(1, int(pixels.sum()))
    summary.classes = [(section.class_names[number], objects[number], int(pixels[number]) / total)
                       for number in map(int, np.flatnonzero(pixels))]
    summary.chosen = [jumps, weak, flicker]
    if summary.frames:
        _draw_diagrams(summary, section, over_time, tracks)
    return summary


def _compare(before: Frame, frame: Frame, number: int, thing_ids: set[int], jumps: Chosen,
             flicker: Chosen) -> None:
    counts = [len(item.segmentation.instances) for item in (before, frame)]
    jumps.offer(abs(counts[1] - counts[0]), number, frame,
                f'{counts[0]} objects in the frame before, now {counts[1]}')
    if before.segmentation.semantic_ids.shape != frame.segmentation.semantic_ids.shape:
        return
    quality = agreement(before.segmentation, frame.segmentation, thing_ids,
                        COMPARED_SIDE).pooled_pq
    if not np.isnan(quality):
        flicker.offer(1 - quality, number, frame, f'PQ against the frame before {quality:.2f}')


class _OverTime:
    """Number of objects of each class over time, in at most `BINS` bins of as many frames."""

    def __init__(self, count: int) -> None:
        self._per_bin = max(1, -(-count // BINS))
        self._frames: Counter[int] = Counter()
        self._times: dict[int, float] = {}
        self._objects: dict[int, Counter[int]] = {}

    def add(self, number: int, time: float, found: Counter[int]) -> None:
        place = number // self._per_bin
        self._frames[place] += 1
        self._times[place] = self._times.get(place, 0.0) + time
        for class_id, count in found.items():
            self._objects.setdefault(class_id, Counter())[place] += count

    def times(self) -> list[float]:
        return [self._times[place] / number for place, number in self._frames.items()]

    def means(self, class_id: int) -> list[float]:
        return [self._objects[class_id][place] / number
                for place, number in self._frames.items()]

    def classes(self) -> list[int]:
        return sorted(self._objects)


class _Tracks:
    """How many frames each track lasts; forgets those that have ended."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[int, int]] = {}  # id: number of first and of last frame
        self.lengths: Counter[int] = Counter()

    def add(self, number: int, ids: Iterator[int]) -> None:
        for track in ids:
            self._open[track] = self._open.get(track, (number, number))[0], number
        if number % LOST == 0:
            self._end(lambda last: last < number - LOST)

    def finish(self) -> None:
        self._end(lambda _: True)

    def _end(self, has_ended: Callable[[int], bool]) -> None:
        for track in [key for key, (_, last) in self._open.items() if has_ended(last)]:
            first, last = self._open.pop(track)
            self.lengths[last - first + 1] += 1


def _draw_diagrams(summary: Summary, section: Section, over_time: _OverTime, tracks: _Tracks
                   ) -> None:
    """Add the diagrams for which there are data, and say what there is not."""
    names = section.class_names
    means = {names[number]: over_time.means(number) for number in over_time.classes()}
    shares = {name: 100 * share for name, _, share in summary.classes}
    diagrams = [
        ('Objects over time', draw_counts(over_time.times(), means, section.axis)),
        ('Class shares', draw_bars(shares, 'Class shares', 'percent of all pixels'))]
    tracks.finish()
    if not section.tracked:
        summary.remarks.append('No track lengths: ids are not tracked from frame to frame in '
                               'these results.')
    elif tracks.lengths:
        diagrams.append(('Track lengths', draw_histogram(tracks.lengths, 'Track lengths',
                                                         'frames from first to last')))
    if section.latency:
        diagrams.append(('Latency', draw_histogram(section.latency, 'Latency',
                                                   section.latency_kind)))
    else:
        summary.remarks.append('No latency: these results hold no times from which it follows.')
    summary.diagrams = [(caption, png_url(data)) for caption, data in diagrams]
