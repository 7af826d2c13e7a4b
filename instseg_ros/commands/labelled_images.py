"""Arguments by which commands name labelled images."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    from instseg_ros.datasets.types import LabelledImages


def add_data_arguments(group: argparse._ActionsContainer) -> None:
    """Declare the arguments that name a data set."""
    group.add_argument('--images', type=Path, metavar='DIR', help='folder of the images')
    group.add_argument('--annotations', type=Path, metavar='FILE',
                       help='COCO instances or panoptic file (JSON)')
    group.add_argument('--segments', type=Path, metavar='DIR',
                       help='folder of the PNGs of a panoptic file (default: its name without '
                       '.json)')
    group.add_argument('--cityscapes', type=Path, metavar='DIR',
                       help='folder with leftImg8bit and gtFine, instead of the two above')
    group.add_argument('--split', default='val', metavar='NAME',
                       help='part of Cityscapes (default val)')
    group.add_argument('--data', type=Path, metavar='FILE',
                       help='YAML file with the keys of a data set in a training configuration '
                       '(format, images, annotations, class_map, ...), instead of all above')
    group.add_argument('--labelled', nargs='+', metavar='NAME', default=[],
                       help='classes that are labelled in every COCO image (default: all that the '
                       'annotations have a category for)')


def names_data(args: argparse.Namespace) -> bool:
    """Tell whether an argument names labelled images."""
    return any(value is not None for value in (args.images, args.annotations, args.segments,
                                               args.cityscapes, args.data))


def check_data_arguments(args: argparse.Namespace) -> None:
    """Check that labelled images are given in exactly one way.

    Raises
    ------
    ValueError
        They aren't.
    """
    if args.data is not None:
        others = (args.images, args.annotations, args.segments, args.cityscapes)
        if any(value is not None for value in others) or args.labelled:
            raise ValueError('--data names the labelled images and what is labelled in them: it '
                             'takes no --images, --annotations, --segments, --cityscapes or '
                             '--labelled beside it')
        return
    coco = [args.images is not None, args.annotations is not None]
    if args.cityscapes is not None and args.segments is not None:
        raise ValueError('--segments is for a COCO panoptic file, not for --cityscapes')
    if any(coco) if args.cityscapes is not None else not all(coco):
        raise ValueError('labelled images are needed: either --images and --annotations, or '
                         '--cityscapes, or --data')


def open_dataset(args: argparse.Namespace, class_names: Sequence[str] = (),
                 thing_ids: Sequence[int] | None = None, *,
                 as_trained: bool = False) -> LabelledImages:
    """Return the labelled images with these classes, or with all that the data has.

    Parameters
    ----------
    args : Namespace
    class_names, thing_ids : sequence
        See `instseg_ros.datasets.opening.open_dataset`.
    as_trained : bool
        Whether the classes, if none are given, are those that "instseg train" takes.

    Raises
    ------
    ValueError
        The arguments don't fit the data, or the data can't be used.
    """
    from instseg_ros.datasets import opening
    from instseg_ros.datasets.coco_file import CocoFile
    from instseg_ros.datasets.config import DataSetConfig

    if args.data is not None:
        return opening.open_dataset(DataSetConfig.from_yaml(args.data), class_names, thing_ids)
    labelled = tuple(args.labelled)
    if args.cityscapes is not None:
        config = DataSetConfig(format='cityscapes', root=str(args.cityscapes), split=args.split,
                               labelled=labelled)
        return opening.open_dataset(config, class_names)
    file = CocoFile(args.annotations)
    if args.segments is not None and not file.panoptic:
        raise ValueError(f'--segments is for a panoptic file, {args.annotations} is a COCO '
                         'instances file')
    config = DataSetConfig(format='coco_panoptic' if file.panoptic else 'coco',
                           images=str(args.images), annotations=str(args.annotations),
                           segments=str(args.segments or ''), labelled=labelled)
    names = class_names or (opening.annotated_names(file) if as_trained else ())
    return opening.open_dataset(config, names, thing_ids, file)
