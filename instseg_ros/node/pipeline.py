"""Two stages that work at the same time, each in a thread of its own; knows no ROS or images."""
from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Generic, TypeVar

Frame = TypeVar('Frame')


class Pipeline(Generic[Frame]):
    """Takes frames through two stages: while one is in the second, the next is in the first.

    The rate is nearly that of the slower stage alone. The first stage begins a frame only when
    the second has taken the one before, so at most one frame waits between the stages. A queue
    there would even out stages whose times vary, for some percent more rate, but every frame in
    it would grow older.

    Parameters
    ----------
    first, second : callable
        The stages; each takes a frame. A stage is always called in the same thread.
    on_result : callable
        Called with a frame after its second stage, in the thread of that stage.
    on_error : callable
        Called with the exception that a stage or `on_result` raised, in the thread of that
        stage. An exception costs one frame; the next one is processed as usual.
    depth : int
        Frames that may wait at the entrance, the newest.
    """

    def __init__(self, first: Callable[[Frame], object], second: Callable[[Frame], object], *,
                 on_result: Callable[[Frame], object], on_error: Callable[[Exception], object],
                 depth: int) -> None:
        self._first, self._second = first, second
        self._on_result, self._on_error = on_result, on_error
        self._depth = depth
        self._lock = threading.Lock()
        self._waiting: deque[Frame] = deque()
        self._hand_over = threading.Semaphore()  # free while no frame waits between the stages
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
            # A turn for each frame that waits; it is taken by the oldest one at that time.
            self._first_thread.submit(self._run_first)
            return 0

    def close(self) -> int:
        """Finish the frames that were begun, give up those that wait, and end both threads.

        Returns
        -------
        int
            How many frames are given up. Frames submitted later are given up, too.
        """
        with self._lock:
            self._depth = 0
            self._first_thread.shutdown(wait=False, cancel_futures=True)
        # In this order: the second stage has to take the frame that the first one hands over.
        self._first_thread.shutdown()
        self._second_thread.shutdown()
        given_up = len(self._waiting)
        self._waiting.clear()
        return given_up

    def _run_first(self) -> None:
        self._hand_over.acquire()
        with self._lock:
            frame = self._waiting.popleft()
        try:
            self._first(frame)
        except Exception as error:
            self._hand_over.release()
            self._on_error(error)
        else:
            self._second_thread.submit(self._run_second, frame)

    def _run_second(self, frame: Frame) -> None:
        self._hand_over.release()
        try:
            self._second(frame)
            self._on_result(frame)
        except Exception as error:
            self._on_error(error)
