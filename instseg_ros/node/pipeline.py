"""Two stages at work at the same time, each in a thread of its own; no word of ROS or images."""
from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Generic, TypeVar

Frame = TypeVar('Frame')
Half = TypeVar('Half')


class Pipeline(Generic[Frame, Half]):
    """Takes frames through two stages in order: the next is in the first, one is in the second.

    The rate is nearly that of the slower stage alone. The first stage begins a frame only when
    the second has taken the one before, so nothing waits between the stages but what the first
    has just finished. A queue there would even out stages whose times vary, for some percent
    more rate, but everything in it would grow older.

    Parameters
    ----------
    first : callable
        Makes of a frame what the second stage takes.
    second : callable
        Ends the work on a frame. Always called in the same thread.
    on_loss : callable
        Told the exception that a stage raised, in the thread of that stage. An exception costs
        one frame; the next has its chance.
    depth : int
        Frames that may wait at the entrance, the newest.
    """

    def __init__(self, first: Callable[[Frame], Half], second: Callable[[Half], object],
                 on_loss: Callable[[Exception], object], *, depth: int) -> None:
        self._first, self._second, self._on_loss = first, second, on_loss
        self._depth = depth
        self._lock = threading.Lock()
        self._waiting: deque[Frame] = deque()
        self._hand_over = threading.Semaphore()  # free while the second has taken all there was
        self._first_thread = ThreadPoolExecutor(1, 'first_stage')
        self._second_thread = ThreadPoolExecutor(1, 'second_stage')

    def submit(self, frame: Frame) -> int:
        """Let a frame wait for its turn; returns at once.

        Returns
        -------
        int
            How many frames are given up for it: the oldest that waits, or none.
        """
        with self._lock:
            self._waiting.append(frame)
            if len(self._waiting) > self._depth:
                self._waiting.popleft()
                return 1
            # A turn for each frame that waits, whichever that is when the turn comes.
            self._first_thread.submit(self._begin)
            return 0

    def close(self) -> int:
        """Finish the frames that were begun, give up those that wait, and end both threads.

        Returns
        -------
        int
            How many frames are given up. Each one submitted later is, too.
        """
        with self._lock:
            self._depth = 0
            self._first_thread.shutdown(wait=False, cancel_futures=True)
        # One after the other: the second stage has to take what the first still hands over.
        self._first_thread.shutdown()
        self._second_thread.shutdown()
        given_up = len(self._waiting)
        self._waiting.clear()
        return given_up

    def _begin(self) -> None:
        self._hand_over.acquire()
        with self._lock:
            frame = self._waiting.popleft()
        try:
            half_done = self._first(frame)
        except Exception as error:
            self._hand_over.release()
            self._on_loss(error)
        else:
            self._second_thread.submit(self._end, half_done)

    def _end(self, half_done: Half) -> None:
        self._hand_over.release()
        try:
            self._second(half_done)
        except Exception as error:
            self._on_loss(error)
