"""Pictures and records made from the two bags of a demo: what went in and what came out."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator

import cv2
import numpy as np

from instseg_ros.bags.conversions import find_converter, to_rgb
from instseg_ros.bags.messages import IMAGE, stamp_of
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.results import read_results
from instseg_ros.bags.types import BagError
from instseg_ros.core.types import ModelInfo, Segmentation
from instseg_ros.media import VideoWriter, write_image
from instseg_ros.records import frame_record
from instseg_ros.visualization import contact_sheet, overlay

SHEET_FRAMES, SHEET_COLUMNS = 6, 3
TILE_WIDTH = 768
"""Pixels; larger images are scaled down on the contact sheet."""


def frames_with_results(images: BagReader, topic: str, results: BagReader, prefix: str
                        ) -> Iterator[tuple[int, np.ndarray, Segmentation]]:
    """Yield number, RGB image and result of each frame that the node answered."""
    converter = find_converter()
    answers = read_results(results, prefix)
    answered, segmentation = next(answers, (None, None))
    for number, message in enumerate(images.read([images.topic_of_type(IMAGE, topic)])):
        if segmentation is None:
            return
        if stamp_of(message.data) == answered:
            yield number, to_rgb(images.parse(message), converter), segmentation
            answered, segmentation = next(answers, (None, None))


def make_pictures(images: Path, topic: str, results: Path, prefix: str, info: ModelInfo, *,
                  folder: Path, rate: float, source: str, count: int,
                  on_frame: Callable[[], object]) -> int:
    """Write `overlay.mp4`, `overlay.png` and `instances.jsonl` into a folder.

    Parameters
    ----------
    images, results : Path
        The bags.
    topic : str
        Of the images.
    prefix : str
        What the topics of the results begin with.
    rate : float
        Frames per second of the video.
    source : str
        Named in the records.
    count : int
        Number of frames that have a result.
    on_frame : callable
        Called after each frame, for a progress bar.

    Returns
    -------
    int
        Number of instances in all frames together.
    """
    tiles, total, done = [], 0, 0
    chosen = {(2 * tile + 1) * count // (2 * SHEET_FRAMES) for tile in range(SHEET_FRAMES)}
    with BagReader(images) as image_bag, BagReader(results) as result_bag, \
            VideoWriter(folder / 'overlay.mp4', rate) as video, \
            (folder / 'instances.jsonl').open('w', encoding='utf-8') as records:
        for number, image, result in frames_with_results(image_bag, topic, result_bag, prefix):
            picture = overlay(image, result, info)
            video.write(picture)
            records.write(frame_record(number, source, result.instances))
            total += len(result.instances)
            if done in chosen:
                tiles.append(shrink(picture))
            done += 1
            on_frame()
    if done != count:
        raise BagError(f'{results}: expected results for {count} frames, got {done}')
    write_image(folder / 'overlay.png', contact_sheet(tiles, SHEET_COLUMNS))
    return total


def shrink(picture: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 scaled down to `TILE_WIDTH`, if it is wider."""
    height, width = picture.shape[:2]
    scale = min(1.0, TILE_WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
