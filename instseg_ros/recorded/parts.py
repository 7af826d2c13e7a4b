"""An unfinished result: what interrupted runs have written already.

Each run writes a part of its own, `NAME.unfinished/0000`, `0001` and so on, every one a bag. The
last run joins them into the result. The first message of a part has the settings of its run.
"""
from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from instseg_ros.bags.bag import BagFolder, BagWriter
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import BagError, Topic
from instseg_ros.recorded.layout import SETTINGS_TOPIC, Group, Layout

DISK_RESERVE = 8 * 2 ** 20
"""Bytes that stay free, so that there is room for the chunk in memory and the index."""


class Part:
    """What one run writes.

    Attributes
    ----------
    bag : BagFolder
        With its topics declared.
    is_empty : bool
        Whether nothing was written.
    """

    def __init__(self, bag: BagFolder, layout: Layout) -> None:
        self.bag, self._layout = bag, layout
        self.is_empty = True

    def write(self, group: Group) -> None:
        """Append the messages of a group.

        Raises
        ------
        OSError
            The disk is nearly full. There is still room to close the bag.
        """
        free = shutil.disk_usage(self.bag.path).free
        if free < DISK_RESERVE:
            raise OSError(f'{self.bag.path}: the disk is full, {free / 2 ** 20:.1f} MiB are free; '
                          'give the same command again when there is more room')
        if self.is_empty:
            self._layout.begin(self.bag, group[0].time)
            self.is_empty = False
        for message in group:
            self.bag.write(message.topic.name, message.time, message.data)


class Parts:
    """The parts of one result.

    Parameters
    ----------
    out : Path
        The result, ending in .mcap.
    layout : Layout
        Of the present run; earlier parts must have the same settings.
    anew : bool
        Remove parts of the same settings, too, because this run can't continue them.
    force : bool
        Remove parts of other settings.

    Raises
    ------
    FileExistsError
        There are parts of other settings.
    """

    def __init__(self, out: Path, layout: Layout, *, anew: bool, force: bool) -> None:
        self.out, self.folder = out, unfinished(out)
        self._layout = layout
        self._paths: list[Path] = []
        for path in sorted(self.folder.glob('*')):
            found = read_settings(path)
            same = found == layout.settings
            if same and not anew:
                self._paths.append(path)
            elif same or force or not found:  # no settings: killed before the first chunk
                shutil.rmtree(path)
            else:
                raise FileExistsError(
                    f'{self.folder}: an unfinished result of another input, model or other '
                    'options; finish it with the command that began it, remove it, or give '
                    '--force')

    def groups(self) -> Iterator[tuple[Topic, Group]]:
        """Yield what earlier runs have written, in order; an incomplete last group is left out."""
        for path in self._paths:
            with BagReader(path) as bag:
                yield from self._layout.groups(bag.read(bag.topics))

    @contextmanager
    def new_part(self) -> Iterator[Part]:
        """Give the part of this run; after an exception, too, it is a whole bag."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = int(self._paths[-1].name) + 1 if self._paths else 0
        part = Part(BagFolder(self.folder / f'{number:04d}'), self._layout)
        try:
            with part.bag:
                self._layout.declare(part.bag)
                yield part
        finally:
            if part.is_empty:
                shutil.rmtree(part.bag.path, ignore_errors=True)
            else:
                self._paths.append(part.bag.path)
            if not self._paths:
                self.folder.rmdir()

    def finish(self) -> None:
        """Make the result of all parts, and remove them."""
        if len(self._paths) == 1:
            os.replace(self._paths[0] / f'{self._paths[0].name}.mcap', self.out)
        else:
            with BagWriter(self.out) as bag:
                self._layout.declare(bag)
                part = Part(bag, self._layout)
                for _, group in self.groups():
                    part.write(group)
        shutil.rmtree(self.folder)


def unfinished(out: Path) -> Path:
    """Return the folder of an unfinished result."""
    return out.with_suffix('.unfinished')


def read_settings(part: Path) -> str:
    """Return the settings that a part was written with; empty if it was killed before that."""
    try:
        with BagReader(part) as bag:
            topics = [topic for topic in bag.topics if topic.name == SETTINGS_TOPIC]
            for message in bag.read(topics):
                return bag.parse(message).data
    except BagError:
        pass
    return ''
