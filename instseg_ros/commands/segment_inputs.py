"""Which images and videos `instseg segment` reads, and what it leaves out and why."""
from __future__ import annotations

import mimetypes
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Sequence

VIDEO_SUFFIXES = ('.3gp', '.avi', '.flv', '.m2ts', '.m4v', '.mjpeg', '.mkv', '.mov', '.mp4',
                  '.mpeg', '.mpg', '.mts', '.ogv', '.ts', '.webm', '.wmv')
"""Of files in folders; a file that is named by itself may have any."""

BAG_SUFFIXES = ('.bag', '.db3', '.mcap')
BAG_HINT = 'a bag; use "instseg segment-bag"'


@dataclass(frozen=True)
class Source:
    """An image or video to segment.

    Attributes
    ----------
    path : Path
    name : str
        Path relative to the folder that all inputs have in common, with its suffix. No two
        sources share it; results are called after it.
    is_image : bool
    """

    path: Path
    name: str
    is_image: bool


@dataclass
class Inputs:
    """What was found; `problems` and `left_out` hold a sentence each, the path in front."""

    sources: list[Source] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def find_inputs(paths: Sequence[Path], out: Path) -> Inputs:
    """Return the images and videos in files and folders of folders.

    Parameters
    ----------
    paths : sequence of Path
    out : Path
        Folder of the results, which is not searched.
    """
    found = Inputs()
    files: dict[Path, Path] = {}
    for path in paths:
        if is_bag(path):
            found.problems.append(f'{path}: {BAG_HINT}')
        elif not path.is_dir():
            files.setdefault(absolute(path), path)
        else:
            inside = find_in_folder(path, out, found)
            files.update({absolute(file): file for file in inside
                          if absolute(file) not in files})
            if not inside:
                found.problems.append(f'{path}: no image or video in this folder')
    base = common_folder(paths)
    found.sources = [Source(path, whole.relative_to(base).as_posix(), looks_like_image(path))
                     for whole, path in files.items()]
    return found


def absolute(path: Path) -> Path:
    """Return the whole path without `..`; links stay."""
    return Path(os.path.abspath(path))


def common_folder(paths: Sequence[Path]) -> Path:
    """Return the innermost folder in which all inputs are; a folder is in itself."""
    folders = [absolute(path) if path.is_dir() else absolute(path).parent for path in paths]
    return Path(os.path.commonpath(folders))


def find_in_folder(folder: Path, out: Path, found: Inputs) -> list[Path]:
    """Return the images and videos below a folder, in the order of their paths.

    Links to folders are not followed: they may lead in circles.
    """
    def note(error: OSError) -> None:
        found.problems.append(f'{error.filename}: cannot read this folder ({error.strerror})')

    paths = []
    for name, folders, files in os.walk(folder, onerror=note):
        here = Path(name)
        for inner in sorted(folders):
            reason = reason_to_skip_folder(here / inner, out)
            if reason:
                found.left_out.append(f'{here / inner}: {reason}')
                folders.remove(inner)
        for file in sorted(files):
            reason = reason_to_skip_file(here / file)
            if reason:
                found.left_out.append(f'{here / file}: {reason}')
            else:
                paths.append(here / file)
    return sorted(paths)


def reason_to_skip_folder(path: Path, out: Path) -> str:
    """Return why a folder is not searched; empty if it is."""
    if path.is_symlink():
        return 'a link to a folder'
    if absolute(path) == absolute(out):
        return 'the folder of the results'
    if path.name.startswith('.'):
        return 'a hidden folder'
    return BAG_HINT if is_bag(path) else ''


def reason_to_skip_file(path: Path) -> str:
    """Return why a file of a folder is left out; empty for images, videos, and what is named so.

    A file with the suffix of an image or video whose content is something else is not left out:
    reading it gives an error.
    """
    if is_bag(path):
        return BAG_HINT
    if path.exists() and not path.is_file():
        return 'not a regular file'
    if looks_like_image(path) or looks_like_video(path):
        return ''
    return 'neither an image nor a video'


def looks_like_image(path: Path) -> bool:
    """Return whether a file has the content of an image, or at least the suffix of one."""
    from instseg_ros.media import is_image

    return is_image(path) or (mimetypes.guess_type(path.name)[0] or '').startswith('image/')


def looks_like_video(path: Path) -> bool:
    """Return whether a file has the suffix of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_bag(path: Path) -> bool:
    """Return whether a file has the suffix of a bag, or a folder holds a bag and its metadata."""
    if path.is_dir():
        return (path / 'metadata.yaml').is_file() and any(map(is_bag_file, path.iterdir()))
    return is_bag_file(path)


def is_bag_file(path: Path) -> bool:
    """Return whether a file has the suffix of a bag, compressed or not."""
    name = path.name.lower()
    return name.removesuffix('.zstd').endswith(BAG_SUFFIXES)
