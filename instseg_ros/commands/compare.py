"""`instseg compare`: a page about two results of the same frames, or two models on one input."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, Iterator

if TYPE_CHECKING:
    from instseg_ros.reports.comparison import Comparison
    from instseg_ros.reports.model_frames import Images
    from instseg_ros.reports.pairing import Pair

MODEL = '.onnx'

EPILOG = """\
A and B are results as "instseg report" reads them, whose frames are paired by stamp, or by name in
folders; or, with --input, two models, which segment the same images. The page shows the panoptic
quality of B against A by class, the frames that differ most side by side, and the speed of both
if it is known. Neither A nor B is taken for right.

examples:
  instseg compare monday.mcap tuesday.mcap --out compare.html
  instseg compare old.onnx new.onnx --input recording/ --out compare.html
  instseg compare models/street.onnx new.onnx --input street.mp4 --out compare.html

Frames without a partner are counted. Results of different classes cannot be compared.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.add_argument('first', type=Path, metavar='A', help='results, or an ONNX model')
    parser.add_argument('second', type=Path, metavar='B', help='results, or an ONNX model')
    parser.add_argument('--input', type=Path, metavar='INPUT',
                        help='for models: a video, a photograph, a folder of photographs, or a '
                        'bag')
    parser.add_argument('--topic', default='', metavar='NAME',
                        help='topic of images, if the bag of --input has several')
    parser.add_argument('--out', required=True, type=Path, metavar='FILE',
                        help='the page to write, for example compare.html')


def run(args: argparse.Namespace) -> int:
    """Write the page and return the exit code."""
    from instseg_ros.reports.comparison import Comparison
    from instseg_ros.reports.pages import write_page

    models = [path for path in (args.first, args.second) if path.suffix == MODEL]
    if len(models) == 1 or bool(models) != (args.input is not None):
        raise ValueError('expected two results, or two models and --input; got '
                         f'{args.first} and {args.second} '
                         f'{"with" if args.input is not None else "without"} --input')
    if args.topic and not models:
        raise ValueError('--topic: expected two models and --input, got two results')
    comparison = Comparison(str(args.first), str(args.second))
    if models:
        images = open_images(args.input, args.topic)
        compare_models(args.first, args.second, images, comparison)
    else:
        compare_results(args.first, args.second, comparison)
    write_page(args.out, 'compare.html', title='Comparison', result=comparison)
    for problem in comparison.problems:
        print(f'instseg compare: error: {problem}', file=sys.stderr)
    remarks = ''.join(f'; {remark}' for remark in comparison.remarks)
    print(f'{comparison.pairs} frames compared{remarks}; PQ of B against A '
          f'{comparison.quality:.3f}; page written to {args.out}')
    return 1 if comparison.problems else 0


def progressing(pairs: Iterable[Pair], count: int) -> Iterator[Pair]:
    """Yield the pairs and show how many there were."""
    from tqdm import tqdm

    yield from tqdm(pairs, total=count or None, unit='frame', dynamic_ncols=True)


def compare_results(first: Path, second: Path, comparison: Comparison) -> None:
    """Compare what two runs found."""
    from instseg_ros.reports.comparison import check_classes, compare, median
    from instseg_ros.reports.frames import ClassNames
    from instseg_ros.reports.opening import open_results
    from instseg_ros.reports.pairing import Pairs, pair_sections

    sections = pair_sections(list(open_results(first)), list(open_results(second)))
    names, thing_ids = ClassNames(), set[int]()
    for one, other in sections:
        check_classes(one.class_names, other.class_names)
        names.update({**one.class_names, **other.class_names})
        thing_ids |= one.thing_ids | other.thing_ids
    alone = [0, 0]

    def pairs() -> Iterator[Pair]:
        for one, other in sections:
            found = Pairs(one, other)
            yield from found
            for side, number in enumerate(found.alone):
                alone[side] += number

    count = sum(min(one.count, other.count) for one, other in sections)
    compare(progressing(pairs(), count), comparison, names, thing_ids, count)
    comparison.remarks += [f'{number} frames only in {side}'
                           for side, number in zip('AB', alone) if number]
    comparison.problems += [problem for pair in sections for section in pair
                            for problem in section.problems]
    if not comparison.pairs:
        reasons = ''.join(f'; {text}' for text in comparison.problems)
        raise ValueError(f'{first} and {second}: expected frames with the same stamps or names, '
                         f'got {alone[0]} and {alone[1]} frames without a partner{reasons}')
    comparison.speeds += [(f'{side}: median {section.latency_kind}', str(median(section.latency)))
                          for pair in sections for side, section in zip('AB', pair)
                          if section.latency]


def compare_models(first: Path, second: Path, images: Images, comparison: Comparison) -> None:
    """Compare what two models find in the same images."""
    from instseg_ros import Segmenter
    from instseg_ros.reports.comparison import check_classes, compare, median
    from instseg_ros.reports.frames import ClassNames
    from instseg_ros.reports.model_frames import ModelPairs

    models = Segmenter.from_onnx(first), Segmenter.from_onnx(second)
    names = [ClassNames(enumerate(model.model_info.class_names)) for model in models]
    check_classes(*names)
    check_classes(*names[::-1])
    for model in models:
        model.warm_up()
    pairs = ModelPairs(models, images)
    things = {thing for model in models for thing in model.model_info.thing_ids}
    compare(progressing(pairs, images.count), comparison, names[0], things, images.count)
    comparison.problems += images.problems
    if not comparison.pairs:
        raise ValueError('; '.join(images.problems) or 'expected images, got none')
    comparison.speeds += [(f'{side}: median time of an image on this machine', str(median(times)))
                          for side, times in zip('AB', pairs.milliseconds)]


def open_images(source: Path, topic: str = '') -> Images:
    """Return the images of a topic of a bag, of a video, a photograph or a folder."""
    from instseg_ros.commands.segment_inputs import find_inputs
    from instseg_ros.recorded.finding import is_bag
    from instseg_ros.reports.model_frames import Images

    if is_bag(source):
        return Images(source, True, [], topic)
    if topic:
        raise ValueError(f'--topic: expected a bag as input, got {source}')
    found = find_inputs([source], source / 'none')
    if found.problems or not found.sources:
        raise ValueError('; '.join(found.problems) or f'{source}: expected images, got none')
    photographs = [item.path for item in found.sources if item.is_image]
    if photographs and len(photographs) < len(found.sources):
        raise ValueError(f'{source}: expected photographs or one video, got both')
    if not photographs and len(found.sources) > 1:
        raise ValueError(f'{source}: expected one video, got {len(found.sources)}')
    return Images(found.sources[0].path, False, photographs)
