"""The same frame in two results."""
from __future__ import annotations

from collections import OrderedDict
from typing import Iterator, Sequence

from instseg_ros.reports.frames import Frame, Section

WINDOW = 16
"""Number of frames of each result that wait for their partner."""

Pair = tuple[Frame, Frame]


class _Side:
    """The frames of one result; those without a partner so far wait in order."""

    def __init__(self, section: Section) -> None:
        self._frames = section.frames()
        self.waiting: OrderedDict[int | str, Frame] = OrderedDict()
        self.last: int | str | None = None
        self.ended = False
        self.alone = 0

    def pull(self) -> Frame | None:
        """Return the next frame; None at the end."""
        frame = next(self._frames, None)
        self.ended = frame is None
        if frame is not None:
            self.last = frame.key
        return frame

    def wait(self, frame: Frame) -> None:
        """Let a frame wait, at the cost of the oldest one if there are many."""
        if frame.key in self.waiting:  # a stamp that repeats
            self.alone += 1
        self.waiting[frame.key] = frame
        if len(self.waiting) > WINDOW:
            self.waiting.popitem(last=False)
            self.alone += 1


class Pairs:
    """Pairs of frames with the same stamp or name; iterate once.

    Only `WINDOW` frames of each result are held, so frames must come in nearly the same order.

    Parameters
    ----------
    first, second : Section

    Attributes
    ----------
    alone : (int, int)
        Number of frames of each result without a partner; final after the last pair.
    """

    def __init__(self, first: Section, second: Section) -> None:
        self._sides = _Side(first), _Side(second)
        self.alone = 0, 0

    def __iter__(self) -> Iterator[Pair]:
        first, second = self._sides
        while not (first.ended and second.ended):
            side = self._next()
            other = second if side is first else first
            frame = side.pull()
            if frame is None:
                continue
            partner = other.waiting.pop(frame.key, None)
            if partner is None:
                side.wait(frame)
            else:
                yield (frame, partner) if side is first else (partner, frame)
        self.alone = (first.alone + len(first.waiting), second.alone + len(second.waiting))

    def _next(self) -> _Side:
        """Return the side to read: the one that is behind."""
        first, second = self._sides
        if first.ended or second.ended:
            return second if first.ended else first
        if not (first.waiting and second.waiting):
            return second if first.waiting else first
        return first if _is_before(first.last, second.last) else second


def _is_before(one: int | str | None, other: int | str | None) -> bool:
    if isinstance(one, int) and isinstance(other, int):
        return one < other
    return str(one) < str(other)  # names are sorted by `instseg segment`


def pair_sections(first: Sequence[Section], second: Sequence[Section]
                  ) -> list[tuple[Section, Section]]:
    """Return the sections of two results that belong together: by their order.

    Raises
    ------
    ValueError
        There are more in one of them.
    """
    if len(first) != len(second):
        raise ValueError(
            'expected results of the same topics or videos, got '
            f'{", ".join(item.title for item in first)} and '
            f'{", ".join(item.title for item in second)}')
    return list(zip(first, second))
