"""The whole demo: video to bag, bag through the live node, results to pictures and a report."""
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from tqdm import tqdm

from instseg_ros.bags.images import median_rate, video_to_bag
from instseg_ros.bags.messages import IMAGE, NANOSECONDS
from instseg_ros.bags.reader import BagReader
from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.network import Network
from instseg_ros.demo.frame_tracker import FrameTracker
from instseg_ros.demo.pictures import make_pictures
from instseg_ros.demo.replay import PREFIX, Replay
from instseg_ros.files import unfinished_folder
from instseg_ros.media import VideoReader, check_file

VIDEO_TOPIC = '/camera/image_raw'
FRAME_ID = 'camera'
RESULTS = ('camera.mcap', 'result.mcap', 'overlay.mp4', 'overlay.png', 'instances.jsonl',
           'node.log', 'report.json')
"""Files that a demo leaves; there is no camera.mcap of a bag that was there before."""

STAGE_PREFIX = 'stage_ms.'


@dataclass(frozen=True)
class ImageBag:
    """Where the images are, and how fast they were recorded."""

    path: Path
    topic: str
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
        video_to_bag(video, bag, topic=VIDEO_TOPIC, frame_id=FRAME_ID, start=start,
                     on_frame=progress.update)
        return ImageBag(bag, VIDEO_TOPIC, video.frames_read, video.rate), video.damage


def inspect_bag(path: Path, topic: str) -> ImageBag:
    """Look at a bag that holds images already.

    Raises
    ------
    BagError
        It is no bag, or has no such topic.
    """
    with BagReader(path) as bag:
        images = bag.topic_of_type(IMAGE, topic)
        times = [message.time for message in bag.read([images])]
    return ImageBag(path, images.name, len(times), median_rate(times) or 1.0)


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
    damage = ''
    with unfinished_folder(out) as folder:
        if is_bag:
            images = inspect_bag(source, topic)
        else:
            images, damage = convert_video(source, folder)
        results = folder / 'result.mcap'
        with make_progress('starting the node', images.count) as progress:

            def start() -> None:
                progress.reset()  # loading the model is no part of the frame rate
                progress.set_description('live over DDS')

            tracker, diagnostics, problem = Replay(
                images=images.path, topic=images.topic, results=results,
                **replay).run(folder, on_start=start, on_frame=progress.update)
        info = Network(diagnostics['model'], NetworkConfig(provider='cpu')).info
        with make_progress('pictures', tracker.frames_out) as progress:
            instances = make_pictures(
                images.path, images.topic, results, PREFIX, info, folder=folder,
                rate=images.rate, source=str(source), count=tracker.frames_out,
                on_frame=progress.update)
        report = make_report(tracker, diagnostics, instances)
        (folder / 'report.json').write_text(json.dumps(report, indent=2) + '\n', 'utf-8')
        for name in RESULTS:
            if (folder / name).exists():
                os.replace(folder / name, out / name)
    return report, [text for text in (damage, problem) if text]
