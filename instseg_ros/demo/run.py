"""The whole demo: video to bag, bag through the live node, results to pictures and a report."""
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

import cv2
from tqdm import tqdm

from instseg_ros.bags.images import median_rate
from instseg_ros.bags.messages import NANOSECONDS
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import BagError, Topic
from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.network import Network
from instseg_ros.demo.frame_tracker import FrameTracker
from instseg_ros.demo.pictures import Pictures
from instseg_ros.demo.recording import VIDEO_TOPIC, record_video
from instseg_ros.demo.replay import Replay
from instseg_ros.files import unfinished_folder
from instseg_ros.media import VideoReader, check_file

RESULTS = ('camera.mcap', 'result.mcap', 'overlay.mp4', 'overlay.png', 'instances.jsonl',
           'node.log', 'report.json')
"""Files that a demo leaves; there is no camera.mcap of a bag that was there before."""

PICTURES = ('overlay.mp4', 'overlay.png')

STAGE_PREFIX = 'stage_ms.'


@dataclass(frozen=True)
class ImageBag:
    """Where the images are, and how fast they were recorded."""

    path: Path
    topic: Topic
    count: int
    rate: float


def make_progress(description: str, total: int) -> tqdm:
    """Return a progress bar over frames with rate and remaining time."""
    return tqdm(total=total or None, desc=description, unit='frame', dynamic_ncols=True)


def convert_video(path: Path, folder: Path) -> tuple[ImageBag, str]:
    """Write a video as a bag into a folder; return it and what was wrong with the video."""
    bag = folder / 'camera.mcap'
    # Stamps of 0 mean "not set"; the file's own time is the nearest to when it was recorded.
    start = max(1, int(check_file(path).stat().st_mtime)) * NANOSECONDS
    with VideoReader(path) as video, make_progress('video to bag', video.frame_count) as progress:
        record_video(video, bag, start=start, on_frame=progress.update)
        return ImageBag(bag, VIDEO_TOPIC, video.frames_read, video.rate), video.damage


def inspect_bag(path: Path, topic: str) -> tuple[ImageBag, str]:
    """Look at a bag that holds images already; return it and what was wrong with it.

    Parameters
    ----------
    path : Path
    topic : str
        Name of the topic; empty for the only one of images.

    Raises
    ------
    BagError
        It is no bag, or has no such topic, no image on it, or several topics of images.
    """
    with BagReader(path) as bag:
        topics = bag.image_topics([topic] if topic else [])
        if len(topics) > 1:
            raise BagError(f'{path}: expected one topic of images, got '
                           f'{", ".join(map(str, topics))}; choose with --topic')
        times = [message.time for message in bag.read(topics)]
        if not times:
            raise BagError(f'{path}: no image on {topics[0].name}')
        return ImageBag(path, topics[0], len(times), median_rate(times)), '; '.join(bag.damage)


def make_report(tracker: FrameTracker, diagnostics: Mapping[str, str],
                instances: int) -> dict[str, Any]:
    """Return the content of `report.json`."""
    return {**tracker.report(),
            'stage_ms': {key[len(STAGE_PREFIX):]: float(value)
                         for key, value in diagnostics.items() if key.startswith(STAGE_PREFIX)},
            'instances_total': instances, 'provider': diagnostics['provider'],
            'model': diagnostics['model']}


def run_demo(source: Path, out: Path, *, is_bag: bool, topic: str, replay: Mapping[str, Any]
             ) -> tuple[dict[str, Any], list[str]]:
    """Run the demo and leave its results in `out`.

    Parameters
    ----------
    source : Path
        The video, or the bag of images.
    out : Path
        Made if missing. Results of an earlier run are replaced when all new ones are whole.
    is_bag : bool
        Whether `source` is a bag.
    topic : str
        Of the images in the bag; empty for the only one.
    replay : dict
        Further arguments of `Replay`.

    Returns
    -------
    report : dict
    problems : list of str
        What went wrong although there are results: with the video, with the end of the node.
    """
    with unfinished_folder(out) as folder:
        images, damage = inspect_bag(source, topic) if is_bag else convert_video(source, folder)
        published = folder / 'published.mcap'
        with make_progress('starting the node', images.count) as progress:

            def start() -> None:
                progress.reset()  # loading the model is no part of the frame rate
                progress.set_description('live over DDS')

            tracker, diagnostics, problem = Replay(
                images=images.path, topic=images.topic, results=published,
                **replay).run(folder, on_start=start, on_frame=progress.update)
        info = Network(diagnostics['model'], NetworkConfig(provider='cpu')).info
        pictures = Pictures(folder, info, rate=images.rate, source=str(source))
        with make_progress('pictures', tracker.frames_out) as progress:
            try:
                pictures.make(images.path, images.topic, published, count=tracker.frames_out,
                              on_frame=progress.update)
            except (OSError, ValueError, cv2.error) as error:
                os.replace(published, folder / 'result.mcap')
                pictures.problems.append(f'no pictures, but all results: {error}')
        report = make_report(tracker, diagnostics, pictures.instances)
        (folder / 'report.json').write_text(json.dumps(report, indent=2) + '\n', 'utf-8')
        for name in RESULTS:
            if (folder / name).exists():
                os.replace(folder / name, out / name)
            elif name in PICTURES:
                (out / name).unlink(missing_ok=True)  # of an earlier run
    return report, [text for text in (damage, problem, *pictures.problems) if text]
