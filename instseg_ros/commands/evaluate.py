"""`instseg evaluate`: the figures of a model on labelled images."""
from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path

from instseg_ros.commands.options import add_config_arguments, configs_of

EPILOG = """\
classes are matched with COCO categories by name; what else is labelled, and crowds, is ignored:
finding it, or not, changes no figure. Pixels without a label are background.

figures:
  IoU         intersection over union of the pixels of a class in all images
  AP, AP50    average precision of the objects' masks, by COCO's evaluator (IoU .50 to .95, .50)
  PQ, SQ, RQ  panoptic quality = quality of segments x quality of recognition
  boundary F  how many boundary pixels are met within 2 pixels

examples:
  instseg evaluate --model models/street.onnx --images val/ --annotations instances_val.json
  instseg evaluate --model models/street.onnx --images val/ --annotations instances_val.json \\
      --json figures.json --refinement nearest --center-threshold 0.5
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.add_argument('--model', required=True, type=Path, metavar='FILE',
                        help='the ONNX model, for example models/street.onnx')
    parser.add_argument('--images', required=True, type=Path, metavar='DIR',
                        help='folder of the images')
    parser.add_argument('--annotations', required=True, type=Path, metavar='FILE',
                        help='COCO instances file (JSON)')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='write the figures to this file too')
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table, write the file and return the exit code."""
    from tqdm import tqdm

    from instseg_ros import Segmenter
    from instseg_ros.evaluation.coco import CocoDataset
    from instseg_ros.evaluation.run import evaluate
    from instseg_ros.evaluation.table import format_report
    from instseg_ros.files import replacing

    segmenter = Segmenter.from_onnx(args.model, **configs_of(args))
    dataset = CocoDataset(args.images, args.annotations, segmenter.model_info.class_names)
    dataset.check_images()
    report = evaluate(segmenter, dataset, functools.partial(tqdm, unit='image',
                                                            dynamic_ncols=True))
    print(format_report(report))
    if args.json is not None:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
        print(f'figures written to {args.json}')
    return 0
