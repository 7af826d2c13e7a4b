"""The surroundings in which both sides of the demo meet: alone, and with room for images."""
from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from ament_index_python.packages import get_package_share_directory

from instseg_ros.media import check_file

PROFILE = Path('config', 'fastdds.xml')
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
"""Fast DDS 3 reads the first and warns about the second, which is that of Fast DDS 2."""

FAST_DDS_2_DISTROS = ('humble', 'iron', 'jazzy')


def fast_dds_profile() -> Path:
    """Return the path of the profile for large images, in the source tree or installed.

    By default Fast DDS has 512 KB of shared memory: two images in a row overwrite each other
    there, which best effort never notices and reliable delivery repairs only every 3 s.
    """
    source = Path(__file__).resolve().parents[2] / PROFILE
    if source.is_file():
        return source
    return check_file(Path(get_package_share_directory('instseg_ros')) / PROFILE)


@contextmanager
def isolated(domain: int, folder: Path) -> Iterator[None]:
    """Set this process's environment, which a child inherits, for a ROS graph of its own.

    Parameters
    ----------
    domain : int
        ROS_DOMAIN_ID.
    folder : Path
        For the log files of ROS.

    A Fast DDS profile that the user has set stays.
    """
    values = {'ROS_DOMAIN_ID': str(domain), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
              'ROS_LOG_DIR': str(folder)}
    if not any(os.environ.get(name) for name in PROFILE_VARIABLES):
        is_old = os.environ.get('ROS_DISTRO') in FAST_DDS_2_DISTROS
        values[PROFILE_VARIABLES[is_old]] = str(fast_dds_profile())
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
