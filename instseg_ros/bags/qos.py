"""Quality of service of topics, as recordings hold it: what a playback offers."""
from __future__ import annotations

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2.metadata import dump_qos_v8, parse_qos

from instseg_ros.bags.types import BagError

KEY = 'offered_qos_profiles'
"""Name of the field, in metadata, channels and tables alike."""

MAX_TEXT = 65536
"""Characters; `ros2 bag record` writes about 400 for each publisher."""

NO_PROFILES = ('', '[]')
"""What recordings without profiles have there."""

FOREVER = QosTime(9223372036, 854775807)
"""What rosbag2 writes for an infinite duration."""

LATCHED = Qos(history=QosHistory.KEEP_LAST, depth=1, reliability=QosReliability.RELIABLE,
              durability=QosDurability.TRANSIENT_LOCAL, deadline=FOREVER, lifespan=FOREVER,
              liveliness=QosLiveliness.AUTOMATIC, liveliness_lease_duration=FOREVER,
              avoid_ros_namespace_conventions=False)
"""A profile for playback in which later subscribers still receive the last message."""

LATCHED_TEXT = dump_qos_v8([LATCHED])


def read_qos(text: str) -> list[Qos]:
    """Return the profiles, one for each publisher, from their YAML in a recording.

    Raises
    ------
    BagError
        They make no sense.
    """
    try:
        if len(text) > MAX_TEXT:
            raise ValueError(f'{len(text)} characters')
        return parse_qos(text)
    except Exception as error:  # of many types: a damaged text may be any YAML
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise BagError(f'expected profiles of quality of service in YAML ({reason})') from error
