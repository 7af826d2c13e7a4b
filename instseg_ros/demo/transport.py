"""The surroundings in which both sides of the demo meet: alone, and with room for images."""
from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from instseg_ros.installed import FAST_DDS_PROFILE, fast_dds_variable, installed_file

PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')


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
        # By default Fast DDS has 512 KB of shared memory: two images in a row overwrite each other
        # there, which best effort never notices and reliable delivery repairs only every 3 s.
        values[fast_dds_variable()] = str(installed_file(FAST_DDS_PROFILE))
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
