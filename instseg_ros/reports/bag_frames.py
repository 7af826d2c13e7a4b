"""Frames from a bag of results: of `instseg segment-bag`, of the demo, or of the live node."""
from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Iterator, Mapping

import numpy as np

from instseg_ros.bags.conversions import Converter, find_converter, to_rgb
from instseg_ros.bags.messages import (
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    LABEL_INFO,
    NANOSECONDS,
    stamp_of,
)
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.results import (
    LABEL_INFO_NAME,
    RESULT_TYPES,
    make_segmentation,
    read_class_names,
    result_topics,
)
from instseg_ros.bags.types import BagError, Message, Topic
from instseg_ros.core.types import Segmentation
from instseg_ros.reports.frames import ClassNames, Frame, Section, draw_labels, label_info
from instseg_ros.visualization import overlay

INSTANCES = 'instances'
OVERLAY, CAMERA = 'overlay', 'camera'
DIAGNOSTICS = 'diagnostic_msgs/msg/DiagnosticArray'
STRING = 'std_msgs/msg/String'
LATENCY = 'latency_ms'
"""Key of the node's diagnostics."""

WINDOW = 16
"""Number of frames whose messages may be recorded in any order."""

LONGEST = 3600.0
"""Seconds; a result that seems older has a stamp of another clock."""


def bag_sections(path: Path, tracked: bool = False) -> list[Section]:
    """Return a section for each set of result topics in a bag.

    Parameters
    ----------
    path : Path
    tracked : bool
        The ids are stable, although the bag doesn't say so.

    Raises
    ------
    BagError
        It is no bag, or has no results.
    """
    with BagReader(path) as bag:
        prefixes = [topic.name.removesuffix(INSTANCES) for topic in bag.topics
                    if topic.type == DETECTIONS and topic.name.endswith(f'/{INSTANCES}')]
        if not prefixes:
            there = ', '.join(map(str, bag.topics)) or 'no topic at all'
            raise BagError(f'{path}: expected a topic .../{INSTANCES} of type {DETECTIONS}, got '
                           f'{there}')
        settings = _settings(bag)
        return [_section(bag, prefix, settings, tracked, len(prefixes)) for prefix in prefixes]


def _settings(bag: BagReader) -> dict | None:
    """Return the settings in a bag of `instseg segment-bag`; None for any other bag."""
    for message in bag.read([topic for topic in bag.topics if topic.type == STRING
                             and topic.name.endswith('/settings')]):
        try:
            found = json.loads(bag.parse(message).data)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None


def _was_tracked(settings: dict | None) -> bool:
    settings = settings or {}
    model = settings.get('model')
    for place in (settings, model if isinstance(model, dict) else {}):
        value = place.get('tracking')
        if value is True or (isinstance(value, dict) and value.get('enabled') is True):
            return True
    return False


def _section(bag: BagReader, prefix: str, settings: dict | None, tracked: bool,
             prefix_count: int) -> Section:
    title = f'{bag.path.name} {prefix.rstrip("/")}'
    names, problems = ClassNames(), []
    try:
        names.update(read_class_names(bag, prefix + LABEL_INFO_NAME))
    except BagError:
        problems.append(f'{bag.path}: no names of classes: expected a topic '
                        f'{prefix}{LABEL_INFO_NAME} of type {LABEL_INFO}')
    topics = result_topics(bag, prefix)
    problems += [f'{bag.path}: expected a topic {topic}, got none'
                 for topic in topics if topic not in bag.topics]
    thing_ids, count = set(), 0
    for message in bag.read([topic for topic in topics if topic.type == DETECTIONS]):
        count += 1
        try:
            thing_ids |= {int(detection.results[0].hypothesis.class_id)
                          for detection in bag.parse(message).detections}
        except (ValueError, IndexError):
            continue  # named when the frame is read
    read = partial(_read, bag.path, prefix, settings is None, prefix_count == 1)
    return Section(title, read, names, thing_ids, count, problems=problems,
                   tracked=tracked or _was_tracked(settings))


def _read(path: Path, prefix: str, is_live: bool, is_only: bool, section: Section
          ) -> Iterator[Frame]:
    """Yield the frames of a section, and add its latencies and its damage."""
    with BagReader(path) as bag:
        topics = {**result_topics(bag, prefix), **_picture_topics(bag, prefix, is_only)}
        diagnostics = [topic for topic in bag.topics if topic.type == DIAGNOSTICS]
        converter = find_converter()
        groups = _Groups(topics, bag)
        first: int | None = None
        skipped, why = 0, ''
        for group in groups.read(diagnostics, section, prefix):
            try:
                segmentation = make_segmentation(
                    {name: bag.parse(group.messages[name]) for name in RESULT_TYPES},
                    section.class_names)
            except (ValueError, TypeError, LookupError) as error:
                skipped += 1
                why = why or f'the first at {_seconds(group.stamp)} s: {error}'
                continue
            first = group.stamp if first is None else first
            recorded = group.messages[INSTANCES].time
            if is_live and not section.latency_kind.startswith('latency'):
                _note_age(section, recorded - group.stamp)
            yield Frame(group.stamp, f'{(group.stamp - first) / NANOSECONDS:.2f} s, stamp '
                        f'{_seconds(group.stamp)}', (group.stamp - first) / NANOSECONDS,
                        segmentation, partial(_draw, bag, group.messages, segmentation,
                                              section.class_names, converter))
        if skipped:
            section.problems.append(f'{path}: {skipped} results of {prefix} are damaged, {why}')
        if groups.incomplete:
            section.problems.append(
                f'{path}: {groups.incomplete} frames of {prefix} lack a message; expected '
                f'{", ".join(RESULT_TYPES)} with the same stamp')
        section.problems += [note for note in bag.damage if note not in section.problems]
        if section.latency_kind.startswith('age') and not any(section.latency):
            section.latency.clear()  # recorded at the stamps: there is no latency in it
            section.latency_kind = ''


def _picture_topics(bag: BagReader, prefix: str, is_only: bool) -> dict[Topic, str]:
    """Return the topic of the overlay, or else that of the camera if there is no doubt."""
    for topic in (Topic(f'{prefix}overlay/compressed', COMPRESSED_IMAGE),
                  Topic(f'{prefix}overlay', IMAGE)):
        if bag.counts.get(topic):
            return {topic: OVERLAY}
    try:
        cameras = bag.image_topics()
    except BagError:
        return {}
    return {cameras[0]: CAMERA} if is_only and len(cameras) == 1 else {}


@dataclass
class _Group:
    """Messages of one stamp by the names of `RESULT_TYPES`, `OVERLAY` or `CAMERA`."""

    stamp: int
    messages: dict[str, Message] = field(default_factory=dict)


class _Groups:
    """Collects the messages of each frame, without waiting for more than `WINDOW` frames."""

    def __init__(self, topics: Mapping[Topic, str], bag: BagReader) -> None:
        self._topics, self._bag = topics, bag
        self._open: list[_Group] = []
        self.incomplete = 0

    def read(self, diagnostics: list[Topic], section: Section, prefix: str) -> Iterator[_Group]:
        """Yield the groups that make up a result; messages of diagnostics go to the section."""
        for message in self._bag.read([*self._topics, *diagnostics]):
            if message.topic in diagnostics:
                _note_latency(section, self._bag, message, prefix)
                continue
            self._add(self._topics[message.topic], message)
            while self._open and (len(self._open[0].messages) == len(set(self._topics.values()))
                                  or len(self._open) > WINDOW):
                yield from self._close()
        while self._open:
            yield from self._close()

    def _add(self, name: str, message: Message) -> None:
        try:
            stamp = stamp_of(message.data)
        except ValueError:
            self.incomplete += name in RESULT_TYPES
            return
        for group in self._open:
            if group.stamp == stamp and name not in group.messages:
                break
        else:
            group = _Group(stamp)
            self._open.append(group)
        group.messages[name] = message

    def _close(self) -> Iterator[_Group]:
        group = self._open.pop(0)
        if all(name in group.messages for name in RESULT_TYPES):
            yield group
        elif any(name in group.messages for name in RESULT_TYPES):
            self.incomplete += 1


def _note_latency(section: Section, bag: BagReader, message: Message, prefix: str) -> None:
    try:
        statuses = bag.parse(message).status
    except BagError as error:
        section.problems.append(str(error))
        return
    for status in statuses:
        values = {item.key: item.value for item in status.values}
        if LATENCY not in values or prefix.strip('/') not in status.name:
            continue
        try:
            value = float(values[LATENCY])
        except ValueError:
            continue
        if not 0 <= value < 1000 * LONGEST:
            continue
        if not section.latency_kind.startswith('latency'):
            section.latency.clear()
            section.latency_kind = ('latency of the node in ms, from its diagnostics: the mean '
                                    'of each report')
        section.latency[int(value)] += 1


def _note_age(section: Section, nanoseconds: int) -> None:
    age = nanoseconds / NANOSECONDS
    if 0 <= age < LONGEST:
        section.latency_kind = 'age of a result in ms: recorded time minus stamp'
        section.latency[math.floor(age * 1000)] += 1


def _draw(bag: BagReader, messages: Mapping[str, Message], segmentation: Segmentation,
          names: ClassNames, converter: Converter) -> np.ndarray:
    """Return the overlay of a frame, or its labels in colours if there is none."""
    try:
        if OVERLAY in messages:
            return to_rgb(bag.parse(messages[OVERLAY]), converter)
        if CAMERA in messages:
            image = to_rgb(bag.parse(messages[CAMERA]), converter)
            return overlay(image, segmentation, label_info(names))
    except (ValueError, TypeError):
        pass  # a picture is no result; the labels are
    return draw_labels(segmentation)


def _seconds(stamp: int) -> str:
    return f'{stamp // NANOSECONDS}.{stamp % NANOSECONDS:09d}'
