"""What to segment in a bag, with what, and what came of it."""
from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping

from instseg_ros.core.config import (
    GroupingConfig,
    NetworkConfig,
    RefinementConfig,
    SelectionConfig,
    TrackingConfig,
)
from instseg_ros.recorded.outputs import LABELS


@dataclass(frozen=True)
class ModelSettings:
    """A model and the options that it runs with."""

    path: Path
    network: NetworkConfig = NetworkConfig()
    grouping: GroupingConfig = GroupingConfig()
    refinement: RefinementConfig = RefinementConfig()
    selection: SelectionConfig = SelectionConfig()

    @property
    def checksum(self) -> str:
        """SHA-256 of the model file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Job:
    """One bag to segment.

    Attributes
    ----------
    source : Path
        The bag, a file or a folder.
    out : Path
        The bag to write, ending in .mcap.
    model : ModelSettings
    topics : tuple of str
        Of the images; empty for all.
    copy : tuple of str, optional
        Topics to copy; empty for all but those of the images, None for none.
    labels : str
        One of `outputs.LABELS`.
    start, duration : float
        Part of the bag in seconds from its beginning; a duration of 0 goes to the end.
    every : int
        Only each so-manieth image of a topic is segmented.
    tracking : TrackingConfig
        Of each image topic on its own.
    rotations : dict of str to int
        Clockwise turns in degrees that make images upright, see `rotation_of`.
    force : bool
        Replace what is at `out`, and forget an unfinished result of other settings.
    """

    source: Path
    out: Path
    model: ModelSettings
    topics: tuple[str, ...] = ()
    copy: tuple[str, ...] | None = None
    labels: str = LABELS[0]
    start: float = 0.0
    duration: float = 0.0
    every: int = 1
    tracking: TrackingConfig = TrackingConfig()
    rotations: Mapping[str, int] = field(default_factory=dict, hash=False)
    force: bool = False

    def rotation_of(self, topic: str) -> int:
        """Return the rotation of the camera whose name is a part of the topic's, else that of ''.

        The topic `/robot/front/image_raw` is that of the camera `front`.
        """
        named = [self.rotations[part] for part in topic.split('/')
                 if part and part in self.rotations]
        return named[0] if named else self.rotations.get('', 0)

    def settings(self) -> str:
        """Return all that the content of the result depends on, as JSON."""
        model = dataclasses.asdict(self.model)
        del model['network']['threads']  # has no influence on the result
        model['path'] = str(self.model.path.resolve())
        settings = {
            'source': str(self.source.resolve()), 'topics': self.topics, 'copy': self.copy,
            'labels': self.labels, 'start': self.start, 'duration': self.duration,
            'every': self.every, 'model': {**model, 'sha256': self.model.checksum}}
        if self.tracking.enabled:
            settings['tracking'] = dataclasses.asdict(self.tracking)
        if any(self.rotations.values()):
            settings['rotations'] = dict(self.rotations)
        return json.dumps(settings)


@dataclass
class Outcome:
    """What came of a bag.

    Attributes
    ----------
    source, out : str
    frames : int
        Images with a result, those of earlier, interrupted runs included.
    dropped : int
        Images that could not be decoded.
    copied : int
        Messages of other topics.
    seconds : float
        Duration of this run.
    rate : float
        Images of this run per second.
    instances : dict of str to int
        Instances of this run by class, all images together.
    problems : list of str
        A sentence each; with problems, the result is not all that was wanted.
    remarks : list of str
        What is wrong with the input but costs nothing.
    """

    source: str
    out: str
    frames: int = 0
    dropped: int = 0
    copied: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    instances: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Return the entry of `report.json`."""
        return {**dataclasses.asdict(self), 'instances': dict(sorted(self.instances.items())),
                'seconds': round(self.seconds, 3), 'rate': round(self.rate, 2)}
