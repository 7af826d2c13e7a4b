"""What each cue of the tracker is worth, on made-up videos and on a real one; and its time.

In the made-up videos (`instseg_ros.datasets.moving_scenes`) objects are found with their exact
masks, but each is missed in a share of the frames, and has a low score while less than half of it
shows. In a real video a model finds them once for each center threshold; then every variant tracks
the same objects.
"""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import time
from pathlib import Path
from typing import Iterator, NamedTuple, Sequence
from unittest import mock

import numpy as np
from tqdm import tqdm

from instseg_ros.core.config import GroupingConfig, TrackingConfig
from instseg_ros.core.instances import instance_table
from instseg_ros.core.motion import Motion
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.core.tracking import Tracker, with_ids
from instseg_ros.core.types import Instance, Segmentation
from instseg_ros.datasets.moving_scenes import moving_scenes
from instseg_ros.datasets.scenes import SCENE_CLASSES, THINGS, Scene, make_scene
from instseg_ros.evaluation.tracking import (
    Boxes,
    boxes_of,
    format_metrics,
    read_mot,
    tracking_metrics,
)
from instseg_ros.media import VideoReader

DATA = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'tracking'
MODEL = Path(__file__).resolve().parents[1] / 'models' / 'street.onnx'
FIRST_SEED = 100  # the tracker's constants were chosen on videos of seeds 0 to 3
LEAST_AREA = 40  # pixels of an object that counts in a made-up video

VARIANTS = {
    'all cues': {}, 'no colour': {'color_weight': 0.0}, 'no motion': {},
    'no colour, no motion': {'color_weight': 0.0}, 'one round': {'high_score': 0.0},
    'lost ones not kept': {'keep': 0.15}}
"""What is changed in the tracker's options; motion is left out by name."""


class Frame(NamedTuple):
    """An image, when it was taken, and what was found in it."""

    image: np.ndarray
    stamp: float
    found: Segmentation


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sequences', type=int, default=8, help='made-up videos (default 8)')
    parser.add_argument('--frames', type=int, default=100, help='frames of each (default 100)')
    parser.add_argument('--missed', type=float, nargs='*', default=[0.0, 0.2],
                        help='shares of the frames in which an object is missed (default: 0 0.2)')
    parser.add_argument('--video', type=Path, default=DATA / 'TUD-Campus.mp4')
    parser.add_argument('--ground-truth', type=Path, default=DATA / 'TUD-Campus_gt.txt')
    parser.add_argument('--model', type=Path, default=MODEL)
    parser.add_argument('--center-threshold', type=float, nargs='*', default=[0.7, 0.5],
                        help='default: 0.7 0.5; without a value: no real video')
    args = parser.parse_args()
    for missed in args.missed:
        videos = [made_up_video(seed, args.frames, missed) for seed in
                  tqdm(range(args.sequences), desc='made-up videos', leave=False)]
        print(f'\n{args.sequences} made-up videos of {args.frames} frames, objects missed in '
              f'{missed:.0%} of them')
        print_table(videos, SCENE_CLASSES)
    for threshold in args.center_threshold:
        digest = hashlib.sha256(args.model.read_bytes()).hexdigest()[:12]
        print(f'\n{args.video.name}, {args.model.name} {digest}, center threshold {threshold}')
        frames = real_video(args.video, args.model, threshold)
        print_table([(frames, read_mot(args.ground_truth))], ('person',))
    print_times()
    return 0


def print_table(videos: Sequence[tuple[list[Frame], list[Boxes]]],
                names: Sequence[str]) -> None:
    """Print the metrics of every variant over all videos together."""
    truth = joined([boxes for _, boxes in videos])
    for variant, changes in VARIANTS.items():
        config = TrackingConfig(**{'enabled': True, **changes})
        with still_motion() if 'no motion' in variant else contextlib.nullcontext():
            tracked = joined([track(frames, config, names) for frames, _ in videos])
        print(f'{variant:22}{format_metrics(tracking_metrics(truth, tracked))}')
    untracked = joined([track(frames, TrackingConfig(), names) for frames, _ in videos])
    print(f'{"not tracked":22}{format_metrics(tracking_metrics(truth, untracked))}')


def joined(videos: Sequence[list[Boxes]]) -> list[Boxes]:
    """Return the frames of all videos one after the other, with ids that differ between them."""
    return [Boxes(frame.ids + 100_000 * number, frame.boxes)
            for number, video in enumerate(videos) for frame in video]


def track(frames: Sequence[Frame], config: TrackingConfig, names: Sequence[str]) -> list[Boxes]:
    """Track what was found, and return the boxes of the objects of some classes."""
    tracker = Tracker(config)
    return [boxes_of(tracker.update(frame.found, frame.stamp, frame.image), names)
            for frame in frames]


@contextlib.contextmanager
def still_motion() -> Iterator[None]:
    """Let the tracker expect every object where it was found last."""
    correct = Motion.correct

    def without_velocity(motion: Motion, rows: np.ndarray, centers: np.ndarray) -> None:
        correct(motion, rows, centers)
        motion.velocities[:] = 0

    with mock.patch.object(Motion, 'correct', without_velocity):
        yield


def real_video(path: Path, model: Path, threshold: float) -> list[Frame]:
    """Segment a video."""
    segmenter = Segmenter.from_onnx(model, grouping=GroupingConfig(center_threshold=threshold))
    with VideoReader(path) as reader:
        return [Frame(image, reader.time, segmenter.segment(image))
                for image in tqdm(reader, total=reader.frame_count, leave=False)]


def made_up_video(seed: int, frames: int, missed: float,
                  rate: float = 10.0) -> tuple[list[Frame], list[Boxes]]:
    """Make a video up and find its objects; return its frames and the ground truth."""
    rng = np.random.default_rng(FIRST_SEED + seed)
    video, truth = [], []
    largest: dict[int, int] = {}
    for number, scene in enumerate(moving_scenes(rng, frames, rate)):
        everything = as_segmentation(scene)
        for item in everything.instances:
            largest[item.instance_id] = max(largest.get(item.instance_id, 0), item.area)
        scores = {item.instance_id: 0.9 if 2 * item.area >= largest[item.instance_id] else 0.3
                  for item in everything.instances if rng.random() >= missed}
        video.append(Frame(scene.image, number / rate,
                           renumbered(as_segmentation(scene, scores), rng)))
        truth.append(boxes_of(everything, SCENE_CLASSES))
    return video, truth


def as_segmentation(scene: Scene, scores: dict[int, float] | None = None) -> Segmentation:
    """Return the objects of a scene as if they were found, all or those with a score."""
    table = instance_table(scene.instance_ids, int(scene.instance_ids.max()))
    ids = [k + 1 for k in np.flatnonzero(table.areas >= LEAST_AREA).tolist()
           if scores is None or k + 1 in scores]
    instance_ids = np.where(np.isin(scene.instance_ids, ids), scene.instance_ids, 0)
    instances = []
    for number in ids:
        box = tuple(table.boxes_xyxy[number - 1].tolist())
        class_id = int(scene.semantic_ids[scene.instance_ids == number][0])
        instances.append(Instance(
            number, class_id, SCENE_CLASSES[class_id], scores[number] if scores else 1.0,
            ((box[1] + box[3]) / 2, (box[0] + box[2]) / 2), box,
            int(table.areas[number - 1])))
    return Segmentation(scene.semantic_ids, instance_ids.astype(np.uint16), tuple(instances))


def renumbered(found: Segmentation, rng: np.random.Generator) -> Segmentation:
    """Return a segmentation with its objects in random order, as after any network."""
    order = rng.permutation(len(found.instances))
    ids = np.array([found.instances[k].instance_id for k in order], np.uint16)
    return with_ids(dataclasses.replace(
        found, instances=tuple(found.instances[k] for k in order)), ids,
        np.arange(1, len(ids) + 1, dtype=np.uint16))


def print_times(repeats: int = 200) -> None:
    """Print how long one image of 480x640 with some objects takes."""
    print()
    for count in (10, 50):
        scene = crowd(count)
        found = as_segmentation(scene)
        tracker, laps = Tracker(), []
        for number in range(repeats):
            begin = time.thread_time()  # of this thread alone, whatever else is running
            tracker.update(found, number / 10, scene.image)
            laps.append(time.thread_time() - begin)
        print(f'{len(found.instances)} objects in 480x640: median {np.median(laps) * 1e3:.2f} ms, '
              f'95 % {np.percentile(laps, 95) * 1e3:.2f} ms')


def crowd(count: int) -> Scene:
    """Return a scene that shows this many objects: people on a grid."""
    scene = make_scene(np.random.default_rng(0), 480, 640, things=0)
    columns = 10
    for number in range(count):
        top, left = 90 * (number // columns) + 10, 64 * (number % columns) + 8
        place = slice(top, top + 80), slice(left, left + 40)
        scene.instance_ids[place] = number + 1
        scene.semantic_ids[place] = SCENE_CLASSES.index(THINGS[0])
    return scene


if __name__ == '__main__':
    raise SystemExit(main())
