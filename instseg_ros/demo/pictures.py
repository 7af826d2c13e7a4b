"""Pictures and records made from the two bags of a demo: what went in and what came out."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import cv2
import numpy as np

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.conversions import find_converter, to_rgb
from instseg_ros.bags.encodings import ImageError
from instseg_ros.bags.messages import COMPRESSED_IMAGE, IMAGE, LABEL_INFO, stamp_of
from instseg_ros.bags.qos import LATCHED
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.results import (
    LABEL_INFO_NAME,
    RESULT_TYPES,
    make_segmentation,
    read_class_names,
)
from instseg_ros.bags.types import BagError, Message, Topic
from instseg_ros.core.types import ModelInfo, Segmentation
from instseg_ros.media import MediaError, OverlayVideo, fit, write_image
from instseg_ros.messages.images import EncodingError
from instseg_ros.messages.results import CONFIDENCE, Result
from instseg_ros.recorded.layout import PREFIX
from instseg_ros.recorded.outputs import PICTURES, encode
from instseg_ros.records import frame_record
from instseg_ros.visualization import contact_sheet

SHEET_FRAMES, SHEET_COLUMNS = 6, 3
TILE_WIDTH = 768
"""Pixels; larger images are scaled down on the contact sheet."""


class AnsweredFrame(NamedTuple):
    """An image that the node has answered.

    Attributes
    ----------
    number : int
        Of the image on its topic, from 0.
    header : std_msgs/Header
    image : (H0, W0, 3) uint8
        RGB.
    segmentation : Segmentation
    messages : dict of str to Message
        What the node published about it, by the names of `result_types`.
    """

    number: int
    header: object
    image: np.ndarray
    segmentation: Segmentation
    messages: dict[str, Message]


def result_types(results: BagReader) -> dict[str, str]:
    """Return the types of what the node published about each image, by name."""
    has_confidence = Topic(PREFIX + CONFIDENCE, IMAGE) in results.topics
    return {**RESULT_TYPES, **({CONFIDENCE: IMAGE} if has_confidence else {})}


def answered_frames(images: BagReader, topic: Topic, results: BagReader
                    ) -> Iterator[AnsweredFrame]:
    """Yield each image that has a result, in order."""
    converter, class_names = find_converter(), read_class_names(results)
    answers = read_answers(results)
    answer = next(answers, None)
    for number, message in enumerate(images.read([topic])):
        if answer is None:
            return
        try:
            if stamp_of(message.data) != stamp_of(answer['instances'].data):
                continue
            parsed = images.parse(message)
            image = to_rgb(parsed, converter)
        except (BagError, ImageError):
            continue  # the node has dropped it; the answer is that of another with its stamp
        segmentation = make_segmentation(
            {name: results.parse(answer[name]) for name in RESULT_TYPES}, class_names)
        yield AnsweredFrame(number, parsed.header, image, segmentation, answer)
        answer = next(answers, None)


def read_answers(results: BagReader) -> Iterator[dict[str, Message]]:
    """Yield the messages about each image, in order; messages about one have the same time."""
    names = {Topic(PREFIX + name, kind): name for name, kind in result_types(results).items()}
    waiting: list[dict[str, Message]] = []
    for message in results.read(names):
        name = names[message.topic]
        stamp = stamp_of(message.data)
        for answer in waiting:
            if name not in answer and stamp_of(next(iter(answer.values())).data) == stamp:
                break
        else:
            answer = {}
            waiting.append(answer)
        answer[name] = message
        if len(answer) == len(names):
            waiting.remove(answer)
            yield answer


class Pictures:
    """Makes the pictures of a demo; one that can't be made costs no result.

    Parameters
    ----------
    folder : Path
        For `overlay.mp4`, `overlay.png`, `instances.jsonl` and `result.mcap`.
    info : ModelInfo
    rate : float
        Images per second.
    source : str
        Named in the records.

    Attributes
    ----------
    instances : int
        Number of instances in all images together.
    problems : list of str
        A sentence for each picture that can't be made.
    """

    def __init__(self, folder: Path, info: ModelInfo, *, rate: float, source: str) -> None:
        self._folder, self._info, self._rate, self._source = folder, info, rate, source
        self.instances = 0
        self.problems: list[str] = []

    def make(self, images: Path, topic: Topic, published: Path, *, count: int,
             on_frame: Callable[[], object]) -> None:
        """Write all files.

        Parameters
        ----------
        images, published : Path
            The bags of what went in and of what the node published.
        topic : Topic
            Of the images.
        count : int
            Number of images that have a result.
        on_frame : callable
            Called after each image, for a progress bar.
        """
        chosen = {(2 * tile + 1) * count // (2 * SHEET_FRAMES) for tile in range(SHEET_FRAMES)}
        tiles: list[np.ndarray] = []
        done = 0
        with BagReader(images) as image_bag, BagReader(published) as result_bag, \
                BagWriter(self._folder / 'result.mcap') as bag, \
                OverlayVideo(self._folder / 'overlay.mp4', self._rate) as video, \
                (self._folder / 'instances.jsonl').open('w', encoding='utf-8') as records:
            declare(bag, result_bag)
            for frame in answered_frames(image_bag, topic, result_bag):
                result = Result(frame.header, frame.image, frame.segmentation, self._info)
                video.write(result.overlay)
                if done in chosen:
                    tiles.append(shrink(result.overlay))
                records.write(frame_record(frame.number, self._source,
                                           frame.segmentation.instances))
                write_frame(bag, frame, result)
                self.instances += len(frame.segmentation.instances)
                done += 1
                on_frame()
        self.problems += [video.problem] if video.problem else []
        if done != count:
            self.problems.append(f'{published}: expected results for {count} images, got {done}')
        try:
            if tiles:
                tiles = [fit(tile, tiles[0].shape[:2]) for tile in tiles]
                write_image(self._folder / 'overlay.png', contact_sheet(tiles, SHEET_COLUMNS))
        except (MediaError, cv2.error) as error:
            self.problems.append(f'no overlay.png: {error}')


def declare(bag: BagWriter, published: BagReader) -> None:
    """Declare the topics of `result.mcap`, and copy the names of the classes into it."""
    for name, message_type in result_types(published).items():
        bag.add_topic(PREFIX + name, message_type)
    for name in PICTURES:
        bag.add_topic(PREFIX + name, COMPRESSED_IMAGE)
    labels = Topic(PREFIX + LABEL_INFO_NAME, LABEL_INFO)
    bag.add_topic(labels.name, labels.type, qos=[LATCHED])
    for message in published.read([labels]):
        bag.write(labels.name, message.time, message.data)


def write_frame(bag: BagWriter, frame: AnsweredFrame, result: Result) -> None:
    """Write what the node published about an image as it is, and pictures for the eye."""
    time = frame.messages['instances'].time
    for name in PICTURES:
        try:
            bag.write(PREFIX + name, time, encode(result, name))
        except EncodingError:  # JPEG ends at 65,500 pixels
            continue
    for name, message in frame.messages.items():
        bag.write(PREFIX + name, time, message.data)


def shrink(picture: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 scaled down to `TILE_WIDTH`, if it is wider."""
    height, width = picture.shape[:2]
    scale = min(1.0, TILE_WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
