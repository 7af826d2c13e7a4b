"""One line of `instances.jsonl`: the instances found in one frame."""
from __future__ import annotations

import json
from typing import Sequence

from instseg_ros.core.types import Instance


def frame_record(frame: int, source: str, instances: Sequence[Instance],
                 *, name: str | None = None, time: float | None = None) -> str:
    """Return the line (with its newline) about one frame.

    The line is one JSON object: `{"frame": 0, "source": "...", "instances": [{"id", "class_id",
    "class_name", "score", "box_xyxy", "center_yx", "area"}]}`, with `"name"` and `"time"` if they
    are given. Pixels are those of the image; the right and bottom edges of a box are exclusive.

    Parameters
    ----------
    frame : int
        Number of the frame in its source, from 0.
    source : str
        The file or topic that the frame comes from.
    instances : sequence of Instance
    name : str, optional
        What the label image of the frame is called, without its `.png`.
    time : float, optional
        When a video shows the frame, in seconds from its start.
    """
    known = {'time': None if time is None else round(time, 6), 'name': name}
    optional = {key: value for key, value in known.items() if value is not None}
    return json.dumps({'frame': frame, 'source': source, **optional, 'instances': [
        {'id': instance.instance_id, 'class_id': instance.class_id,
         'class_name': instance.class_name, 'score': round(instance.score, 4),
         'box_xyxy': list(instance.box_xyxy),
         'center_yx': [round(value, 2) for value in instance.center_yx],
         'area': instance.area} for instance in instances]}) + '\n'
