"""`instseg segment`: overlays, label images and records of images, folders and videos."""
from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from instseg_ros.commands.options import add_config_arguments, configs_of
from instseg_ros.commands.segment_inputs import Source, find_inputs

if TYPE_CHECKING:
    from tqdm import tqdm

    from instseg_ros.core.segmenter import Segmenter

EPILOG = """\
results in the folder given by --out:
  overlay/NAME.png or .mp4    the picture or video with masks, class, id and score
  semantic/NAME.png           class of every pixel, 8 bits; 255 is unlabelled
  instance/NAME.png           object of every pixel, 16 bits; 0 is none
  confidence/NAME.png         with --confidence: confidence of every pixel's class, 0 to 255
  instances.jsonl             one line a frame: class, score, box, center, area of each object
NAME is the path of the source below the folder that all inputs have in common, with its suffix:
photos/a.jpg becomes semantic/a.jpg.png. For a video, semantic/NAME/, instance/NAME/ and
confidence/NAME/ hold one PNG a frame, 000000.png first.

Folders are searched with their subfolders for every format that OpenCV reads. Files that are left
out are named on stderr, with the reason.

examples:
  instseg segment photo.jpg --out out
  instseg segment photos/ street.mp4 --model my.onnx --out out
  instseg segment street.mp4 --out out \\
      --center-threshold 0.5 --refinement nearest --provider cpu

An input that cannot be used, or is damaged, does not stop the others; the exit code is then 1.
For bags there is "instseg segment-bag".
"""

FRAME_NAME = r'\d{6,}\.png'
"""Of the label images of a video."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.add_argument('inputs', nargs='+', type=Path, metavar='INPUT',
                        help='image, video, or folder of them, with its subfolders')
    parser.add_argument('--model', type=Path, metavar='FILE',
                        help='the ONNX model (default: the street model that is installed)')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR',
                        help='folder for the results; made if missing')
    parser.add_argument('--max-pixels', type=int, metavar='N',
                        help='refuse images and videos of more pixels than this before they are '
                             'decoded (default: those of 8192x8192)')
    parser.add_argument('--confidence', action='store_true',
                        help='also write the confidence of the classes, as confidence/NAME.png')
    add_config_arguments(parser)


class Results(NamedTuple):
    """Where the results of one source are, relative to the folder of all or in full."""

    semantic: Path
    instance: Path
    overlay: Path
    confidence: Path

    @classmethod
    def of(cls, source: Source) -> Results:
        """Return the paths of a source, relative to the folder of all results."""
        labels = f'{source.name}.png' if source.is_image else source.name
        picture = f'{source.name}.png' if source.is_image else f'{source.name}.mp4'
        return cls(Path('semantic', labels), Path('instance', labels), Path('overlay', picture),
                   Path('confidence', labels))

    @staticmethod
    def replaceable(source: Source) -> tuple[str, str, str, str]:
        """Return, for each path that is a folder, what its files are called; see `check_place`."""
        return ('', '', '', '') if source.is_image else (FRAME_NAME, FRAME_NAME, '', FRAME_NAME)

    def below(self, folder: Path) -> Results:
        """Return the paths below a folder."""
        return Results(*(folder / path for path in self))


def run(args: argparse.Namespace) -> int:
    """Segment every input and return the exit code."""
    from tqdm import tqdm

    from instseg_ros import Segmenter
    from instseg_ros.files import check_place, replacing
    from instseg_ros.installed import default_model
    from instseg_ros.media import MAX_PIXELS

    max_pixels = MAX_PIXELS if args.max_pixels is None else args.max_pixels
    if max_pixels < 1:
        raise ValueError(f'--max-pixels: expected at least 1, got {max_pixels}')
    found = find_inputs(args.inputs, args.out)
    segmenter = Segmenter.from_onnx(args.model or default_model(), **configs_of(args))
    if args.confidence and not segmenter.has_confidence:
        raise ValueError('--confidence: the model file has no confidence of its classes; export '
                         'it again with "instseg export"')
    check_place(args.out, 'instances.jsonl')
    report('left out', found.left_out)
    problems, done = found.problems, 0
    count = len(found.sources) + len(problems)
    total = sum(count_frames(source, max_pixels) for source in found.sources)
    try:
        with replacing(args.out / 'instances.jsonl') as temporary, \
                tqdm(total=total, unit='frame', dynamic_ncols=True) as progress:
            progress.set_description('starting')
            segmenter.warm_up()
            for source in found.sources:
                progress.set_description(source.path.name)
                try:
                    lines, damage = segment_source(source, segmenter, args.out, progress,
                                                   max_pixels, confidence=args.confidence)
                except (ValueError, OSError) as error:
                    problems.append(str(error))
                    continue
                with temporary.open('a', encoding='utf-8') as records:
                    records.writelines(lines)
                problems += damage
                done += 1
            if not done:
                raise ValueError('no input could be segmented')
    finally:
        report('error', problems)
    print(f'{done} of {count} inputs segmented; see {args.out}')
    return 1 if problems else 0


def report(kind: str, sentences: list[str]) -> None:
    """Print what there is to say about single inputs."""
    for sentence in sentences:
        print(f'instseg segment: {kind}: {sentence}', file=sys.stderr)


def count_frames(source: Source, max_pixels: int) -> int:
    """Return how many frames a source announces, for the progress bar only."""
    from instseg_ros.media import MediaError, VideoReader

    if source.is_image:
        return 1
    try:
        with VideoReader(source.path, max_pixels) as video:
            return video.frame_count
    except (MediaError, OSError):
        return 0  # `segment_source` will say what is wrong with it


def segment_source(source: Source, segmenter: Segmenter, out: Path, progress: tqdm,
                   max_pixels: int, *, confidence: bool) -> tuple[list[str], list[str]]:
    """Write the results of one source, which get their final names when all are whole.

    Returns
    -------
    lines : list of str
        For `instances.jsonl`.
    problems : list of str
        What was wrong with the source, or what could not be made, although there are results.
    """
    from instseg_ros.files import check_place, unfinished_folder

    results = Results.of(source)
    for result, replaceable in zip(results, Results.replaceable(source)):
        check_place(out, result, replaceable)  # before the work, not after it
    segment = segment_image if source.is_image else segment_video
    with unfinished_folder(out) as folder:
        for result in results:
            (folder / result).parent.mkdir(parents=True, exist_ok=True)
        lines, problems = segment(source, segmenter, results.below(folder), progress, max_pixels,
                                  confidence=confidence)
        for result, replaceable in zip(results, Results.replaceable(source)):
            check_place(out, result, replaceable)
            move(folder / result, out / result)
    return lines, problems


def move(path: Path, place: Path) -> None:
    """Give a result its final name, or remove that of an earlier run if there is none."""
    if place.is_dir() and (path.is_dir() or not path.exists()):
        shutil.rmtree(place)  # label images of an earlier run, perhaps of more frames
    if not path.exists():
        place.unlink(missing_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, place)


def segment_image(source: Source, segmenter: Segmenter, paths: Results, progress: tqdm,
                  max_pixels: int, *, confidence: bool) -> tuple[list[str], list[str]]:
    """Segment an image file and write its results to `paths`."""
    import cv2

    from instseg_ros.media import MediaError, load_image, write_image
    from instseg_ros.records import frame_record
    from instseg_ros.visualization import overlay

    image, damage = load_image(source.path, max_pixels)
    problems = [damage] if damage else []
    result = segmenter.segment(image, confidence=confidence)
    write_image(paths.semantic, result.semantic_ids)
    write_image(paths.instance, result.instance_ids)
    if result.semantic_confidence is not None:
        write_image(paths.confidence, result.semantic_confidence)
    try:
        write_image(paths.overlay, overlay(image, result, segmenter.model_info))
    except (MediaError, OSError, cv2.error) as error:
        problems.append(f'{source.path}: no overlay: {error}')
    progress.update()
    record = frame_record(0, str(source.path), result.instances, name=source.name)
    return [record], problems


def segment_video(source: Source, segmenter: Segmenter, paths: Results, progress: tqdm,
                  max_pixels: int, *, confidence: bool) -> tuple[list[str], list[str]]:
    """Segment the frames of a video file and write its results to `paths`."""
    from instseg_ros.media import OverlayVideo, VideoReader, write_image
    from instseg_ros.records import frame_record
    from instseg_ros.visualization import overlay

    lines = []
    with VideoReader(source.path, max_pixels) as video, \
            OverlayVideo(paths.overlay, video.rate) as pictures:
        for number, frame in enumerate(video):
            result = segmenter.segment(frame, confidence=confidence)
            write_image(paths.semantic / f'{number:06d}.png', result.semantic_ids)
            write_image(paths.instance / f'{number:06d}.png', result.instance_ids)
            if result.semantic_confidence is not None:
                write_image(paths.confidence / f'{number:06d}.png', result.semantic_confidence)
            lines.append(frame_record(number, str(source.path), result.instances,
                                      name=f'{source.name}/{number:06d}', time=video.time))
            pictures.write(overlay(frame, result, segmenter.model_info), video.time)
            progress.update()
        problems = [video.damage] if video.damage else []
    if pictures.problem:
        problems.append(f'{source.path}: {pictures.problem}')
    return lines, problems
