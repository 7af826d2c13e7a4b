"""Plays a source: reads frames, segments them, and does the second half again for other options.

One thread does the work. Any number of viewers wait for what it shows. It goes on when the fastest
of them has seen the newest picture, so that no frame is skipped and none is computed for nobody.
"""
from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from instseg_ros.core.segmenter import Segmenter
from instseg_ros.core.types import Inference
from instseg_ros.view.frames import Frame, Source
from instseg_ros.view.options import change_options, live_configs, option_values
from instseg_ros.view.pictures import Picture


@dataclass(frozen=True)
class State:
    """What a viewer shows at one time.

    Attributes
    ----------
    version : int
        Another number for every change.
    picture : Picture or None
        The newest result; None before the first one.
    playing : bool
    ended : bool
        The source has no frame after this one.
    count : int
        Number of frames of the source; 0 if it isn't known.
    options : dict of str to Any
        Values of the live options by their dotted names.
    remarks : sequence of str
        What is wrong with the source as a whole.
    """

    version: int
    picture: Picture | None
    playing: bool
    ended: bool
    count: int
    options: Mapping[str, Any]
    remarks: Sequence[str]


class Player:
    """Plays a source from its first frame; all methods may be called from any thread.

    Parameters
    ----------
    source : Source
        Used by the player alone, until `close`.
    segmenter : Segmenter
    """

    def __init__(self, source: Source, segmenter: Segmenter) -> None:
        self.source = source
        self._changed = threading.Condition()
        self._segmenter = segmenter
        self._frame: Frame | None = None
        self._inference: Inference | None = None
        self._picture: Picture | None = None
        self._pictures = 0
        self._seen = 0
        self._version = 0
        self._position = -1
        self._target: int | None = 0
        self._due = 0.0
        self._playing = True
        self._ended = self._outdated = self._closed = False
        self._thread = threading.Thread(target=self._work, name='player', daemon=True)
        self._thread.start()

    @property
    def segmenter(self) -> Segmenter:
        """The segmenter with the options of now."""
        return self._segmenter

    def wait(self, version: int, seen: int, timeout: float) -> State | None:
        """Return the newest state as soon as it differs from `version`; None after `timeout`.

        Parameters
        ----------
        version : int
            Of the state that the viewer shows; -1 for none.
        seen : int
            Number of the picture that the viewer shows; 0 for none. Playback waits until the
            fastest viewer has seen the newest picture.
        timeout : float
            Seconds.
        """
        with self._changed:
            self._seen = max(self._seen, min(seen, self._pictures))
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._version != version or self._closed,
                                          timeout):
                return None
            return State(self._version, self._picture, self._playing, self._ended,
                         self.source.count, option_values(live_configs(self._segmenter)),
                         tuple(self.source.remarks))

    def set_options(self, changes: Mapping[str, Any]) -> None:
        """Change live options; the current frame is post-processed again.

        Raises
        ------
        ValueError
            There is no such option, or a value is not allowed.
        """
        with self._changed:
            configs = change_options(live_configs(self._segmenter), changes)
            self._segmenter = self._segmenter.with_options(**configs)
            self._outdated = self._inference is not None
            self._announce()

    def play(self) -> None:
        """Go on playing; from the start if the source has ended."""
        with self._changed:
            if self._ended:
                self._target = 0
            self._playing, self._ended = True, False
            self._announce()

    def pause(self) -> None:
        """Stay at the current frame."""
        with self._changed:
            self._playing = False
            self._announce()

    def seek(self, number: int) -> None:
        """Show a frame; the last one if there are fewer. A camera shows its newest one."""
        with self._changed:
            if self.source.count:
                number = min(number, self.source.count - 1)
            self._target, self._ended = max(0, number), False
            self._announce()

    def step(self, frames: int) -> None:
        """Pause, and go some frames forward, or backward if `frames` is negative."""
        with self._changed:
            self._playing = False
            position = self._position if self._target is None else self._target
            self._target, self._ended = max(0, position + frames), False
            self._announce()

    def close(self) -> None:
        """End; returns when the frame in work is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _announce(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._closed or self._outdated or self._target is not None
                           or self._is_next_due()):
                    left = self._due - time.monotonic()
                    self._changed.wait(left if self._playing and left > 0 else None)
                if self._closed:
                    return
                number, self._target = self._target, None
                again, self._outdated = self._outdated and number is None, False
                if number is None:
                    number = self._position + 1
            if again:
                self._postprocess(network_ran=False)
            else:
                self._advance(number)

    def _is_next_due(self) -> bool:
        return (self._playing and self._seen == self._pictures
                and time.monotonic() >= self._due)

    def _advance(self, number: int) -> None:
        """Read and segment a frame, or stop at the last one."""
        start = time.monotonic()
        try:
            frame = self.source.read(number)
            if frame is None and 0 < self.source.count < number:  # fewer than it promised
                number = self.source.count - 1
                frame = self.source.read(number)
            if frame is not None:
                self._position = number
                self._inference, self._frame = self._segmenter.infer(frame.image), frame
                self._postprocess(network_ran=True)
        except Exception as error:  # of many types: decoders and providers raise their own
            self._fail(number, str(error) or type(error).__name__)
        else:
            if frame is None:
                with self._changed:
                    self._playing, self._ended = False, True
                    self._announce()
        self._due = start + (1 / self.source.rate if self.source.rate else 0)

    def _fail(self, number: int, problem: str) -> None:
        """Show why there is no result; a camera doesn't come back, other frames may be sound."""
        self._frame = self._inference = None
        self._position = number
        if self.source.is_live:
            self._playing = False
        self._show(Picture(self._pictures + 1, number, problem=problem))

    def _postprocess(self, *, network_ran: bool) -> None:
        assert self._inference is not None and self._frame is not None
        segmentation = self._segmenter.postprocess(self._inference)
        self._show(Picture(self._pictures + 1, self._frame.number, self._frame.label,
                           self._frame.image, segmentation, self._segmenter.model_info,
                           network_ran))

    def _show(self, picture: Picture) -> None:
        with self._changed:
            self._picture, self._pictures = picture, picture.serial
            self._announce()
