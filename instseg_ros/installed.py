"""The files that come with the package: in its sources, or where they were installed."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Mapping

DEFAULT_MODEL = Path('models', 'street.onnx')
FOXGLOVE_LAYOUT = Path('config', 'foxglove.json')
FAST_DDS_PROFILE = Path('config', 'fastdds.xml')

FAST_DDS_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE',
                      'FASTDDS_BUILTIN_TRANSPORTS')
"""Environment variables with which a user chooses the transports of Fast DDS."""


def installed_file(relative: Path) -> Path:
    """Return the path of a file: in the sources, or where colcon or pip installed it.

    Both put it into `share/instseg_ros` of the prefix below which they put the package, whether
    that is a virtual environment, a workspace, or the folder of `--user`, `--prefix` or
    `--target`.

    Parameters
    ----------
    relative : Path
        To the top of the sources.

    Raises
    ------
    FileNotFoundError
        It is in none of these places.
    """
    module = Path(__file__).absolute()
    above = [*module.parents, *module.resolve().parents]  # the package may be linked to
    for folder in [module.resolve().parents[1], *(up / 'share' / 'instseg_ros' for up in above)]:
        if (folder / relative).is_file():
            return folder / relative
    raise FileNotFoundError(f'{relative}: neither in the sources nor in share/instseg_ros of the '
                            f'prefix in which the package is installed ({module.parent})')


def default_model() -> Path:
    """Return the path of the street model.

    Raises
    ------
    FileNotFoundError
        It is not installed.
    """
    try:
        return installed_file(DEFAULT_MODEL)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'no model was given (--model, or the parameter model), and '
                                f'{error}') from error


def fast_dds_variable() -> str:
    """Return the environment variable from which Fast DDS of this distribution takes a profile.

    Fast DDS 2 knows only the older name, and Fast DDS 3 warns about it.
    """
    is_old = os.environ.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')
    return f'{"FASTRTPS" if is_old else "FASTDDS"}_DEFAULT_PROFILES_FILE'


def fast_dds_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variable that gives Fast DDS room for large images.

    By default Fast DDS has 512 KB of shared memory. Two images in a row overwrite each other
    there; best effort loses them, and reliable delivery repeats them only every 3 s.

    Parameters
    ----------
    environment : dict of str to str
        If it has one of `FAST_DDS_VARIABLES`, the user has chosen, and the result is empty.

    Raises
    ------
    FileNotFoundError
        The profile is not installed.
    """
    if any(environment.get(name) for name in FAST_DDS_VARIABLES):
        return {}
    return {fast_dds_variable(): str(installed_file(FAST_DDS_PROFILE))}
