"""The report of an evaluation as text: tables and a few sentences."""
from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

from instseg_ros.evaluation.panoptic import SIZES

Rows = Sequence[Sequence[Any]]


class Table(NamedTuple):
    """Rows of cells, the header first; with `total`, the last one sums the others up."""

    rows: Rows
    total: bool


def format_text(report: Mapping[str, Any]) -> str:
    """Return the metrics of `Evaluation.report` as lines of text."""
    return '\n\n'.join([*map(_format_table, report_tables(report)),
                        '\n'.join(summary_lines(report))])


def report_tables(report: Mapping[str, Any]) -> list[Table]:
    """Return the tables: by class, by size, both, and by center threshold if it was varied."""
    tables = [Table(class_rows(report), total=True), Table(size_rows(report), total=True),
              Table(class_size_rows(report), total=True)]
    if 'center_thresholds' in report:
        tables.append(Table(threshold_rows(report['center_thresholds']), total=False))
    return [Table([[_cell(value) for value in row] for row in rows], total)
            for rows, total in tables]


def class_rows(report: Mapping[str, Any]) -> Rows:
    """Return the header, a row for each class and one for their means.

    Found, missed and false segments are those of the panoptic quality: an instance, or all
    pixels of an image that have one stuff class, matched at IoU 1/2.
    """
    semantic, instance, panoptic = (report[key] for key in ('semantic', 'instance', 'panoptic'))
    rows: list[tuple[Any, ...]] = [
        ('class', 'IoU', 'AP', 'AP50', 'PQ', 'SQ', 'RQ', 'found', 'missed', 'false')]
    for name, segments in panoptic['per_class'].items():
        precision = instance['per_class'].get(name, {'ap': None, 'ap50': None})
        rows.append((name, semantic['iou'][name], precision['ap'], precision['ap50'],
                     segments['pq'], segments['sq'], segments['rq'],
                     segments['found'], segments['missed'], segments['false']))
    return [*rows, ('mean', semantic['miou'], instance['ap'], instance['ap50'], panoptic['pq'],
                    panoptic['sq'], panoptic['rq'], '', '', '')]


def size_rows(report: Mapping[str, Any]) -> Rows:
    """Return the header, a row for each size of objects, and one for all."""
    instance, objects = report['instance'], report['objects']
    rows: list[tuple[Any, ...]] = [('objects', 'AP', 'AP50', 'found', 'missed', 'false', 'recall',
                                    'precision', 'false an image')]
    sizes = {**{size: (f'_{size}', counts) for size, counts in objects['by_size'].items()},
             'all': ('', objects)}
    for size, (suffix, counts) in sizes.items():
        rows.append((size, instance[f'ap{suffix}'], instance[f'ap50{suffix}'],
                     counts['found'], counts['missed'], counts['false'], counts['recall'],
                     counts['precision'], counts['per_image']['false']))
    return rows


def class_size_rows(report: Mapping[str, Any]) -> Rows:
    """Return the header, a row for each thing class with its AP50 by size, and one for all.

    In that one, AP50 is the mean of the classes; the rest is of all their objects together.
    """
    instance, objects = report['instance'], report['objects']
    rows: list[tuple[Any, ...]] = [('AP50 of', *(f'{size} objects' for size in SIZES), 'recall',
                                    'precision', 'false an image')]
    per_class = [(name, values, objects['per_class'][name])
                 for name, values in instance['per_class'].items()]
    for name, values, counts in (*per_class, ('all classes', instance, objects)):
        rows.append((name, *(values[f'ap50_{size}'] for size in SIZES), counts['recall'],
                     counts['precision'], counts['per_image']['false']))
    return rows


def threshold_rows(thresholds: Mapping[str, Any]) -> Rows:
    """Return the header and a row for each center threshold; the one in use is marked."""
    rows: list[tuple[Any, ...]] = [('center threshold', 'precision', 'recall', 'F1', 'AP50', 'PQ',
                                    'PQ things', 'missed an image', 'false an image')]
    for point in thresholds['thresholds']:
        mark = ' (used)' if point['threshold'] == thresholds['used'] else ''
        rows.append((f'{point["threshold"]:g}{mark}', *(point[key] for key in (
            'precision', 'recall', 'f1', 'ap50', 'pq', 'pq_things', 'missed', 'false'))))
    return rows


def summary_lines(report: Mapping[str, Any]) -> list[str]:
    """Return the metrics that no table has a column for, as sentences."""
    panoptic, boundary = report['panoptic'], report['boundary']
    lines = [
        f'Images: {report["images"]}. PQ of things {_cell(panoptic["pq_things"])}, of stuff '
        f'{_cell(panoptic["pq_stuff"])}.',
        f'Boundary F at {boundary["tolerance_px"]} px: classes '
        f'{_cell(boundary["semantic"]["f"])}, objects {_cell(boundary["panoptic"]["f"])}.',
        'Scores differ from the share of detections that are right (IoU 0.50) by '
        f'{_cell(report["confidence"]["reliability"]["error"])} in the mean.']
    if 'cityscapes' in report:
        official = (f'{title} {_cell(report["cityscapes"][key])}' for title, key in (
            ('mIoU', 'miou'), ('AP', 'ap'), ('AP50', 'ap50'), ('PQ', 'pq')))
        lines.append(f'By the scripts of Cityscapes: {", ".join(official)}.')
    return lines


def _format_table(table: Table) -> str:
    widths = [max(map(len, column)) for column in zip(*table.rows)]
    lines = ['  '.join([row[0].ljust(widths[0])] + [
        cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]).rstrip()
        for row in table.rows]
    rule = '-' * max(map(len, lines))
    if table.total:
        lines.insert(-1, rule)
    return '\n'.join([lines[0], rule, *lines[1:]])


def _cell(value: float | int | str | None) -> str:
    if value is None:
        return '-'
    return f'{value:.3f}' if isinstance(value, float) else str(value)
