"""Plots of an evaluation, drawn by matplotlib without a display."""
from __future__ import annotations

import io
from typing import Any, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from instseg_ros.evaluation.instances import AveragePrecision

DOTS_PER_INCH = 110
SIZE = (5.2, 4)
"""Width and height of a plot in inches: two of them fit side by side on a page."""

FOUND_COLORS = {'found': '#4c9a63', 'missed': '#c8503c', 'false': '#e0a030'}


def draw_precision_recall(precision: AveragePrecision, class_names: Sequence[str],
                          thing_ids: Sequence[int]) -> bytes:
    """Return precision against recall at IoU 0.50 of each class that has objects, as PNG."""
    figure = Figure(figsize=SIZE)
    axes = figure.add_subplot()
    recall = np.linspace(0, 1, precision.precision.shape[1])
    ap50 = precision.of_classes(iou50=True)
    for thing in thing_ids:
        if not np.isnan(ap50[thing]):
            values = precision.precision[0, :, thing, 0]
            # Beyond the highest recall precision is 0: the curve ends with one drop.
            shown = np.count_nonzero(values) + 1
            axes.plot(recall[:shown], values[:shown],
                      label=f'{class_names[thing]} (AP50 {ap50[thing]:.3f})')
    axes.set(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1.02),
             title='Precision and recall at IoU 0.50')
    axes.grid(alpha=.3)
    if axes.lines:
        axes.legend(fontsize='small')
    return png(figure)


def draw_confusion(confusion: np.ndarray, class_names: Sequence[str]) -> bytes:
    """Return the confusion matrix of pixels as PNG; each row adds up to 1.

    Parameters
    ----------
    confusion : (C, C + 1) int64
        As in `SemanticScore.confusion`.
    """
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    names = [*class_names, 'unlabelled']
    side = 2.2 + .55 * len(names)
    figure = Figure(figsize=(side, side - .6))
    axes = figure.add_subplot()
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), labels=names, rotation=40, ha='right')
    axes.set_yticks(range(len(class_names)), labels=list(class_names))
    axes.set(xlabel='predicted', ylabel='true', title='Pixels of each class')
    for (row, column), share in np.ndenumerate(shares):
        axes.text(column, row, f'{share:.2f}', ha='center', va='center', fontsize='small',
                  color='white' if share > .6 else 'black')
    return png(figure)


def draw_sizes(objects: Mapping[str, Any]) -> bytes:
    """Return the numbers of objects found, missed and false by size as PNG.

    Parameters
    ----------
    objects : dict
        `objects` of the report.
    """
    figure = Figure(figsize=SIZE)
    axes = figure.add_subplot()
    sizes = list(objects['by_size'])
    for number, (kind, color) in enumerate(FOUND_COLORS.items()):
        bars = axes.bar(np.arange(len(sizes)) + .27 * (number - 1),
                        [objects['by_size'][size][kind] for size in sizes], .25,
                        label=kind, color=color)
        axes.bar_label(bars, fontsize='small')
    axes.set_xticks(range(len(sizes)), labels=sizes)
    axes.margins(y=.1)
    axes.set(ylabel='objects', title='Objects by size')
    axes.legend(fontsize='small')
    return png(figure)


def draw_score_thresholds(points: Sequence[Mapping[str, Any]]) -> bytes:
    """Return precision, recall and F1 against the least score that is kept, as PNG.

    Parameters
    ----------
    points : sequence of dict
        `confidence.thresholds` of the report.
    """
    return _draw_lines(points, 'score', ('precision', 'recall', 'F1'), 'least score kept',
                       'Threshold of the score')


def draw_center_thresholds(thresholds: Mapping[str, Any]) -> bytes:
    """Return metrics against the threshold of the centers, the model's own marked, as PNG.

    Parameters
    ----------
    thresholds : dict
        `center_thresholds` of the report.
    """
    return _draw_lines(thresholds['thresholds'], 'threshold',
                       ('precision', 'recall', 'F1', 'AP50', 'PQ', 'PQ things'),
                       'least confidence of a center', 'Threshold of the centers',
                       marked=thresholds['used'])


def _draw_lines(points: Sequence[Mapping[str, Any]], x: str, names: Sequence[str], label: str,
                title: str, marked: float | None = None) -> bytes:
    figure = Figure(figsize=SIZE)
    axes = figure.add_subplot()
    for name in names:
        values = [point[name.lower().replace(' ', '_')] for point in points]
        axes.plot([point[x] for point in points],
                  [np.nan if value is None else value for value in values],
                  label=name, marker='.' if len(points) < 15 else '')
    if marked is not None:
        axes.axvline(marked, color='gray', linestyle='--', label=f'used: {marked:g}')
    axes.set(xlabel=label, xlim=(0, 1), ylim=(0, 1.02), title=title)
    axes.legend(fontsize='small')
    axes.grid(alpha=.3)
    return png(figure)


def draw_reliability(reliability: Mapping[str, Any]) -> bytes:
    """Return the share of right detections against their score, as PNG.

    Parameters
    ----------
    reliability : dict
        `confidence.reliability` of the report.
    """
    figure = Figure(figsize=SIZE)
    axes = figure.add_subplot()
    bins = reliability['bins']
    axes.plot([0, 1], [0, 1], color='gray', linestyle='--', label='perfectly calibrated')
    axes.plot([item['score'] for item in bins], [item['right'] for item in bins], marker='o',
              label='measured, with number of detections')
    for item in bins:
        axes.annotate(item['detections'], (item['score'], item['right']), fontsize='x-small',
                      xytext=(5, -9), textcoords='offset points')
    error = reliability['error']
    axes.set(xlabel='score', ylabel='share that is right (IoU 0.50)', xlim=(0, 1), ylim=(0, 1.02),
             title='Reliability of the score' + ('' if error is None
                                                 else f' (mean error {error:.3f})'))
    axes.legend(fontsize='small', loc='upper left')
    axes.grid(alpha=.3)
    return png(figure)


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=DOTS_PER_INCH, bbox_inches='tight')
    return buffer.getvalue()
