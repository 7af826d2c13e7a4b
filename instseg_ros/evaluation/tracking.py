"""How well ids are kept: MOTA, IDF1, HOTA and id switches, by TrackEval.

Ground truth is a file of the MOT Challenge: lines of frame, id, left, top, width, height, ..., all
counted from 1. Objects are compared by their boxes; that of a mask is the box around its pixels.
"""
from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, Collection, Mapping, NamedTuple, Sequence

import numpy as np

from instseg_ros.core.types import Segmentation

MATCH_IOU = 0.5
"""Overlap of boxes from which an object counts as found, in MOTA and IDF1."""

COLUMNS = 6


class Boxes(NamedTuple):
    """Objects of one frame: ids (N,) int64, boxes (N, 4) float64 as left, top, right, bottom."""

    ids: np.ndarray
    boxes: np.ndarray


NO_BOXES = Boxes(np.empty(0, np.int64), np.empty((0, 4)))


def read_mot(path: Path | str) -> list[Boxes]:
    """Read a file of the MOT Challenge.

    Returns
    -------
    list of Boxes
        From the first frame to the last one that is named.

    Raises
    ------
    ValueError
        A line has too few columns, or something else than numbers, a frame below 1, or an id
        twice in a frame.
    """
    rows: list[list[float]] = []
    seen: set[tuple[float, float]] = set()
    for number, line in enumerate(Path(path).read_text(encoding='utf-8').splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = [float(value) for value in line.split(',')[:COLUMNS]]
        except ValueError:
            row = []
        if len(row) < COLUMNS or not np.isfinite(row).all():
            raise ValueError(f'{path}, line {number}: expected frame, id, left, top, width, '
                             f'height as numbers between commas, got {line!r:.80}')
        if row[0] < 1 or row[0] != int(row[0]) or row[1] != int(row[1]):
            raise ValueError(f'{path}, line {number}: expected a frame from 1 and a whole id, got '
                             f'{row[0]:g} and {row[1]:g}')
        if (row[0], row[1]) in seen:
            raise ValueError(f'{path}, line {number}: id {row[1]:g} is in frame {row[0]:g} '
                             'already')
        seen.add((row[0], row[1]))
        rows.append(row)
    if not rows:
        raise ValueError(f'{path}: expected lines of the MOT Challenge, got none')
    table = np.array(rows)
    corners = np.concatenate([table[:, 2:4], table[:, 2:4] + table[:, 4:6]], axis=1)
    # The corner of the image is 1, 1 in these files.
    corners -= 1
    frames, ids = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    return [Boxes(ids[frames == frame], corners[frames == frame])
            for frame in range(1, frames.max() + 1)]


def tracking_metrics(truth: Sequence[Boxes], tracked: Sequence[Boxes]) -> dict[str, float]:
    """Compare what was tracked with the ground truth, frame by frame.

    Parameters
    ----------
    truth, tracked : sequence of Boxes
        One for each frame.

    Returns
    -------
    dict of str to float
        mota, idf1, hota, deta, assa (HOTA's parts for detection and association), recall,
        precision, and the numbers id_switches, objects (boxes of the truth) and ids_given.

    Raises
    ------
    ValueError
        The numbers of frames differ.
    """
    if len(truth) != len(tracked):
        raise ValueError(f'tracked: expected {len(truth)} frames as in the ground truth, got '
                         f'{len(tracked)}')
    with contextlib.redirect_stdout(io.StringIO()):  # it prints, even on import
        from trackeval.metrics import CLEAR, HOTA, Identity

        data = _as_data(truth, tracked)
        settings = {'THRESHOLD': MATCH_IOU, 'PRINT_CONFIG': False}
        clear = CLEAR(settings).eval_sequence(data)
        identity = Identity(settings).eval_sequence(data)
        hota = HOTA().eval_sequence(data)
    return {'mota': float(clear['MOTA']), 'idf1': float(identity['IDF1']),
            'hota': float(np.mean(hota['HOTA'])), 'deta': float(np.mean(hota['DetA'])),
            'assa': float(np.mean(hota['AssA'])), 'recall': float(clear['CLR_Re']),
            'precision': float(clear['CLR_Pr']), 'id_switches': int(clear['IDSW']),
            'objects': data['num_gt_dets'], 'ids_given': data['num_tracker_ids']}


def _as_data(truth: Sequence[Boxes], tracked: Sequence[Boxes]) -> dict[str, Any]:
    """Return the sequence as TrackEval's metrics take it: with ids from 0 without gaps."""
    true_ids = np.unique(np.concatenate([frame.ids for frame in truth]))
    given_ids = np.unique(np.concatenate([frame.ids for frame in tracked]))
    return {
        'num_timesteps': len(truth), 'num_gt_ids': len(true_ids),
        'num_tracker_ids': len(given_ids), 'num_gt_dets': sum(len(f.ids) for f in truth),
        'num_tracker_dets': sum(len(f.ids) for f in tracked),
        'gt_ids': [np.searchsorted(true_ids, frame.ids) for frame in truth],
        'tracker_ids': [np.searchsorted(given_ids, frame.ids) for frame in tracked],
        'similarity_scores': [box_overlaps(a.boxes, b.boxes) for a, b in zip(truth, tracked)]}


def box_overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    first, second = boxes[:, None], others[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2],
                                                                     second[..., :2])
    both = np.clip(sides, 0, None).prod(axis=-1)
    areas = [(part[..., 2:] - part[..., :2]).prod(axis=-1) for part in (first, second)]
    return both / np.maximum(areas[0] + areas[1] - both, np.finfo(float).tiny)


def boxes_of(segmentation: Segmentation, names: Collection[str], least_score: float = 0.0
             ) -> Boxes:
    """Return the objects of some classes with at least a score."""
    chosen = [item for item in segmentation.instances
              if item.class_name in names and item.score >= least_score]
    return Boxes(np.array([item.instance_id for item in chosen], np.int64),
                 np.array([item.box_xyxy for item in chosen], np.float64).reshape(-1, 4))


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Return the metrics in one line."""
    return '  '.join(f'{name} {value:.3f}' if isinstance(value, float) else f'{name} {value}'
                     for name, value in metrics.items())
