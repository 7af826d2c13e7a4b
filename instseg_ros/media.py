"""Images and videos in, images and videos out; pixels are RGB everywhere.

`OSError` where a file cannot be had, `MediaError` where its content is no good.
"""
from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Iterator

import cv2
import numpy as np

from instseg_ros.core.types import check_array
from instseg_ros.files import replacing

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')

FRAMES_TOLERATED = 0.02
"""Share of a video's announced frames that may be missing: containers estimate the number."""

MAX_RATE = 1000.0
"""Frames per second; what announces more has no usable rate (some containers say 90000)."""


class MediaError(ValueError):
    """An image or video that cannot be decoded or encoded."""


def check_file(path: Path | str) -> Path:
    """Return the path of an existing, non-empty file.

    Raises
    ------
    OSError
        There is none, or it may not be read.
    MediaError
        It is empty.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path}: expected a file, got a folder')
    try:
        with path.open('rb') as file:
            if not file.read(1):
                raise MediaError(f'{path}: the file is empty')
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: no such file') from None
    except PermissionError:
        raise PermissionError(f'{path}: no permission to read this file') from None
    return path


def read_image(path: Path | str) -> np.ndarray:
    """Return an image file as (H, W, 3) uint8, RGB, turned upright as its EXIF data say.

    Raises
    ------
    OSError
        There is no such file, or it may not be read.
    MediaError
        It is no image that OpenCV decodes, or a damaged one.
    """
    path = check_file(path)
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise MediaError(f'{path}: expected an image, got a file that is damaged, truncated or of '
                         'another kind')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write_image(path: Path | str, image: np.ndarray) -> None:
    """Write an RGB image, or a label image of 8 or 16 bits, losslessly if `path` ends in .png.

    Parameters
    ----------
    path : path
        The suffix names the format. Parent folders are made.
    image : (H, W, 3) uint8 or (H, W) uint8 or uint16
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(Path(path).suffix, image)
    if not done:
        raise MediaError(f'{path}: this image of {image.shape} {image.dtype} cannot be encoded')
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())


class VideoReader:
    """The frames of a video file, once.

    Attributes
    ----------
    path : Path
    rate : float
        Frames per second.
    frame_count : int
        Announced number of frames; 0 if the file does not say.
    frames_read : int
        Number of frames that were decoded so far.

    Raises
    ------
    OSError
        There is no such file, or it may not be read.
    MediaError
        No frame of it can be decoded, or it has no frame rate.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = check_file(path)
        # FFmpeg's complaints name no file; what matters is in the errors raised here.
        os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened() or not self._capture.grab():
            raise MediaError(f'{path}: expected a video, got a file that is damaged, truncated or '
                             'of another kind')
        self.rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        if not 0 < self.rate <= MAX_RATE:
            raise MediaError(f'{path}: the video does not say its frame rate; convert it first, '
                             'for example with "ffmpeg -i in.mp4 -r 25 out.mp4"')
        self.frame_count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.frames_read = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield each frame as (H, W, 3) uint8, RGB."""
        grabbed = self.frames_read == 0  # the first one, by the constructor
        while grabbed or self._capture.grab():
            grabbed = False
            done, frame = self._capture.retrieve()
            if not done:
                return
            self.frames_read += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    @property
    def damage(self) -> str:
        """A sentence if, after the last frame, notably fewer came than were announced."""
        if self.frames_read >= self.frame_count * (1 - FRAMES_TOLERATED):
            return ''
        return (f'{self.path}: damaged or truncated, only {self.frames_read} of '
                f'{self.frame_count} frames could be decoded')

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
        Frames per second.
    """

    def __init__(self, path: Path | str, rate: float) -> None:
        self.path = Path(path)
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None
        self._shape: tuple[int, ...] = ()
        self._count = 0

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, (H, W, 3) uint8, RGB; all must have the size of the first one.

        The codec wants even sizes: an odd last row or column is doubled.
        """
        check_array('frame', frame, self._shape or ('H', 'W', 3), np.uint8)
        height, width = frame.shape[:2]
        if self._writer is None:
            self._shape = frame.shape
            self._writer = cv2.VideoWriter(
                str(self.path), cv2.VideoWriter_fourcc(*'mp4v'), self._rate,
                (width + width % 2, height + height % 2))
            if not self._writer.isOpened():
                raise MediaError(f'{self.path}: OpenCV cannot write MP4 videos here (its build '
                                 'has no FFmpeg, or the folder cannot be written)')
        if height % 2 or width % 2:
            frame = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
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
