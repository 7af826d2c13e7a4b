"""The files that come with the package: in its sources, or where they were installed."""
from __future__ import annotations

import os
import sys
from pathlib import Path

DEFAULT_MODEL = Path('models', 'street.onnx')
FAST_DDS_PROFILE = Path('config', 'fastdds.xml')


def installed_file(relative: Path) -> Path:
    """Return the path of a file: in the sources, or where ROS 2 or pip installed it.

    Parameters
    ----------
    relative : Path
        To the top of the sources.

    Raises
    ------
    FileNotFoundError
        It is in none of these places.
    """
    prefixes = [*filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)),
                sys.prefix]
    folders = [Path(__file__).resolve().parents[1],
               *(Path(prefix, 'share', 'instseg_ros') for prefix in prefixes)]
    for folder in folders:
        if (folder / relative).is_file():
            return folder / relative
    raise FileNotFoundError(f'{relative}: it is neither in the sources nor installed for ROS 2 or '
                            'Python (is the workspace sourced?)')


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
