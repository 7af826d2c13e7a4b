"""The results of two models for the frames of one input."""
from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Iterator

import numpy as np

from instseg_ros.bags.conversions import find_converter, to_rgb
from instseg_ros.bags.messages import NANOSECONDS, stamp_of
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import Topic
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.media import MediaError, VideoReader, load_image
from instseg_ros.reports.frames import Frame
from instseg_ros.reports.pairing import Pair
from instseg_ros.visualization import overlay


class Images:
    """The images of a bag, a video, or some photographs; iterate once.

    Parameters
    ----------
    path : Path
        The bag or video.
    is_bag : bool
    photographs : list of Path
        Empty for a bag or a video.
    topic : str
        Topic of images of a bag that has several.

    Attributes
    ----------
    count : int
        Number of images that are announced; 0 if that is not known.
    problems : list of str
        A sentence for what could not be read.
    """

    def __init__(self, path: Path, is_bag: bool, photographs: list[Path], topic: str = ''
                 ) -> None:
        self._path, self._is_bag, self._photographs = path, is_bag, photographs
        self._name = topic
        self.count, self.problems = len(photographs), list[str]()
        if is_bag:
            with BagReader(path) as bag:
                self.count = bag.counts[self._topic(bag)]
        elif not photographs:
            with VideoReader(path) as video:
                self.count = video.frame_count

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield a caption and the image, (H0, W0, 3) uint8, RGB."""
        if self._is_bag:
            yield from self._of_bag()
        elif self._photographs:
            yield from self._of_photographs()
        else:
            with VideoReader(self._path) as video:
                for number, image in enumerate(video):
                    yield f'frame {number}, {video.time:.2f} s', image
                if video.damage:
                    self.problems.append(video.damage)

    def _topic(self, bag: BagReader) -> Topic:
        topics = bag.image_topics([self._name] if self._name else [])
        if len(topics) > 1:
            raise ValueError(f'{self._path}: expected --topic with one of '
                             f'{", ".join(topic.name for topic in topics)}')
        return topics[0]

    def _of_bag(self) -> Iterator[tuple[str, np.ndarray]]:
        converter = find_converter()
        with BagReader(self._path) as bag:
            dropped = 0
            for message in bag.read([self._topic(bag)]):
                try:
                    image = to_rgb(bag.parse(message), converter)
                    stamp = stamp_of(message.data) / NANOSECONDS
                except ValueError as error:
                    dropped += 1
                    reason = str(error)
                    continue
                yield f'stamp {stamp:.3f}', image
            if dropped:
                self.problems.append(f'{self._path}: {dropped} images are damaged: {reason}')
            self.problems += bag.damage

    def _of_photographs(self) -> Iterator[tuple[str, np.ndarray]]:
        for path in self._photographs:
            try:
                image, damage = load_image(path)
            except (MediaError, OSError) as error:
                self.problems.append(str(error))
                continue
            if damage:
                self.problems.append(damage)
            yield path.name, image


class ModelPairs:
    """Pairs of the results of two models; iterate once.

    Attributes
    ----------
    milliseconds : (Counter of int, Counter of int)
        Of each model: number of frames by their time in whole milliseconds.
    """

    def __init__(self, models: tuple[Segmenter, Segmenter], images: Images) -> None:
        self._models, self._images = models, images
        self.milliseconds: tuple[Counter[int], Counter[int]] = Counter(), Counter()

    def __iter__(self) -> Iterator[Pair]:
        for number, (caption, image) in enumerate(self._images):
            frames = []
            for model, times in zip(self._models, self.milliseconds):
                result = model.segment(image)
                times[round(1000 * sum(result.timings.values()))] += 1
                frames.append(Frame(number, caption, float(number), result,
                                    partial(overlay, image, result, model.model_info)))
            yield frames[0], frames[1]
