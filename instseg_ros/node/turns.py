"""Frames of several sources that wait for their turn; knows no ROS, images or threads."""
from __future__ import annotations

from collections import deque
from typing import Callable, Generic, Hashable, TypeVar

Frame = TypeVar('Frame')


class Turns(Generic[Frame]):
    """A round robin over the sources that have a frame waiting.

    A source joins the end of the queue with its first waiting frame and keeps its place when newer
    frames replace that one. So a frame waits for at most one frame of every other source, however
    fast those are.

    Parameters
    ----------
    depth : int
        Frames of a source that may wait, the newest.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._waiting: dict[Hashable, deque[Frame]] = {}  # in the order of the queue

    def put(self, source: Hashable, frame: Frame) -> int:
        """Let a frame wait; return how many frames are given up for it.

        That is the oldest frame of the same source, or none.
        """
        frames = self._waiting.setdefault(source, deque())
        frames.append(frame)
        if len(frames) <= self._depth:
            return 0
        frames.popleft()
        return 1

    def take(self, limit: int = 1,
             key: Callable[[Frame], Hashable] = lambda frame: None) -> list[Frame]:
        """Remove and return the frames whose turn it is, at most one of a source.

        Parameters
        ----------
        limit : int
            At most so many frames.
        key : callable
            Only frames of the same key as the first one are taken with it; the other sources keep
            their places.

        Returns
        -------
        list
            Empty if no frame waits.
        """
        taken: list[Frame] = []
        sources: list[Hashable] = []
        for source, frames in self._waiting.items():
            if len(taken) == limit:
                break
            if not taken or key(frames[0]) == key(taken[0]):
                sources.append(source)
                taken.append(frames.popleft())
        for source in sources:
            rest = self._waiting.pop(source)
            if rest:
                self._waiting[source] = rest
        return taken

    def clear(self) -> list[Frame]:
        """Remove and return all frames."""
        frames = [frame for waiting in self._waiting.values() for frame in waiting]
        self._waiting.clear()
        return frames
