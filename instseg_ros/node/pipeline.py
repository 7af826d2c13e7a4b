"""Two stages that work at the same time, each in a thread of its own; knows no ROS or images."""
from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Generic, Hashable, Sequence, TypeVar

from instseg_ros.node.turns import Turns

Frame = TypeVar('Frame')


class Pipeline(Generic[Frame]):
    """Takes frames through two stages: while some are in the second, the next are in the first.

    The first stage may process frames of several sources together. The second stage processes
    frames one after another. The rate is nearly that of the slower stage alone. The first stage
    begins only when the second has taken what the first handed over before, so no queue grows
    between the stages. A queue there would even out stages whose times vary, for some percent more
    rate, but every frame in it would grow older.

    Parameters
    ----------
    prepare : callable
        The beginning of the first stage; takes a frame.
    compute : callable
        The rest of the first stage; takes a list of prepared frames.
    finish : callable
        The second stage; takes a frame. Each stage is always called in the same thread.
    on_result : callable
        Called with a frame after its second stage, in the thread of that stage.
    on_error : callable
        Called with a frame and the exception that a stage or `on_result` raised, in the thread of
        that stage. An exception costs the frame or, in `compute`, all that were computed together;
        the next ones are processed as usual.
    depth : int
        Frames of a source that may wait at the entrance, the newest.
    limit : int
        At most so many frames are computed together.
    key : callable
        Only frames of the same key are computed together.
    """

    def __init__(self, prepare: Callable[[Frame], object],
                 compute: Callable[[Sequence[Frame]], object],
                 finish: Callable[[Frame], object], *, on_result: Callable[[Frame], object],
                 on_error: Callable[[Frame, Exception], object], depth: int, limit: int = 1,
                 key: Callable[[Frame], Hashable] = lambda frame: None) -> None:
        self._prepare, self._compute, self._finish = prepare, compute, finish
        self._on_result, self._on_error = on_result, on_error
        self._limit, self._key = limit, key
        self._lock = threading.Lock()
        self._turns: Turns[Frame] = Turns(depth)
        self._is_closed = False
        self._hand_over = threading.Semaphore()  # free while nothing waits between the stages
        self._first_thread = ThreadPoolExecutor(1, 'first_stage')
        self._second_thread = ThreadPoolExecutor(1, 'second_stage')

    def submit(self, source: Hashable, frame: Frame) -> int:
        """Let a frame wait for its turn; returns at once.

        The sources take turns, see `Turns`.

        Returns
        -------
        int
            How many frames are given up for it: the oldest of its source that waits, or none.
        """
        with self._lock:
            if self._is_closed:
                return 1
            given_up = self._turns.put(source, frame)
            if not given_up:
                self._first_thread.submit(self._run_first)  # a turn for each frame that waits
            return given_up

    def close(self) -> list[Frame]:
        """Finish the frames that were begun, give up those that wait, and end both threads.

        Returns
        -------
        list
            The frames that are given up. Frames submitted later are given up, too.
        """
        with self._lock:
            self._is_closed = True
            self._first_thread.shutdown(wait=False, cancel_futures=True)
        # In this order: the second stage has to take the frames that the first one hands over.
        self._first_thread.shutdown()
        self._second_thread.shutdown()
        return self._turns.clear()

    def _run_first(self) -> None:
        self._hand_over.acquire()
        has_handed_over = False
        try:
            with self._lock:
                # There may be none, as those of one turn are computed with those of another.
                frames = [] if self._is_closed else self._turns.take(self._limit, self._key)
            ready = [frame for frame in frames if self._try(self._prepare, frame, [frame])]
            if ready and self._try(self._compute, ready, ready):
                has_handed_over = True
                self._second_thread.submit(self._hand_over.release)
                for frame in ready:
                    self._second_thread.submit(self._run_second, frame)
        finally:
            if not has_handed_over:
                self._hand_over.release()

    def _run_second(self, frame: Frame) -> None:
        if self._try(self._finish, frame, [frame]):
            self._try(self._on_result, frame, [frame])

    def _try(self, work: Callable[[Any], object], argument: Any, frames: Sequence[Frame]) -> bool:
        """Return whether the work succeeded; report its exception for each of the frames."""
        try:
            work(argument)
        except Exception as error:
            for frame in frames:
                self._on_error(frame, error)
            return False
        return True
