"""From the paths that a person gives to sections."""
from __future__ import annotations

from pathlib import Path
from typing import Iterator

from instseg_ros.reports.folder_frames import RECORDS, folder_sections
from instseg_ros.reports.frames import Section

INPUT_OF_DEMO = 'camera.mcap'
"""What `instseg demo` leaves beside its results: the images alone."""


def open_results(path: Path, tracked: bool = False) -> Iterator[Section]:
    """Yield the sections of a bag, of a folder of `instseg segment`, or of a folder of bags.

    A bag of several without results is a section with a problem.

    Parameters
    ----------
    path : Path
    tracked : bool
        The ids are stable, although the results don't say so.

    Raises
    ------
    OSError, ValueError
        There are no results.
    """
    if not path.exists():
        raise FileNotFoundError(f'{path}: no such file or folder')
    from instseg_ros.recorded.finding import find_bags, is_bag

    if path.is_dir() and not is_bag(path):
        results = path / 'result.mcap'
        if (path / INPUT_OF_DEMO).exists() and results.exists():
            path = results  # of a demo, whose records have no label images
        elif (path / RECORDS).is_file():
            yield from folder_sections(path, tracked)
            return
    from instseg_ros.reports.bag_frames import bag_sections

    bags = [bag for bag, _ in find_bags([str(path)])]
    for bag in bags:
        try:
            yield from bag_sections(bag, tracked)
        except (OSError, ValueError) as error:
            if len(bags) == 1:
                raise
            yield Section(str(bag), lambda _: iter(()), problems=[str(error)])
