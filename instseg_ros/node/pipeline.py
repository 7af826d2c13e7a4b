"""Two stages that work at the same time, each in a thread of its own; knows no ROS or images."""
from __future__ import annotations

import threading
import time
from typing import Any, Callable, Generic, Hashable, NamedTuple, Sequence, TypeVar

from instseg_ros.node.turns import Turns
from instseg_ros.node.worker import Worker

Frame = TypeVar('Frame')


class StuckError(TimeoutError):
    """A stage that has not returned in time."""


class Step(NamedTuple):
    """A call of a stage that has not returned yet.

    Attributes
    ----------
    name : str
        Of the called function.
    began : float
        Seconds, of `time.monotonic`.
    """

    name: str
    began: float


class Pipeline(Generic[Frame]):
    """Takes frames through two stages: while some are in the second, the next are in the first.

    The first stage may process frames of several sources together. The second stage processes
    frames one after another. The rate is nearly that of the slower stage alone. The first stage
    begins only when the second has taken what the first handed over before, so no queue grows
    between the stages. A queue there would even out stages whose times vary, for some percent more
    rate, but every frame in it would grow older.

    Every frame comes to exactly one end: it is given up, or `on_result` or `on_error` is called
    with it.

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
        that stage; also with SystemExit and the like. An exception costs the frame or, in
        `compute`, all that were computed together; the next ones are processed as usual.
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
                 on_error: Callable[[Frame, BaseException], object], depth: int, limit: int = 1,
                 key: Callable[[Frame], Hashable] = lambda frame: None) -> None:
        self._prepare, self._compute, self._finish = prepare, compute, finish
        self._on_result, self._on_error = on_result, on_error
        self._limit, self._key = limit, key
        self._lock = threading.Lock()
        self._turns: Turns[Frame] = Turns(depth)
        self._begun: list[Frame] = []  # in a stage, or between the stages
        self._steps: dict[str, Step] = {}  # by thread
        self._is_closed = False
        self._hand_over = threading.Semaphore()  # free while nothing waits between the stages
        self._first, self._second = Worker('first_stage'), Worker('second_stage')

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
                self._first.submit(self._run_first)  # a turn for each frame that waits
            return given_up

    def longest_step(self) -> Step | None:
        """Return what the stages have been doing for the longest time; None if both are idle."""
        return min(self._steps.copy().values(), key=lambda step: step.began, default=None)

    def close(self, timeout: float = threading.TIMEOUT_MAX) -> list[Frame]:
        """Finish the frames that were begun, give up those that wait, and end both threads.

        Frames that are not finished in time fail with `StuckError`; what a stage that returns
        later has made of them is dropped.

        Parameters
        ----------
        timeout : float
            Seconds.

        Returns
        -------
        list
            The frames that are given up. Frames submitted later are given up, too.
        """
        end = time.monotonic() + timeout
        with self._lock:
            self._is_closed = True
            given_up = self._turns.clear()
        # In this order: the second stage has to take the frames that the first one hands over.
        if not (self._first.close(timeout) and self._second.close(end - time.monotonic())):
            self._abandon()
        return given_up

    def _abandon(self) -> None:
        """Report what was begun as lost; each thread ends when its stage returns."""
        step = self.longest_step()
        reason = (f'{step.name} has not returned for {time.monotonic() - step.began:.1f} s'
                  if step else 'there was no time to finish it')
        with self._lock:
            lost, self._begun = self._begun, []
        self._hand_over.release()
        self._second.close(0)
        for frame in lost:
            self._on_error(frame, StuckError(reason))

    def _run_first(self) -> None:
        self._hand_over.acquire()
        has_handed_over = False
        try:
            with self._lock:
                frames = self._turns.take(self._limit, self._key)  # none if computed with another
                self._begun += frames
            ready = [frame for frame in frames if self._try(self._prepare, frame, [frame])]
            if ready and self._try(self._compute, ready, ready):
                has_handed_over = True
                self._second.submit(self._hand_over.release)
                for frame in ready:
                    self._second.submit(self._run_second, frame)
        finally:
            if not has_handed_over:
                self._hand_over.release()

    def _run_second(self, frame: Frame) -> None:
        if self._try(self._finish, frame, [frame]) and self._try(self._on_result, frame, [frame]):
            self._end(frame)

    def _try(self, work: Callable[[Any], object], argument: Any, frames: Sequence[Frame]) -> bool:
        """Return whether the work succeeded; report its exception for each of the frames.

        Nothing is done for frames that have been reported as lost.
        """
        if not self._are_begun(frames):
            return False
        thread = threading.current_thread().name
        name = getattr(work, '__name__', 'a stage')
        self._steps[thread] = Step(name, time.monotonic())
        try:
            work(argument)
        except BaseException as error:  # SystemExit would lose frames
            for frame in frames:
                if self._end(frame):
                    self._on_error(frame, error)
            return False
        finally:
            del self._steps[thread]
        return self._are_begun(frames)

    def _are_begun(self, frames: Sequence[Frame]) -> bool:
        """Return whether none of the frames has been reported as lost."""
        with self._lock:
            return all(any(frame is other for other in self._begun) for frame in frames)

    def _end(self, frame: Frame) -> bool:
        """Forget a frame; return whether it was still to be reported."""
        with self._lock:
            before = len(self._begun)
            self._begun = [other for other in self._begun if other is not frame]
            return len(self._begun) < before
