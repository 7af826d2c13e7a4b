"""`instseg evaluate --tracking`: how well ids are kept in a video with boxes and ids."""
from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from instseg_ros.commands.options import add_option_argument, configs_of
from instseg_ros.core.config import Option, TrackingConfig, options_of

CLASSES = ('person',)
"""What the ground truths of the MOT Challenge hold."""


def tracking_options() -> list[Option]:
    """Return the options of the tracker that a flag makes sense for."""
    return [option for option in options_of(TrackingConfig) if option.name != 'enabled']


def add_tracking_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from pathlib import Path

    group = parser.add_argument_group('tracking, instead of labelled images')
    group.add_argument('--tracking', type=Path, metavar='VIDEO',
                       help='track the objects of this video; needs --model and --ground-truth')
    group.add_argument('--ground-truth', type=Path, metavar='FILE',
                       help='boxes and ids in the format of the MOT Challenge: frame, id, left, '
                       'top, width, height, counted from 1')
    for option in tracking_options():
        add_option_argument(group, 'tracking', option)


def run_tracking(args: argparse.Namespace) -> int:
    """Track, compare, print the metrics, write the file and return the exit code."""
    from tqdm import tqdm

    from instseg_ros.core.segmenter import Segmenter
    from instseg_ros.core.tracking import Tracker
    from instseg_ros.evaluation.tracking import (
        boxes_of,
        format_metrics,
        read_mot,
        tracking_metrics,
    )
    from instseg_ros.files import replacing
    from instseg_ros.media import VideoReader

    check_tracking_arguments(args)
    truth = read_mot(args.ground_truth)
    config = TrackingConfig(enabled=True, **{
        option.name: getattr(args, f'tracking.{option.name}') for option in tracking_options()})
    configs = configs_of(args)
    segmenter = Segmenter.from_onnx(args.model, **configs)
    names = args.classes or CLASSES
    unknown = sorted(set(names) - set(segmenter.model_info.class_names))
    if unknown:
        raise ValueError(f'--classes: expected classes of the model, '
                         f'{", ".join(segmenter.model_info.class_names)}, got '
                         f'{", ".join(unknown)}')
    tracker, tracked = Tracker(config), []
    with VideoReader(args.tracking) as reader:
        for image in tqdm(reader, total=reader.frame_count, unit='frame', dynamic_ncols=True):
            result = tracker.update(segmenter.segment(image), reader.time, image)
            tracked.append(boxes_of(result, names, args.score_threshold or 0.0))
        if len(tracked) < len(truth) or reader.damage:
            raise ValueError(reader.damage or f'{args.ground_truth}: names frame {len(truth)}, '
                             f'but {args.tracking} has {len(tracked)} frames')
    metrics = tracking_metrics(with_empty(truth, len(tracked)), tracked)
    print(format_metrics(metrics))
    if args.json is not None:
        report: dict[str, Any] = {'tracking': metrics, 'settings': {
            'model': args.model.name, 'video': args.tracking.name, 'classes': list(names),
            'score_threshold': args.score_threshold or 0.0,
            **{part: dataclasses.asdict(value) for part, value in
               {**configs, 'tracking': config}.items()}}}
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
        print(f'metrics written to {args.json}')
    return 0


def with_empty(truth: list, frames: int) -> list:
    """Return a ground truth with empty frames at the end, up to a number of frames."""
    from instseg_ros.evaluation.tracking import NO_BOXES

    return truth + [NO_BOXES] * (frames - len(truth))


def check_tracking_arguments(args: argparse.Namespace) -> None:
    """Check that nothing is missing and nothing is left without effect.

    Raises
    ------
    ValueError
        An argument is missing, or has no effect with --tracking.
    """
    for name in ('tracking', 'ground_truth', 'model'):
        if getattr(args, name) is None:
            raise ValueError(f'tracking: --{name.replace("_", "-")} is missing; expected '
                             '--tracking VIDEO --ground-truth FILE --model FILE')
    for name in ('images', 'annotations', 'segments', 'cityscapes', 'html', 'compare_thresholds'):
        if getattr(args, name) is not None:
            raise ValueError(f'--{name.replace("_", "-")} is for labelled images, not for '
                             '--tracking')
