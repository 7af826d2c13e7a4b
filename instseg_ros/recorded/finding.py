"""The bags that paths, folders and patterns name."""
from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import Iterator, Sequence

from instseg_ros.bags.types import BagError

METADATA = 'metadata.yaml'
FILE = re.compile(r'\.(mcap|db3|bag)(\.zstd)?$')
"""End of the name of a bag file."""

SPLIT = re.compile(r'_\d+\.(mcap|db3)(\.zstd)?$')
"""End of the name of a file of a recording; what is before is the name of its folder."""


def find_bags(inputs: Sequence[str]) -> list[tuple[Path, str]]:
    """Return the path of each bag, and a name for its result that no other bag has.

    A folder with a `metadata.yaml`, or with files called like itself and numbered, is one bag;
    any other is searched for bags. The names of what is found there are relative to it.

    Raises
    ------
    BagError
        An input names no bag, or two bags would have the same name.
    OSError
        There is nothing of that name.
    """
    found: dict[str, Path] = {}
    for path in _expand(inputs):
        bags = [path] if is_bag(path) or not path.is_dir() else sorted(_bags_below(path))
        if not bags:
            raise BagError(f'{path}: expected a bag or a folder of bags, found none')
        for bag in bags:
            relative = bag.relative_to(path) if bag != path else Path(bag.absolute().name)
            name = str(relative if bag.is_dir() else relative.with_name(stem(relative)))
            other = found.setdefault(name, bag)
            if other != bag:
                raise BagError(f'{bag} and {other}: expected bags of different names')
    return [(bag, name) for name, bag in found.items()]


def _expand(inputs: Sequence[str]) -> Iterator[Path]:
    for text in inputs:
        if Path(text).exists():
            yield Path(text)
            continue
        matching = sorted(glob.glob(text, recursive=True))
        if not matching:
            raise FileNotFoundError(f'{text}: no such file or folder')
        yield from map(Path, matching)


def is_bag(path: Path) -> bool:
    """Return whether a path is one bag by the names in it."""
    if path.is_file():
        return FILE.search(path.name) is not None
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    return METADATA in names or any(
        SPLIT.search(name) and SPLIT.sub('', name) == path.absolute().name for name in names)


def stem(path: Path) -> str:
    """Return the name of a bag file without its suffixes."""
    return FILE.sub('', path.name)


def _bags_below(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if is_bag(entry):
            yield entry
        elif entry.is_dir() and entry.suffix != '.unfinished':
            yield from _bags_below(entry)
