"""`instseg evaluate`: metrics of a model, or of any system's predictions, on labelled images."""
from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from instseg_ros.commands.evaluate_tracking import add_tracking_arguments, run_tracking
from instseg_ros.commands.labelled_images import (
    add_data_arguments,
    check_data_arguments,
    open_dataset,
)
from instseg_ros.commands.options import CONFIGS, add_config_arguments, configs_of

if TYPE_CHECKING:
    from instseg_ros.core.segmenter import Segmenter
    from instseg_ros.core.types import ModelInfo
    from instseg_ros.datasets.types import LabelledImages
    from instseg_ros.evaluation.evaluation import Evaluation, Progress
    from instseg_ros.evaluation.prediction_files import SizedImages
    from instseg_ros.evaluation.predictions import Predictions

EPILOG = """\
classes are matched with the data's categories by name; what else is labelled, and crowds, is
ignored: finding it, or not, changes no metric. The same holds for classes of the model that the
data has no category for, or that --labelled leaves out. In COCO instances, pixels without a label
are background; in COCO panoptic and Cityscapes they are ignored, and other stuff is background,
if the model has one.

metrics:
  IoU         intersection over union of the pixels of a class in all images
  AP, AP50    average precision of the objects' masks, by COCO's evaluator (IoU .50 to .95, .50)
  PQ, SQ, RQ  panoptic quality = quality of segments x quality of recognition; a segment is one
              object, or all background of an image
  boundary F  how many boundary pixels are met within 2 pixels
  found, missed, false
              segments of the panoptic quality, matched at IoU .50; small objects are below 32x32
              pixels, large ones above 96x96, as in COCO
  recall, precision, false an image
              of these objects, at the model's center threshold

predictions of another system are scored in the same way:
  --predictions FILE.json  a COCO results file: [{"image_id", "category_id", "segmentation",
                           "score"}, ...]. AP takes all detections, the other metrics take those
                           of at least --score-threshold, the strongest in front.
  --predictions DIR        label images as "instseg segment" writes them: semantic/NAME.png,
                           instance/NAME.png and, for the scores, instances.jsonl; NAME is a.jpg
                           or, if no other image has that name, a

--annotations takes COCO instances and COCO panoptic files. The PNGs of a panoptic file are looked
for in the folder that is called like it, without .json, or in --segments.

--tracking VIDEO measures how well objects keep their ids: MOTA, IDF1, HOTA and id switches, by
TrackEval. Boxes of masks are compared with the boxes of the ground truth, those of --classes
(default: person) with a score of at least --score-threshold (default 0).

--cityscapes ROOT takes the place of --images and --annotations. Beside the metrics above, which
all data sets share, the report then has those of the authors' own scripts, as in published tables.

examples:
  instseg evaluate --model models/street.onnx --images val/ --annotations instances_val.json
  instseg evaluate --model models/street.onnx --images val/ --annotations instances_val.json \\
      --json metrics.json --html report.html --refinement nearest
  instseg evaluate --predictions theirs.json --images val/ --annotations instances_val.json \\
      --classes person bicycle car motorcycle
  instseg evaluate --model cityscapes.onnx --cityscapes /data/cityscapes --split val
  instseg evaluate --model models/street.onnx --data config/evaluation/surroundings.yaml
  instseg evaluate --model models/street.onnx --tracking street.mp4 --ground-truth gt.txt
"""


class Job(NamedTuple):
    """The predictions and the labels of one evaluation, and the settings for its report."""

    predictions: Predictions
    dataset: LabelledImages
    info: ModelInfo
    settings: dict[str, Any]
    segmenter: Segmenter | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--model', type=Path, metavar='FILE',
                        help='the ONNX model, for example models/street.onnx')
    source.add_argument('--predictions', type=Path, metavar='PATH',
                        help='a COCO results file or a folder of label images (see below)')
    add_data_arguments(parser.add_argument_group('labelled images'))
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='write the metrics to this file too')
    parser.add_argument('--html', type=Path, metavar='FILE',
                        help='write a page with tables, diagrams and pictures of the worst, the '
                        'best and random images')
    parser.add_argument('--compare-thresholds', nargs='*', type=float, metavar='FLOAT',
                        help='values of --center-threshold at which to report metrics too; the '
                        'network runs once all the same (default 0.1 0.2 ... 0.9; without a '
                        'value: none, which saves time)')
    group = parser.add_argument_group('options for --predictions and --tracking')
    group.add_argument('--classes', nargs='+', metavar='NAME',
                       help='classes to score; in label images they have the ids 1, 2, ... '
                       '(default: the categories of the annotations, in their order: for label '
                       'images those with annotations, as "instseg train" takes them; those of a '
                       'panoptic file have the ids 0, 1, ...)')
    group.add_argument('--score-threshold', type=float, metavar='FLOAT',
                       help='detections of a COCO results file with a lower score are in AP only '
                       '(default 0.5)')
    add_tracking_arguments(parser)
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table, write the files and return the exit code."""
    from tqdm import tqdm

    from instseg_ros.evaluation.text_report import format_text
    from instseg_ros.files import replacing

    if args.tracking is not None or args.ground_truth is not None:
        return run_tracking(args)
    check_data_arguments(args)
    prepare = prepare_model if args.model is not None else prepare_predictions
    job = prepare(args)
    job.dataset.check_images()
    progress = functools.partial(tqdm, unit='image', dynamic_ncols=True)
    evaluation, more = evaluate_job(job, args, progress)
    source = args.data or args.cityscapes or args.annotations
    report = {**evaluation.report(), **more,
              'settings': {**job.settings, 'labels': source.name}}
    print(format_text(report))
    for remark in job.dataset.remarks():
        print(f'note: {remark}', file=sys.stderr)
    if args.json is not None:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
        print(f'metrics written to {args.json}')
    if args.html is not None:
        from instseg_ros.evaluation.html_report import render_html
        from instseg_ros.visualization import overlay

        page = render_html(evaluation, report, job.predictions, job.dataset,
                           functools.partial(overlay, info=job.info),
                           progress=functools.partial(progress, desc='pictures'))
        with replacing(args.html) as temporary:
            temporary.write_text(page, encoding='utf-8')
        print(f'page written to {args.html}')
    return 0


def evaluate_job(job: Job, args: argparse.Namespace,
                 progress: Progress) -> tuple[Evaluation, dict[str, Any]]:
    """Return the evaluation and further metrics for the report.

    These are, for a model, metrics at other center thresholds, and for Cityscapes those of the
    official scripts.
    """
    from instseg_ros.evaluation.center_thresholds import CENTER_THRESHOLDS, CenterThresholds
    from instseg_ros.evaluation.evaluation import evaluate_predictions

    more: dict[str, Any] = {}
    predictions, dataset, thing_ids = job.predictions, job.dataset, job.info.thing_ids
    thresholds = None
    if job.segmenter is not None and args.compare_thresholds != []:
        predictions = thresholds = CenterThresholds(
            job.segmenter, dataset, args.compare_thresholds or CENTER_THRESHOLDS)
    if args.cityscapes is None:
        evaluation = evaluate_predictions(predictions, dataset, thing_ids, progress)
    else:
        from instseg_ros.datasets.cityscapes import CityscapesDataset
        from instseg_ros.evaluation.cityscapes_official import RecordedPredictions

        with tempfile.TemporaryDirectory() as folder:
            recorded = RecordedPredictions(predictions, cast(CityscapesDataset, dataset),
                                           thing_ids, Path(folder))
            evaluation = evaluate_predictions(recorded, dataset, thing_ids, progress)
            print('running the evaluation of cityscapesscripts, a second or so an image')
            more['cityscapes'] = recorded.official_report()
    if thresholds is not None:
        more['center_thresholds'] = thresholds.report()
    return evaluation, more


def prepare_model(args: argparse.Namespace) -> Job:
    """Open the model and the data set."""
    from instseg_ros import Segmenter
    from instseg_ros.evaluation.predictions import ModelPredictions

    for name in ('classes', 'score_threshold'):
        if getattr(args, name) is not None:
            raise ValueError(f'--{name.replace("_", "-")} is for --predictions: a model has '
                             'its own classes and --center-threshold')
    configs = configs_of(args)
    segmenter = Segmenter.from_onnx(args.model, **configs)
    info = segmenter.model_info
    dataset = open_dataset(args, info.class_names, info.thing_ids)
    settings = {'model': args.model.name, **{
        part: dataclasses.asdict(config) for part, config in configs.items()}}
    return Job(ModelPredictions(segmenter, dataset), dataset, info, settings, segmenter)


def prepare_predictions(args: argparse.Namespace) -> Job:
    """Open the files of predictions and the data set."""
    from instseg_ros.core.types import BACKGROUND, ModelInfo
    from instseg_ros.datasets.coco import CocoDataset
    from instseg_ros.evaluation.prediction_files import SCORE_THRESHOLD, LabelFolder, ResultsFile
    from instseg_ros.visualization import instance_color

    if args.compare_thresholds is not None:
        raise ValueError('--compare-thresholds is for --model: only a model can group again')
    if configs_of(args) != {part: config() for part, config in CONFIGS.items()}:
        raise ValueError(f'options of {", ".join(CONFIGS)} are for --model: they change '
                         'nothing in predictions that are already made')
    is_folder = args.predictions.is_dir()
    if is_folder and args.score_threshold is not None:
        raise ValueError('--score-threshold is for a COCO results file: label images hold only '
                         'the instances that were kept')
    if args.classes is not None and args.cityscapes is not None:
        raise ValueError('--classes is for COCO annotations: label images of Cityscapes hold the '
                         'official train ids')
    chosen = dict.fromkeys((BACKGROUND, *args.classes)) if args.classes else ()
    # The ids in label images are those of a training; a results file has the categories' own.
    dataset = open_dataset(args, tuple(chosen), as_trained=is_folder)
    names, thing_ids = dataset.class_names, dataset.thing_ids
    # The network that made the predictions is unknown; only classes and colours matter here.
    info = ModelInfo(names, thing_ids, output_stride=1, size_multiple=1, embedding_size=1,
                     palette=((0, 0, 0), *(instance_color(k) for k in range(1, len(names)))),
                     input_size=1)
    settings: dict[str, Any] = {'predictions': args.predictions.name}
    if is_folder:
        predictions = LabelFolder(args.predictions, cast('SizedImages', dataset), thing_ids)
        return Job(predictions, dataset, info, settings)
    if not isinstance(dataset, CocoDataset):
        raise ValueError(f'{args.predictions}: for Cityscapes and panoptic data, predictions are '
                         'read from a folder of label images only')
    threshold = SCORE_THRESHOLD if args.score_threshold is None else args.score_threshold
    return Job(ResultsFile(args.predictions, dataset, threshold), dataset, info,
               {**settings, 'score_threshold': threshold})
