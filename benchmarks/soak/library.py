"""The library under load: messages to results, one after another."""
from __future__ import annotations

import argparse
import os
from types import SimpleNamespace
from zlib import crc32

from inputs import bad_images, good_images, image_of
from record import Record
from tqdm import tqdm

from instseg_ros import GroupingConfig, NetworkConfig, RefinementConfig, Segmenter
from instseg_ros.bags.conversions import find_converter, to_rgb
from instseg_ros.bags.encodings import ImageError
from instseg_ros.core.config import REFINEMENT_METHODS

SAMPLES = 200
"""In a whole run."""

THRESHOLDS = (0.1, 0.4, 0.7)


def run(args: argparse.Namespace, record: Record) -> list[str]:
    """Segment the frames that are missing; return what went wrong, as sentences."""
    start = int(record.total('in'))
    segmenter = Segmenter.from_onnx(args.model, network=NetworkConfig(input_size=args.input_size))
    segmenter.warm_up()
    options = [segmenter.with_options(refinement=RefinementConfig(method=method),
                                      grouping=GroupingConfig(center_threshold=threshold))
               for method in REFINEMENT_METHODS for threshold in THRESHOLDS]
    good, bad, converter = good_images(), bad_images(), find_converter()
    counts = {'in': 0, 'out': 0, 'dropped': 0, 'superseded': 0}
    checksums: dict[tuple[int, int], int] = {}
    problems: list[str] = []
    for frame in tqdm(range(start, args.frames), 'frames of the library'):
        fields, is_good = image_of(frame, good, bad)
        counts['in'] += 1
        setting = frame // 100 % len(options)
        try:
            rgb = to_rgb(SimpleNamespace(**fields), converter)
        except ImageError:
            counts['dropped'] += 1
            if is_good:
                problems.append(f'frame {frame}: a good image was dropped')
        else:
            result = options[setting].segment(rgb)
            counts['out'] += 1
            if not is_good:
                problems.append(f'frame {frame}: a bad image ({fields["encoding"]}) has a result')
            checksum = crc32(result.instance_ids.tobytes(), crc32(result.semantic_ids.tobytes()))
            before = checksums.setdefault((frame % len(good), setting), checksum)
            if checksum != before:
                problems.append(f'frame {frame}: another result than before')
        if (frame + 1) % max(1, args.frames // SAMPLES) == 0 or frame + 1 == args.frames:
            record.add(os.getpid(), **counts)
    if counts['in'] != counts['out'] + counts['dropped']:
        problems.append(f'not every frame is accounted for: {counts}')
    return problems
