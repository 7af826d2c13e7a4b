"""Looks into the bags that `instseg segment-bag` writes."""
import json
from collections import Counter

from recorded_scene import STRING

from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import Topic


class Interruption(Exception):
    """Ends a run in the middle."""


def read(path):
    """Return all messages of a bag."""
    with BagReader(path) as bag:
        return list(bag.read(bag.topics))


def counts(path):
    """Return the number of messages of each topic by name."""
    return Counter(message.topic.name for message in read(path))


def settings_of(path):
    """Return the settings in a result."""
    with BagReader(path) as bag:
        message, = bag.read([Topic('/segmenter/settings', STRING)])
        return json.loads(bag.parse(message).data)
