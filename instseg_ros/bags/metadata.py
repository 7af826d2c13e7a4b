"""`metadata.yaml` of a recording: what it promises, as far as it makes sense."""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from instseg_ros.bags.messages import type_name
from instseg_ros.bags.qos import KEY
from instseg_ros.bags.types import Topic

NAME = 'metadata.yaml'
MAX_SIZE = 2 ** 20
"""Bytes; `ros2 bag record` writes less than a kilobyte for each topic and file. A list of so many
bytes takes ten seconds."""


@dataclass
class Metadata:
    """What a recording says about itself.

    Attributes
    ----------
    files : list of str
        Names of its files, without folders.
    counts : dict of Topic to int
        Number of messages on each topic.
    qos : dict of Topic to str
        See `instseg_ros.bags.qos`.
    problem : str
        Why it cannot be used, or only in part; else empty.
    """

    files: list[str] = field(default_factory=list)
    counts: dict[Topic, int] = field(default_factory=dict)
    qos: dict[Topic, str] = field(default_factory=dict)
    problem: str = ''


def read_metadata(folder: Path) -> Metadata:
    """Return what `metadata.yaml` in a folder says; nothing if there is none."""
    path = folder / NAME
    metadata = Metadata()
    if not path.is_file():
        return metadata
    try:
        if path.stat().st_size > MAX_SIZE:
            raise ValueError(f'expected at most {MAX_SIZE} bytes')
        content = yaml.safe_load(path.read_text('utf-8'))['rosbag2_bagfile_information']
        _take_files(content, metadata)
        _take_counts(content, metadata)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError,
            yaml.YAMLError) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        metadata.problem = f'{NAME} cannot be read to its end ({reason})'
    return metadata


def _take_files(content: dict[str, Any], metadata: Metadata) -> None:
    for name in content.get('relative_file_paths') or []:
        metadata.files.append(Path(str(name)).name)


def _take_counts(content: dict[str, Any], metadata: Metadata) -> None:
    for entry in content.get('topics_with_message_count') or []:
        about, count = entry['topic_metadata'], entry['message_count']
        if not isinstance(count, int) or not 0 <= count < 2 ** 63:
            raise ValueError(f'message_count: expected a number of messages, got {count!r:.80}')
        if about.get('serialization_format', 'cdr') == 'cdr':
            topic = Topic(str(about['name']), type_name(str(about['type'])))
            metadata.counts[topic] = metadata.counts.get(topic, 0) + count
            if profiles := about.get(KEY):  # text in the versions of Humble and before
                metadata.qos[topic] = profiles if isinstance(profiles, str) else \
                    yaml.safe_dump(profiles)
