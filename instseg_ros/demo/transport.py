"""The surroundings in which both sides of the demo meet: alone, and with room for images."""
from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')

FAST_DDS_PROFILE = """\
<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns="http://www.eprosima.com">
  <profiles>
    <transport_descriptors>
      <transport_descriptor>
        <transport_id>shared_memory</transport_id>
        <type>SHM</type>
        <segment_size>33554432</segment_size>
      </transport_descriptor>
      <transport_descriptor>
        <transport_id>udp</transport_id>
        <type>UDPv4</type>
      </transport_descriptor>
    </transport_descriptors>
    <participant profile_name="large_images" is_default_profile="true">
      <rtps>
        <userTransports>
          <transport_id>shared_memory</transport_id>
          <transport_id>udp</transport_id>
        </userTransports>
        <useBuiltinTransports>false</useBuiltinTransports>
      </rtps>
    </participant>
  </profiles>
</dds>
"""
"""Fast DDS with 32 MB of shared memory. By default it has 512 KB: two images in a row overwrite
each other there, which best effort never notices and reliable delivery repairs only every 3 s."""


@contextmanager
def isolated(domain: int, folder: Path) -> Iterator[None]:
    """Set this process's environment, which a child inherits, for a ROS graph of its own.

    Parameters
    ----------
    domain : int
        ROS_DOMAIN_ID.
    folder : Path
        For the Fast DDS profile and the log files of ROS. A profile that the user has set stays.
    """
    values = {'ROS_DOMAIN_ID': str(domain), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
              'ROS_LOG_DIR': str(folder)}
    if not any(os.environ.get(name) for name in PROFILE_VARIABLES):
        profile = folder / 'fastdds.xml'
        profile.write_text(FAST_DDS_PROFILE, 'utf-8')
        values[PROFILE_VARIABLES[0]] = str(profile)
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
