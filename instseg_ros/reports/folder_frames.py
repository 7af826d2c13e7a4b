"""Frames from a folder of `instseg segment`: records, label images and overlays."""
from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, Iterator

import cv2
import numpy as np

from instseg_ros.core.types import Instance, Segmentation
from instseg_ros.media import MediaError, read_image, read_labels
from instseg_ros.media.videos import MAX_PAUSE
from instseg_ros.reports.frames import Frame, Section, draw_labels

RECORDS = 'instances.jsonl'

SAID = 5
"""Number of damaged frames that are named one by one."""

Place = tuple[Path, int]
"""An overlay, and the number of the frame in it."""


def folder_sections(folder: Path, tracked: bool = False) -> list[Section]:
    """Return a section for each video in a folder of results, and one for all photographs.

    Parameters
    ----------
    folder : Path
        With an `instances.jsonl`.
    tracked : bool
        The ids are stable.

    Raises
    ------
    ValueError
        There is no frame at all.
    """
    sections: dict[str, Section] = {}
    problems = []
    for number, line in enumerate(_lines(folder), 1):
        try:
            record = _parse(line)
            instances = [_instance(entry) for entry in record['instances']]
        except (ValueError, TypeError, LookupError) as error:
            problems.append(f'{folder / RECORDS}: line {number}: expected the record of a frame '
                            f'({type(error).__name__}: {error})')
            continue
        video = _video(record)
        section = sections.get(video)
        if section is None:
            section = sections[video] = Section(
                video or f'{folder.name}: photographs', partial(_read, folder, video),
                axis='seconds' if video else 'number of the photograph',
                tracked=tracked and bool(video))
        section.count += 1
        section.thing_ids |= {instance.class_id for instance in instances}
        section.class_names.update({instance.class_id: instance.class_name
                                    for instance in instances})
    if not sections:
        raise ValueError(problems[0] if problems else
                         f'{folder / RECORDS}: expected records of frames, got an empty file')
    next(iter(sections.values())).problems += problems[:SAID]
    if len(problems) > SAID:
        next(iter(sections.values())).problems.append(
            f'{folder / RECORDS}: {len(problems)} damaged lines in all')
    return list(sections.values())


def _lines(folder: Path) -> Iterator[str]:
    with (folder / RECORDS).open(encoding='utf-8', errors='replace') as lines:
        yield from lines


def _parse(line: str) -> dict[str, Any]:
    record = json.loads(line)
    return {**record, 'frame': int(record['frame']), 'source': str(record['source'])}


def _video(record: dict[str, Any]) -> str:
    """Return the path of the video that a frame is of; empty for photographs."""
    return record['source'] if 'time' in record else ''


def _instance(entry: dict[str, Any]) -> Instance:
    return Instance(int(entry['id']), int(entry['class_id']), str(entry['class_name']),
                    float(entry['score']), tuple(entry['center_yx']), tuple(entry['box_xyxy']),
                    int(entry['area']))


def _read(folder: Path, video: str, section: Section) -> Iterator[Frame]:
    clock = _OverlayClock()
    count = failures = 0
    first = 0.0
    for line in _lines(folder):
        try:
            record = _parse(line)
            if _video(record) != video:
                continue
            name = str(record.get('name') or Path(record['source']).name)
            time = float(record['time']) if video else float(count)
            place = clock.place(_overlay(folder, name, video), time) if video else (
                _overlay(folder, name, video), 0)
            labels = [read_labels(_below(folder, kind, f'{name}.png'))
                      for kind in ('semantic', 'instance')]
            segmentation = Segmentation(labels[0], labels[1], tuple(
                _instance(entry) for entry in record['instances']))
        except (ValueError, TypeError, LookupError, OSError) as error:
            failures += 1
            if failures <= SAID:
                section.problems.append(f'{folder}: a frame is left out: {error}')
            continue
        first = time if not count else first
        count += 1
        caption = f'{name}, {time:.2f} s' if video else name
        yield Frame(name, caption, time - first, segmentation,
                    partial(_draw, place, segmentation))
    if failures > SAID:
        section.problems.append(f'{folder}: {failures} frames are left out in all')


def _overlay(folder: Path, name: str, video: str) -> Path:
    """Return the overlay of a frame, by the layout of `instseg segment`."""
    return (_below(folder, 'overlay', f'{name.rpartition("/")[0]}.mp4') if video else
            _below(folder, 'overlay', f'{name}.png'))


def _below(folder: Path, kind: str, name: str) -> Path:
    """Return the path of a result; names come from a file, and may not lead elsewhere."""
    path = folder / kind / name
    if not path.resolve().is_relative_to((folder / kind).resolve()):
        raise ValueError(f'{name}: expected a name below {folder / kind}')
    return path


class _OverlayClock:
    """Finds frames in an overlay video, which repeats them to keep a constant rate.

    By the rule of `instseg_ros.media.VideoWriter`.
    """

    def __init__(self) -> None:
        self._rate = 0.0
        self._count = 0
        self._start = self._time = self._cut = 0.0

    def place(self, path: Path, time: float) -> Place:
        """Return where the frame of a time is; call it for all frames in order."""
        if not self._count:
            self._start = self._time = time
            capture = cv2.VideoCapture(str(path))
            self._rate = capture.get(cv2.CAP_PROP_FPS) if capture.isOpened() else 0.0
            capture.release()
        self._cut += max(0.0, time - self._time - MAX_PAUSE)
        self._time = max(time, self._time)
        due = round((self._time - self._start - self._cut) * self._rate)
        number = max(self._count, due)
        self._count = number + 1
        return path, number


def _draw(place: Place, segmentation: Segmentation) -> np.ndarray:
    """Return the overlay of a frame, or its labels in colours if there is none."""
    path, number = place
    if path.suffix == '.mp4':
        capture = cv2.VideoCapture(str(path))
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        done, picture = capture.read()
        capture.release()
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if done else draw_labels(segmentation)
    try:
        return read_image(path)
    except (OSError, MediaError):
        return draw_labels(segmentation)
