"""The node's messages in a bag as `Segmentation`."""
from __future__ import annotations

from typing import Any, Iterator, Mapping

import numpy as np

from instseg_ros.bags.images import read_ids
from instseg_ros.bags.messages import COMPRESSED_IMAGE, DETECTIONS, IMAGE, LABEL_INFO, stamp_of
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import BagError, Topic
from instseg_ros.core.types import Instance, Segmentation

RESULT_TYPES = {'semantic_image': IMAGE, 'instance_image': IMAGE, 'instances': DETECTIONS}
"""Last part of the name of each topic that makes up the result for a frame, and its type."""

LABEL_INFO_NAME = 'label_info'


def read_class_names(bag: BagReader, name: str = '') -> dict[int, str]:
    """Return the names of the classes by id, from the first LabelInfo message.

    Parameters
    ----------
    bag : BagReader
    name : str
        Of the topic; not needed where only one has the type.

    Raises
    ------
    BagError
        There is no such topic.
    """
    topic = bag.topic_of_type(LABEL_INFO, name)
    for message in bag.read([topic]):
        return {entry.class_id: entry.class_name for entry in bag.parse(message).class_map}
    return {}


def read_results(bag: BagReader, prefix: str) -> Iterator[tuple[int, Segmentation]]:
    """Yield stamp (nanoseconds) and result of each frame whose messages are all there.

    Parameters
    ----------
    bag : BagReader
    prefix : str
        What the topics of the node begin with, for example `/segmenter/`; in a recording of
        several cameras, each has its own.

    Raises
    ------
    BagError
        The names of the classes are missing.
    """
    class_names = read_class_names(bag, prefix + LABEL_INFO_NAME)
    names = result_topics(bag, prefix)
    pending: dict[int, dict[str, Any]] = {}
    for message in bag.read(names):
        stamp = stamp_of(message.data)
        messages = pending.setdefault(stamp, {})
        messages[names[message.topic]] = bag.parse(message)
        if len(messages) == len(RESULT_TYPES):
            del pending[stamp]
            yield stamp, make_segmentation(messages, class_names)


def result_topics(bag: BagReader, prefix: str) -> dict[Topic, str]:
    """Return the topics in a bag that make up a result, with their names in `RESULT_TYPES`.

    A label image that is not there as it was published is there compressed, on the topic of
    image_transport.
    """
    topics = {}
    for name, kind in RESULT_TYPES.items():
        topic = Topic(prefix + name, kind)
        if kind == IMAGE and topic not in bag.topics:
            topic = Topic(f'{prefix}{name}/compressed', COMPRESSED_IMAGE)
        topics[topic] = name
    return topics


def make_segmentation(messages: Mapping[str, Any], class_names: Mapping[int, str]) -> Segmentation:
    """Return the result for one frame from its messages, named as in `RESULT_TYPES`."""
    instance_ids = read_ids(messages['instance_image'])
    areas = np.bincount(instance_ids.reshape(-1), minlength=1)
    return Segmentation(
        semantic_ids=read_ids(messages['semantic_image']), instance_ids=instance_ids,
        instances=tuple(make_instance(detection, areas, class_names)
                        for detection in messages['instances'].detections))


def make_instance(detection: Any, areas: np.ndarray, class_names: Mapping[int, str]) -> Instance:
    """Return the instance of a `vision_msgs/Detection2D`.

    Parameters
    ----------
    detection : vision_msgs/Detection2D
    areas : (N,) int
        Number of pixels of each instance id.
    class_names : dict of int to str

    Raises
    ------
    BagError
        Its class has no name.
    """
    best, box = detection.results[0], detection.bbox
    instance_id, class_id = int(detection.id), int(best.hypothesis.class_id)
    if class_id not in class_names:
        raise BagError(f'expected a name for class {class_id} of an object in {LABEL_INFO_NAME}, '
                       f'got {dict(class_names) or "none at all"}')
    middle, half_width, half_height = box.center.position, box.size_x / 2, box.size_y / 2
    center = best.pose.pose.position
    return Instance(
        instance_id=instance_id, class_id=class_id, class_name=class_names[class_id],
        score=best.hypothesis.score, center_yx=(center.y, center.x),
        box_xyxy=(round(middle.x - half_width), round(middle.y - half_height),
                  round(middle.x + half_width), round(middle.y + half_height)),
        area=int(areas[instance_id]) if instance_id < len(areas) else 0)
