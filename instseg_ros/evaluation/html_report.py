"""The report of an evaluation as a self-contained HTML page."""
from __future__ import annotations

import base64
import html
import json
from typing import Any, Callable, Iterator, Mapping, Sequence

import cv2
import numpy as np

from instseg_ros.core.types import UNLABELLED, Segmentation
from instseg_ros.datasets.types import GroundTruth, LabelledImages
from instseg_ros.evaluation.evaluation import Evaluation, Progress
from instseg_ros.evaluation.panoptic import match_segments, panoptic_ids
from instseg_ros.evaluation.plots import (
    FOUND_COLORS,
    draw_center_thresholds,
    draw_confusion,
    draw_precision_recall,
    draw_reliability,
    draw_score_thresholds,
    draw_sizes,
)
from instseg_ros.evaluation.predictions import Predictions
from instseg_ros.evaluation.text_report import Table, report_tables, summary_lines

Draw = Callable[[np.ndarray, Segmentation], np.ndarray]
"""Draws a segmentation over an (H0, W0, 3) uint8 image."""

PICTURE_SIDE = 600
"""Long side in pixels: larger than shown on the page, for opening a picture on its own."""
JPEG_QUALITY = 85
WRONG_COLOR = (230, 40, 40)
IGNORED_COLOR = (70, 110, 200)
OUTLINE_COLORS = {kind: tuple(int(color[k:k + 2], 16) for k in (1, 3, 5))
                  for kind, color in FOUND_COLORS.items()}

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1280px; color: #222;
       padding: 0 1em }
table { border-collapse: collapse; margin: 1.2em 0 }
td, th { padding: .2em .8em; text-align: right }
th { border-bottom: 1px solid #888 } td:first-child, th:first-child { text-align: left }
.total tr:last-child td { border-top: 1px solid #888; font-weight: 600 }
.row { display: flex; flex-wrap: wrap; gap: .6em; margin: .2em 0 1.2em } figure { margin: 0 }
img { max-width: 100% } .pictures figure { flex: 1 1 0; max-width: 33% }
h3 { margin: .8em 0 .2em; font-size: 1em }
figcaption, .note, pre { color: #666; font-size: .85em }
"""


HEAD = (f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src '
        f"'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
        f'"><style>{STYLE}</style>')
"""What every page of ours begins with: no script, and nothing from elsewhere."""


def render_html(evaluation: Evaluation, report: Mapping[str, Any], predictions: Predictions,
                dataset: LabelledImages, draw: Draw, *, pictures: int = 4, seed: int = 0,
                progress: Progress = iter) -> str:
    """Return the page.

    Parameters
    ----------
    evaluation : Evaluation
        Of all images of the data set.
    report : dict
        `evaluation.report()`, with `settings` if they are to be shown.
    predictions : Predictions
    dataset : LabelledImages
    draw : callable
        Draws a segmentation over an image.
    pictures : int
        Number of worst images, of best ones, and of random ones among the others.
    seed : int
        Of the random choice.
    progress : callable
        Wraps the sequence of image indices, for example `tqdm.tqdm`.
    """
    settings = report.get('settings', {})
    title = ' of '.join(['Evaluation', *(settings[key] for key in ('model', 'predictions')
                                         if key in settings)])
    chosen = choose_images(report['per_image'], pictures, seed)
    indices = [index for group in chosen.values() for index in group]
    panels = {index: _panels(dataset, predictions, draw, evaluation.thing_ids, index)
              for index in progress(indices)}
    return '\n'.join([
        f'<!DOCTYPE html><html lang="en"><head>{HEAD}',
        f'<title>{html.escape(title)}</title></head><body>',
        f'<h1>{html.escape(title)}</h1>', *map(_table, report_tables(report)),
        *(f'<p>{html.escape(line)}</p>' for line in summary_lines(report)),
        '<div class="row">', *_diagrams(evaluation, report), '</div>',
        '<h2>Images</h2><p class="note">Ranked by the panoptic quality of all segments of an '
        'image together. Right: pixels of a wrong class are red, ignored ones blue; objects '
        'that were found are outlined in green, missed ones in red, false ones in yellow.</p>',
        *_images(chosen, panels, report['per_image']),
        '<h2>Settings</h2>',
        f'<pre>{html.escape(json.dumps(settings, indent=2))}</pre>',
        '</body></html>\n'])


def choose_images(per_image: Sequence[Mapping[str, Any]], count: int,
                  seed: int) -> dict[str, list[int]]:
    """Return the indices of the worst images, of the best, and of random ones of the others.

    Images without any segment have no quality and are in the last group only. No image is
    chosen twice; if there are few images, the worst are chosen first.
    """
    ranked = sorted((index for index, row in enumerate(per_image) if row['pq'] is not None),
                    key=lambda index: per_image[index]['pq'])
    worst = ranked[:count]
    best = ranked[count:][::-1][:count]
    others = sorted(set(range(len(per_image))) - set(worst) - set(best))
    chosen = np.random.default_rng(seed).permutation(len(others))[:count]
    return {'worst': worst, 'best': best, 'random': sorted(others[k] for k in chosen)}


def draw_errors(image: np.ndarray, truth: GroundTruth, predicted: Segmentation,
                thing_ids: Sequence[int]) -> np.ndarray:
    """Return the image in gray with wrong pixels in red, ignored ones in blue, and outlines.

    Found and missed objects are outlined as they are labelled, false ones as they were predicted,
    in the colours of the plot of sizes.

    Parameters
    ----------
    image : (H0, W0, 3) uint8, RGB
    truth : GroundTruth
    predicted : Segmentation
    thing_ids : sequence of int
        Classes that have instances.
    """
    gray = image.mean(axis=2, keepdims=True) * .5 + 100
    picture = np.repeat(gray, 3, axis=2)
    ignored = truth.semantic_ids == UNLABELLED
    for mask, color in ((ignored, IGNORED_COLOR),
                        (~ignored & (predicted.semantic_ids != truth.semantic_ids), WRONG_COLOR)):
        picture[mask] = .6 * picture[mask] + .4 * np.array(color)
    picture = picture.round().astype(np.uint8)
    true_maps = truth.semantic_ids, truth.instance_ids
    predicted_maps = predicted.semantic_ids, predicted.instance_ids
    matching = match_segments(true_maps, predicted_maps, thing_ids)
    for kind, maps, ids in (('false', predicted_maps, matching.predicted_ids[matching.false]),
                            ('missed', true_maps, matching.true_ids[matching.missed]),
                            ('found', true_maps, matching.true_ids[matching.found])):
        labels = panoptic_ids(*maps)
        for number in ids[np.isin(ids >> 16, thing_ids)]:
            contours, _ = cv2.findContours((labels == number).astype(np.uint8),
                                           cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, contours, -1, OUTLINE_COLORS[kind],
                             max(1, round(max(image.shape) / PICTURE_SIDE)))
    return picture


def _panels(dataset: LabelledImages, predictions: Predictions, draw: Draw,
            thing_ids: Sequence[int], index: int) -> list[tuple[str, str]]:
    """Return (caption, JPEG as a URL) of the pictures of one image."""
    image, truth = dataset.load_image(index), dataset.load_ground_truth(index)
    predicted = predictions.load(index).segmentation
    labelled = Segmentation(truth.semantic_ids, truth.instance_ids)
    pictures = {'labelled': draw(image, labelled), 'predicted': draw(image, predicted),
                'errors': draw_errors(image, truth, predicted, thing_ids)}
    return [(caption, jpeg_url(picture)) for caption, picture in pictures.items()]


def jpeg_url(picture: np.ndarray, side: int = PICTURE_SIDE) -> str:
    """Return an (H, W, 3) uint8 RGB picture as the URL of a JPEG, its long side at most `side`."""
    scale = min(1.0, side / max(picture.shape[:2]))
    size = tuple(max(1, round(length * scale)) for length in picture.shape[1::-1])
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode('.jpg', cv2.cvtColor(small, cv2.COLOR_RGB2BGR),
                           [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return f'data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}'


def png_url(data: bytes) -> str:
    """Return a PNG as a URL."""
    return f'data:image/png;base64,{base64.b64encode(data).decode()}'


def _diagrams(evaluation: Evaluation, report: Mapping[str, Any]) -> Iterator[str]:
    names = evaluation.class_names
    diagrams = {
        'precision and recall': draw_precision_recall(evaluation.instances.compute(), names,
                                                      evaluation.thing_ids),
        'confusion matrix': draw_confusion(evaluation.semantic.confusion, names),
        'objects by size': draw_sizes(report['objects']),
        'reliability': draw_reliability(report['confidence']['reliability']),
        'threshold of the score': draw_score_thresholds(report['confidence']['thresholds'])}
    if 'center_thresholds' in report:
        diagrams['threshold of the centers'] = draw_center_thresholds(report['center_thresholds'])
    for caption, data in diagrams.items():
        yield f'<figure><img src="{png_url(data)}" alt="{caption}"></figure>'


def _images(chosen: Mapping[str, Sequence[int]], panels: Mapping[int, Sequence[tuple[str, str]]],
            per_image: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for group, indices in chosen.items():
        if indices:
            yield f'<h2>{group.capitalize()}</h2>'
        for index in indices:
            row = per_image[index]
            quality = '-' if row['pq'] is None else f'{row["pq"]:.3f}'
            yield (f'<h3>{html.escape(row["image"])}</h3><p class="note">PQ {quality}; objects: '
                   f'{row["found"]} found, {row["missed"]} missed, {row["false"]} false</p>')
            yield '<div class="row pictures">'
            for caption, url in panels[index]:
                yield (f'<figure><img src="{url}" alt="{caption}"><figcaption>{caption}'
                       '</figcaption></figure>')
            yield '</div>'


def _table(table: Table) -> str:
    lines = [''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in row)
             for tag, row in zip(['th', *['td'] * len(table.rows)], table.rows)]
    rows = ''.join(f'<tr>{line}</tr>' for line in lines)
    return f'<table class="{"total" if table.total else "plain"}">{rows}</table>'
