"""Images, videos and recordings as sources of numbered frames; `open_source` tells them apart."""
from __future__ import annotations

import mimetypes
from bisect import bisect_left
from itertools import islice
from pathlib import Path
from typing import Sequence

import cv2

from instseg_ros.media import VideoReader, is_image, read_image
from instseg_ros.recorded.finding import is_bag
from instseg_ros.view.camera import open_camera
from instseg_ros.view.frames import Frame, Source

FAR = 200
"""Frames from which on a jump forward in a video is faster by its index than by decoding."""

RATE_MESSAGES = 50
"""Messages from whose times the rate of a recording is taken."""


class ImageFiles:
    """Image files in the given order, one a second."""

    is_live = False
    remarks: Sequence[str] = ()

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.name, self.paths = name, paths
        self.count, self.rate = len(paths), 1.0

    def read(self, number: int) -> Frame | None:
        if number >= self.count:
            return None
        path = self.paths[number]
        return Frame(number, path.name, read_image(path))

    def close(self) -> None:
        pass


class Video:
    """A video file.

    `VideoReader` reads a file once from its start; here frames are also reached by their number,
    which OpenCV takes from the frame rate: after a far jump, the number is only near the true one
    in videos of variable rate.
    """

    is_live = False
    remarks: Sequence[str] = ()

    def __init__(self, path: Path) -> None:
        with VideoReader(path) as reader:  # for its checks
            self.name, self.count, self.rate = str(path), reader.frame_count, reader.rate
        self._capture = cv2.VideoCapture(str(path))
        self._next = 0

    def read(self, number: int) -> Frame | None:
        if not self._next <= number < self._next + FAR:
            self._go_to(number)
        while self._next < number and self._capture.grab():
            self._next += 1
        done, image = self._capture.read()
        if not done:  # containers estimate the number of frames
            self._go_to(max(0, number - FAR))
            while self._capture.grab():
                self._next += 1
            self.count = self._next
            return None
        self._next = number + 1
        seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return Frame(number, f'{seconds:.2f} s', cv2.cvtColor(image, cv2.COLOR_BGR2RGB))

    def _go_to(self, number: int) -> None:
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        self._next = number

    def close(self) -> None:
        self._capture.release()


class Recording:
    """One topic of images of a bag.

    Times of messages are noted while they are read, so that opening a long bag takes no time. To
    go back is fast; the first jump to a later frame reads all messages on the way.
    """

    is_live = False

    def __init__(self, path: Path, topic: str = '') -> None:
        from instseg_ros.bags.conversions import find_converter
        from instseg_ros.bags.images import median_rate
        from instseg_ros.bags.reader import BagReader
        from instseg_ros.bags.types import BagError

        self._converter = find_converter()
        self._bag = BagReader(path)
        try:
            topics = self._bag.image_topics([topic] if topic else [])
            if len(topics) > 1:
                raise BagError(f'{path}: expected --topic with one of '
                               f'{", ".join(item.name for item in topics)}')
            self._topic = topics[0]
            self._messages = self._bag.read([self._topic])
            first = [message.time for message in islice(self._messages, RATE_MESSAGES)]
            if not first:
                raise BagError(f'{path}: expected images on {self._topic.name}, got no message')
        except BaseException:
            self.close()
            raise
        self.name, self.rate = f'{path} {self._topic.name}', median_rate(first) or 1.0
        self.count = max(self._bag.counts[self._topic], len(first))
        self._next = len(first)
        self._times = first

    def read(self, number: int) -> Frame | None:
        from instseg_ros.bags.conversions import to_rgb

        if number < self._next:
            self._go_back(number)
        for message in self._messages:
            at, self._next = self._next, self._next + 1
            if at == len(self._times):
                self._times.append(message.time)
            if at == number:
                image = to_rgb(self._bag.parse(message), self._converter)
                seconds = (message.time - self._times[0]) / 1e9
                return Frame(number, f'{seconds:.3f} s', image)
        self.count = len(self._times)
        return None

    @property
    def remarks(self) -> Sequence[str]:
        return list(dict.fromkeys([*self._bag.remarks, *self._bag.damage]))

    def _go_back(self, number: int) -> None:
        """Read again from the first message that has the time of this frame."""
        time = self._times[number]
        self._next = bisect_left(self._times, time)
        self._messages = self._bag.read([self._topic], time)

    def close(self) -> None:
        self._bag.__exit__(None, None, None)


def open_source(text: str, topic: str = '') -> Source:
    """Return the frames of an image, a folder of images, a video, a bag, or a camera's index.

    Parameters
    ----------
    text : str
        As given by the user; digits are a camera unless there is such a file.
    topic : str
        Topic of images of a bag that has several.

    Raises
    ------
    OSError
        There is no such file or camera.
    ValueError
        It is none of these, or damaged.
    """
    path = Path(text)
    if not path.exists():
        if text.isdigit():
            return open_camera(int(text))
        raise FileNotFoundError(f'{text}: expected a file, a folder or the index of a camera, but '
                                'there is no such file')
    if is_bag(path):
        return Recording(path, topic)
    images = sorted(filter(looks_like_image, path.rglob('*')))
    if path.is_dir() and not images:
        return Recording(path, topic)
    if topic:
        raise ValueError(f'--topic: expected a bag as source, got {text}')
    if path.is_dir():
        return ImageFiles(text, images)
    return ImageFiles(text, [path]) if looks_like_image(path) else Video(path)


def looks_like_image(path: Path) -> bool:
    """Return whether a file has the content of an image, or at least the suffix of one."""
    is_named_so = (mimetypes.guess_type(path.name)[0] or '').startswith('image/')
    return path.is_file() and (is_named_so or is_image(path))
