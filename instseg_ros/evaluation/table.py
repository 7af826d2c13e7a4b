"""The report of an evaluation as a table to read on a screen."""
from __future__ import annotations

from typing import Any, Mapping

HEADER = ('class', 'IoU', 'AP', 'AP50', 'PQ', 'SQ', 'RQ', 'found', 'missed', 'false')


def format_report(report: Mapping[str, Any]) -> str:
    """Return the figures of `Evaluation.report` as lines of text."""
    rows = report_rows(report)
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ['  '.join([row[0].ljust(widths[0])] + [
        cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]).rstrip() for row in rows]
    rule = '-' * max(map(len, lines))
    return '\n'.join([lines[0], rule, *lines[1:-1], rule, lines[-1], '',
                      *summary_lines(report)])


def report_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """Return the table: the header, a row for each class and one for their means.

    Found, missed and false segments are those of the panoptic quality: an instance, or all
    pixels of an image that have one stuff class, matched at IoU 1/2.
    """
    semantic, instance, panoptic = (report[key] for key in ('semantic', 'instance', 'panoptic'))
    rows: list[tuple[Any, ...]] = [HEADER]
    for name, segments in panoptic['per_class'].items():
        precision = instance['per_class'].get(name, {'ap': None, 'ap50': None})
        rows.append((name, semantic['iou'][name], precision['ap'], precision['ap50'],
                     segments['pq'], segments['sq'], segments['rq'],
                     segments['found'], segments['missed'], segments['false']))
    rows.append(('mean', semantic['miou'], instance['ap'], instance['ap50'], panoptic['pq'],
                 panoptic['sq'], panoptic['rq'], '', '', ''))
    return [[_cell(value) for value in row] for row in rows]


def summary_lines(report: Mapping[str, Any]) -> list[str]:
    """Return what the table has no column for, as sentences."""
    instance, panoptic, boundary, objects = (
        report[key] for key in ('instance', 'panoptic', 'boundary', 'objects'))
    by_size = (f'{size} {counts["found"]}, {counts["missed"]}, {counts["false"]}'
               for size, counts in objects['by_size'].items())
    lines = [
        f'Images: {report["images"]}. Objects missed in each: '
        f'{objects["per_image"]["missed"]:.2f}, false ones: {objects["per_image"]["false"]:.2f}.',
        f'Objects found, missed, false by size: {"; ".join(by_size)}.',
        f'AP50 of small, medium, large objects: {_cell(instance["ap50_small"])}, '
        f'{_cell(instance["ap50_medium"])}, {_cell(instance["ap50_large"])}.',
        f'PQ of things {_cell(panoptic["pq_things"])}, of stuff {_cell(panoptic["pq_stuff"])}.',
        f'Boundary F at {boundary["tolerance_px"]} px: classes '
        f'{_cell(boundary["semantic"]["f"])}, objects {_cell(boundary["panoptic"]["f"])}.']
    if 'cityscapes' in report:
        official = (f'{title} {_cell(report["cityscapes"][key])}' for title, key in (
            ('mIoU', 'miou'), ('AP', 'ap'), ('AP50', 'ap50'), ('PQ', 'pq')))
        lines.append(f'By the scripts of Cityscapes: {", ".join(official)}.')
    return lines


def _cell(value: float | int | str | None) -> str:
    if value is None:
        return '-'
    return f'{value:.3f}' if isinstance(value, float) else str(value)
