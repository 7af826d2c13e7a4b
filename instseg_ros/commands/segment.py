"""`instseg segment`: overlays, label images and records of images, folders and videos."""
from __future__ import annotations

import argparse
import os
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, Sequence

from instseg_ros.commands.options import add_config_arguments, configs_of

if TYPE_CHECKING:
    from tqdm import tqdm

    from instseg_ros.core.segmenter import Segmenter

EPILOG = """\
results in the folder given by --out:
  overlay/NAME.png or .mp4    the picture or video with masks, class, id and score
  semantic/NAME.png           class of every pixel, 8 bits; 255 is unlabelled
  instance/NAME.png           object of every pixel, 16 bits; 0 is none
  instances.jsonl             one line a frame: class, score, box, center, area of each object
For a video, semantic/NAME/ and instance/NAME/ hold one PNG a frame, 000000.png first.

examples:
  instseg segment photo.jpg --out out
  instseg segment photos/ street.mp4 --model my.onnx --out out
  instseg segment street.mp4 --out out \\
      --center-threshold 0.5 --refinement nearest --provider cpu

An input that cannot be read does not stop the others; the exit code is then 1.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.add_argument('inputs', nargs='+', type=Path, metavar='INPUT',
                        help='image, video, or folder of images and videos')
    parser.add_argument('--model', type=Path, metavar='FILE',
                        help='the ONNX model (default: the street model that is installed)')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR',
                        help='folder for the results; made if missing')
    add_config_arguments(parser)


@dataclass(frozen=True)
class Source:
    """An image or video to segment; `name` tells its results apart from all others."""

    path: Path
    name: str
    is_image: bool


def run(args: argparse.Namespace) -> int:
    """Segment every input and return the exit code."""
    from tqdm import tqdm

    from instseg_ros import Segmenter
    from instseg_ros.files import replacing
    from instseg_ros.installed import default_model

    sources, problems = find_sources(args.inputs)
    segmenter = Segmenter.from_onnx(args.model or default_model(), **configs_of(args))
    done, count = 0, len(sources) + len(problems)
    total = sum(count_frames(source) for source in sources)
    with replacing(args.out / 'instances.jsonl') as temporary, \
            tqdm(total=total, unit='frame', dynamic_ncols=True) as progress:
        progress.set_description('starting')
        segmenter.warm_up()
        for source in sources:
            progress.set_description(source.path.name)
            try:
                lines, damage = segment_source(source, segmenter, args.out, progress)
            except (ValueError, OSError) as error:
                problems.append(str(error))
                continue
            with temporary.open('a', encoding='utf-8') as records:
                records.writelines(lines)
            problems += [damage] if damage else []
            done += 1
        if not done:
            raise ValueError('; '.join(problems))
    for problem in problems:
        print(f'instseg segment: error: {problem}', file=sys.stderr)
    print(f'{done} of {count} inputs segmented; see {args.out}')
    return 1 if problems else 0


def find_sources(inputs: Sequence[Path]) -> tuple[list[Source], list[str]]:
    """Return the images and videos named by the inputs, and a sentence for each wrong input."""
    from instseg_ros.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    paths, problems = [], []
    for path in inputs:
        if not path.is_dir():
            paths.append(path)
            continue
        known = sorted(entry for entry in path.iterdir()
                       if entry.suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES)
        paths += known
        if not known:
            problems.append(f'{path}: no image or video in this folder (known: '
                            f'{" ".join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)})')
    names: set[str] = set()
    sources = []
    for path in paths:
        name = next(name for name in candidate_names(path) if name not in names)
        names.add(name)
        sources.append(Source(path, name, path.suffix.lower() in IMAGE_SUFFIXES))
    return sources, problems


def candidate_names(path: Path) -> Iterator[str]:
    """Yield names for the results of a file, the nicest first."""
    yield path.stem
    number = 2
    while True:
        yield f'{path.stem}-{number}'
        number += 1


def count_frames(source: Source) -> int:
    """Return how many frames a source announces, for the progress bar only."""
    from instseg_ros.media import MediaError, VideoReader

    if source.is_image:
        return 1
    try:
        with VideoReader(source.path) as video:
            return video.frame_count
    except (MediaError, OSError):
        return 0  # `segment_source` will say what is wrong with it


def segment_source(source: Source, segmenter: Segmenter, out: Path,
                   progress: tqdm) -> tuple[list[str], str]:
    """Write the results of one source, which get their final names when all are whole.

    Returns
    -------
    lines : list of str
        For `instances.jsonl`.
    damage : str
        What was wrong with the source although there are results; else empty.
    """
    from instseg_ros.files import unfinished_folder

    segment = segment_image if source.is_image else segment_video
    with unfinished_folder(out) as folder:
        lines, damage = segment(source, segmenter, folder, progress)
        for result in sorted(folder.glob('*/*')):
            final = out / result.relative_to(folder)
            final.parent.mkdir(exist_ok=True)
            if final.is_dir():
                shutil.rmtree(final)  # label images of an earlier run, perhaps of more frames
            os.replace(result, final)
    return lines, damage


def segment_image(source: Source, segmenter: Segmenter, folder: Path,
                  progress: tqdm) -> tuple[list[str], str]:
    """Segment an image file into `folder`."""
    from instseg_ros.media import read_image, write_image
    from instseg_ros.records import frame_record
    from instseg_ros.visualization import overlay

    image = read_image(source.path)
    result = segmenter.segment(image)
    write_image(folder / f'overlay/{source.name}.png',
                overlay(image, result, segmenter.model_info))
    write_image(folder / f'semantic/{source.name}.png', result.semantic_ids)
    write_image(folder / f'instance/{source.name}.png', result.instance_ids)
    progress.update()
    return [frame_record(0, str(source.path), result.instances)], ''


def segment_video(source: Source, segmenter: Segmenter, folder: Path,
                  progress: tqdm) -> tuple[list[str], str]:
    """Segment the frames of a video file into `folder`."""
    from instseg_ros.media import VideoReader, VideoWriter, write_image
    from instseg_ros.records import frame_record
    from instseg_ros.visualization import overlay

    (folder / 'overlay').mkdir()
    lines = []
    with closing(VideoReader(source.path)) as video, \
            VideoWriter(folder / f'overlay/{source.name}.mp4', video.rate) as writer:
        for number, frame in enumerate(video):
            result = segmenter.segment(frame)
            writer.write(overlay(frame, result, segmenter.model_info))
            write_image(folder / f'semantic/{source.name}/{number:06d}.png', result.semantic_ids)
            write_image(folder / f'instance/{source.name}/{number:06d}.png', result.instance_ids)
            lines.append(frame_record(number, str(source.path), result.instances))
            progress.update()
        return lines, video.damage
