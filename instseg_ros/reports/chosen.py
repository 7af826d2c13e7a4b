"""The frames of a long recording that a page shows: bounded in number, chosen while reading."""
from __future__ import annotations

from dataclasses import dataclass

from instseg_ros.evaluation.html_report import jpeg_url
from instseg_ros.reports.frames import Frame


@dataclass(frozen=True)
class Picture:
    """What a page shows of a frame: the URL of a picture, and the words below it."""

    url: str
    caption: str
    note: str = ''


class Chosen:
    """The frames with the highest values, none of them near another.

    Only frames that are among the best so far are drawn.

    Parameters
    ----------
    title : str
    count : int
        Number of frames at most.
    gap : int
        Frames nearer than this show the same event; only the best of them is kept.
    side : int
        Long side of a picture in pixels.
    """

    def __init__(self, title: str, count: int, gap: int, side: int) -> None:
        self.title = title
        self._count, self._gap, self._side = count, max(1, gap), side
        self._found: list[tuple[float, int, Picture]] = []

    def wants(self, value: float, number: int) -> bool:
        """Return whether a frame of a value above 0 is among the best so far."""
        near = [entry for entry in self._found if abs(entry[1] - number) < self._gap]
        if value <= 0 or any(entry[0] >= value for entry in near):
            return False
        return bool(near) or len(self._found) < self._count or value > self._found[-1][0]

    def offer(self, value: float, number: int, frame: Frame, note: str) -> None:
        """Keep a frame if it is among the best so far."""
        if self.wants(value, number):
            self.put(value, number, Picture(jpeg_url(frame.draw(), self._side), frame.caption,
                                            note))

    def put(self, value: float, number: int, picture: Picture) -> None:
        """Keep a frame that is wanted."""
        self._found = [entry for entry in self._found if abs(entry[1] - number) >= self._gap]
        self._found.append((value, number, picture))
        self._found.sort(key=lambda entry: (-entry[0], entry[1]))
        del self._found[self._count:]

    @property
    def pictures(self) -> list[Picture]:
        """The frames, that of the highest value first."""
        return [picture for _, _, picture in self._found]


def evenly_spaced(count: int, number: int) -> set[int]:
    """Return the numbers of at most `number` frames, evenly spaced among `count`."""
    if count <= number:
        return set(range(count))
    return {round(k * (count - 1) / (number - 1)) for k in range(number)}
