"""Video files, each frame with its time."""
from __future__ import annotations

import math
import os
from pathlib import Path
from types import TracebackType
from typing import Iterator

import cv2
import numpy as np

from instseg_ros.core.types import check_array
from instseg_ros.limits import MAX_PIXELS
from instseg_ros.media.edit_lists import edited_duration
from instseg_ros.media.files import MediaError, check_file
from instseg_ros.media.headers import check_pixels

MISSING_TOLERATED = 0.02
"""Share of a video's announced frames, or of its duration, that may be missing: containers
estimate both."""

MAX_RATE = 1000.0
"""Frames per second; what announces more has no usable rate (some containers say 90000)."""

LOWEST_RATE, HIGHEST_RATE = 0.1, 240.0
"""Frames per second of a written video: what players show."""

MAX_PAUSE = 10.0
"""Seconds that a written video shows a frame at most; longer pauses are cut to this."""

COUNTING = (b'RIFF', b'ftyp', b'moov', b'mdat', b'wide', b'free')
"""Signatures of AVI, MP4 and MOV, which store the number of frames. Others only estimate it."""


def codec_rate(rate: float) -> float:
    """Return the frame rate nearest to `rate` that an MPEG-4 video can hold.

    The codec counts time in fractions of a second whose denominator has 16 bits
    (`vop_time_increment_resolution` of ISO/IEC 14496-2), and OpenCV writes a rate as a decimal
    fraction: 90.61 is 9061 / 100. Two decimals fit up to 655.
    """
    return round(min(max(LOWEST_RATE, rate), HIGHEST_RATE), 2)


def fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture scaled into a frame, with black borders where the proportions differ.

    Parameters
    ----------
    picture : (H, W, 3) uint8
    size : (int, int)
        Height and width of the frame in pixels.
    """
    height, width = picture.shape[:2]
    if (height, width) == size:
        return picture
    scale = min(size[0] / height, size[1] / width)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    picture = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    down, right = size[0] - inner[1], size[1] - inner[0]
    return cv2.copyMakeBorder(picture, down // 2, down - down // 2, right // 2,
                              right - right // 2, cv2.BORDER_CONSTANT)


class VideoReader:
    """The frames of a video file, once.

    Attributes
    ----------
    path : Path
    rate : float
        Frames per second, on average if they vary.
    frame_count : int
        Announced number of frames; 0 if the file does not say.
    frames_read : int
        Number of frames that were decoded so far.
    time : float
        When the last decoded frame is shown, in seconds from the start of the video.

    Raises
    ------
    OSError
        There is no such file, or it may not be read.
    MediaError
        No frame of it can be decoded, it has no frame rate, or more than `max_pixels` a frame.
    """

    def __init__(self, path: Path | str, max_pixels: int = MAX_PIXELS) -> None:
        self.path = check_file(path)
        # FFmpeg's complaints name no file; what matters is in the errors raised here.
        os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
        self._capture = cv2.VideoCapture(str(path))
        if self._capture.isOpened():
            width, height = (int(self._capture.get(name)) for name in (
                cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            check_pixels(self.path, width, height, max_pixels)
        if not self._capture.isOpened() or not self._capture.grab():
            raise MediaError(f'{path}: expected a video, got a file that is damaged, truncated or '
                             'of another kind')
        self.rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        if not 0 < self.rate <= MAX_RATE:
            raise MediaError(f'{path}: the video does not say its frame rate; convert it first, '
                             'for example with "ffmpeg -i in.mp4 -r 25 out.mp4"')
        self.frame_count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.frames_read = 0
        self.time = 0.0
        self._last_interval = 1 / self.rate

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield each frame as (H, W, 3) uint8, RGB."""
        grabbed = self.frames_read == 0  # the first one, by the constructor
        while grabbed or self._capture.grab():
            grabbed = False
            done, frame = self._capture.retrieve()
            if not done:
                return
            self._note_time(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            self.frames_read += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def _note_time(self, time: float) -> None:
        if not self.frames_read:
            self.time = max(0.0, time) if math.isfinite(time) else 0.0
            return
        if not math.isfinite(time) or time <= self.time:  # some containers store none
            time = self.time + 1 / self.rate
        self._last_interval = time - self.time
        self.time = time

    @property
    def damage(self) -> str:
        """A sentence if, after the last frame, notably fewer came than were announced."""
        tolerated = 1 - MISSING_TOLERATED
        if self.frames_read >= self.frame_count * tolerated:
            return ''
        # Fewer frames than announced are all there are, if they last as long as they should.
        edited = edited_duration(self.path)
        if edited is not None or not self._counts():
            duration = self.frame_count / self.rate
            duration = duration if edited is None else min(duration, edited)
            if self.frames_read and self.time + self._last_interval >= duration * tolerated:
                return ''
        return (f'{self.path}: damaged or truncated, only {self.frames_read} of '
                f'{self.frame_count} frames could be decoded')

    def _counts(self) -> bool:
        with self.path.open('rb') as file:
            head = file.read(8)
        return head[:4] in COUNTING or head[4:] in COUNTING

    def close(self) -> None:
        """Free the decoder."""
        self._capture.release()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class VideoWriter:
    """An MP4 file (MPEG-4 part 2, which every build of OpenCV encodes) of RGB frames.

    Use it as a context manager: the file is whole, and was checked, only after its end. Write to a
    temporary name and rename (`instseg_ros.files`).

    Parameters
    ----------
    path : path
        Ends in .mp4.
    rate : float
        Frames per second; rounded to what the codec can hold, see `codec_rate`.
    """

    def __init__(self, path: Path | str, rate: float) -> None:
        self.path = Path(path)
        self._rate = codec_rate(rate)
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._frame = np.zeros((0, 0, 3), np.uint8)
        self._count = 0
        self._start: float | None = None
        self._time = 0.0
        self._cut = 0.0

    def write(self, frame: np.ndarray, time: float | None = None) -> None:
        """Append a frame, (H, W, 3) uint8, RGB.

        Frames of another size than the first one are scaled into its size. The codec wants even
        sizes: an odd last row or column is doubled.

        Parameters
        ----------
        time : float, optional
            When it is shown, in seconds. The rate of the file is constant, so the frame before is
            repeated until then, up to `MAX_PAUSE`. Without it, frames follow at the rate.
        """
        check_array('frame', frame, ('H', 'W', 3), np.uint8)
        if self._writer is None:
            self._open(*frame.shape[:2])
        if time is not None:
            self._wait_until(time)
        frame = fit(frame, self._size)
        height, width = self._size
        frame = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self._frame = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        self._append()

    def _open(self, height: int, width: int) -> None:
        self._size = height, width
        self._writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter_fourcc(*'mp4v'),
                                       self._rate, (width + width % 2, height + height % 2))
        if not self._writer.isOpened():
            raise MediaError(f'{self.path}: OpenCV cannot write MP4 videos here (its build '
                             'has no FFmpeg, or the folder cannot be written)')

    def _wait_until(self, time: float) -> None:
        if self._start is None:
            self._start = self._time = time
        self._cut += max(0.0, time - self._time - MAX_PAUSE)
        self._time = max(time, self._time)
        due = round((self._time - self._start - self._cut) * self._rate)
        while 0 < self._count < due:
            self._append()

    def _append(self) -> None:
        assert self._writer is not None
        self._writer.write(self._frame)
        self._count += 1

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.release()
        if kind is None:
            self._check()

    def _check(self) -> None:
        """Read the file back: OpenCV does not say when a disk is full."""
        if self._writer is None:
            raise MediaError(f'{self.path}: a video needs at least one frame')
        with VideoReader(self.path) as reader:
            if reader.frame_count != self._count:
                raise OSError(f'{self.path}: only {reader.frame_count} of {self._count} frames '
                              'were written; is the disk full?')
