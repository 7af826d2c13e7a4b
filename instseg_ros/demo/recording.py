"""A video as a bag of compressed images, as a camera driver would record it."""
from __future__ import annotations

from pathlib import Path
from typing import Callable

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.messages import (
    COMPRESSED_IMAGE,
    MESSAGE_TYPES,
    NANOSECONDS,
    make_header,
)
from instseg_ros.bags.types import Topic
from instseg_ros.media import VideoReader
from instseg_ros.messages.images import jpeg_message

VIDEO_TOPIC = Topic('/camera/image_raw/compressed', COMPRESSED_IMAGE)
FRAME_ID = 'camera'

QUALITY = 95
"""Of the JPEG images, in percent: a video was compressed harder before."""


def record_video(video: VideoReader, path: Path, *, start: int, on_frame: Callable[[], object]
                 ) -> None:
    """Write a video as a bag of `sensor_msgs/CompressedImage`, with the times of its frames.

    Parameters
    ----------
    video : VideoReader
        Read to its end.
    path : path
        The bag, ending in .mcap.
    start : int
        Stamp of the first frame, in nanoseconds.
    on_frame : callable
        Called after each frame, for a progress bar.
    """
    with BagWriter(path) as bag:
        bag.add_topic(*VIDEO_TOPIC)
        for frame in video:
            stamp = start + round(video.time * NANOSECONDS)
            message = jpeg_message(MESSAGE_TYPES, make_header(stamp, FRAME_ID), frame, QUALITY)
            bag.write_message(VIDEO_TOPIC.name, stamp, message)
            on_frame()
