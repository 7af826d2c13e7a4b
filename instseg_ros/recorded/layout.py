"""The topics of a result bag."""
from __future__ import annotations

import re
from types import MappingProxyType
from typing import Iterable, Iterator, Mapping, Sequence

from rosbags.interfaces import Qos

from instseg_ros.bags.bag import BagFolder
from instseg_ros.bags.messages import LABEL_INFO, typestore
from instseg_ros.bags.qos import LATCHED
from instseg_ros.bags.types import BagError, Message, Topic
from instseg_ros.core.types import ModelInfo
from instseg_ros.recorded.outputs import LAST, encode_label_info, output_types

PREFIX = '/segmenter/'
"""The topics of the node begin with it, if its name and namespace are not changed."""

SETTINGS_TOPIC = f'{PREFIX}settings'
STRING = 'std_msgs/msg/String'

Group = list[Message]
"""The messages about one image, or a single copied message."""


class Layout:
    """The topics of a result bag, and what belongs to which image topic.

    The outputs for a single image topic are called like the node's. With several, the name of the
    image topic comes between: `/segmenter/front/image_raw/instances`. Recordings may have names
    that ROS refuses; they are made legal there.

    Parameters
    ----------
    images : sequence of Topic
        Of the input.
    copied : sequence of Topic
        Of the input.
    info : ModelInfo
    labels : str
        One of `outputs.LABELS`.
    settings : str
        For the topic `SETTINGS_TOPIC`.
    definitions : dict of str to str
        Definitions in the input of the types of `copied`, by name; those that it lacks are
        taken from `messages.typestore`.
    qos : dict of Topic to sequence of Qos
        Of `copied`.
    confidence : bool
        Whether there is a topic for the confidence of the classes.

    Raises
    ------
    BagError
        Two topics of the result would have the same name.
    """

    def __init__(self, images: Sequence[Topic], copied: Sequence[Topic], info: ModelInfo,
                 labels: str, settings: str,
                 definitions: Mapping[str, str] = MappingProxyType({}),
                 qos: Mapping[Topic, Sequence[Qos]] = MappingProxyType({}), *,
                 confidence: bool = False) -> None:
        self.images, self.copied = tuple(images), tuple(copied)
        self.labels, self.settings, self._info = labels, settings, info
        self._definitions, self._qos = definitions, qos
        self.types = output_types(labels, confidence=confidence)
        alone = len(self.images) == 1
        self.prefixes = {topic: PREFIX if alone else f'{PREFIX}{legal_name(topic.name)}/'
                         for topic in self.images}
        self._owners = {prefix + name: topic for topic, prefix in self.prefixes.items()
                        for name in self.types}
        names = [*self._owners, *self._latched(), *(topic.name for topic in self.copied)]
        for name in names:
            if names.count(name) > 1:
                raise BagError(f'{name}: two topics of the result would have this name; choose '
                               'other topics of images, or copy fewer topics')

    def _latched(self) -> list[str]:
        return [SETTINGS_TOPIC, *(f'{prefix}label_info' for prefix in self.prefixes.values())]

    def declare(self, bag: BagFolder) -> None:
        """Declare all topics."""
        bag.add_topic(SETTINGS_TOPIC, STRING, qos=[LATCHED])
        for prefix in self.prefixes.values():
            bag.add_topic(f'{prefix}label_info', LABEL_INFO, qos=[LATCHED])
            for name, message_type in self.types.items():
                bag.add_topic(prefix + name, message_type)
        for topic in self.copied:
            bag.add_topic(topic.name, topic.type, qos=self._qos.get(topic, ()),
                          definition=self._definitions.get(topic.type, ''))

    def begin(self, bag: BagFolder, time: int) -> None:
        """Write what holds for the whole bag; `time` is in nanoseconds."""
        message = typestore().types[STRING](data=self.settings)
        bag.write_message(SETTINGS_TOPIC, time, message)
        for prefix in self.prefixes.values():
            bag.write(f'{prefix}label_info', time, encode_label_info(time, self._info))

    def groups(self, messages: Iterable[Message]) -> Iterator[tuple[Topic, Group]]:
        """Yield the topic of the input and the messages of each complete group of a result."""
        pending: dict[Topic, Group] = {}
        copied = {topic.name: topic for topic in self.copied}
        for message in messages:
            name = message.topic.name
            if name in copied:
                yield copied[name], [message]
            elif name in self._owners:
                owner = self._owners[name]
                pending.setdefault(owner, []).append(message)
                if name == self.prefixes[owner] + LAST:
                    yield owner, pending.pop(owner)


def legal_name(name: str) -> str:
    """Return a name that ROS accepts as part of a topic's name.

    Between slashes there are letters, digits and underscores, and no digit comes first.
    """
    tokens = re.sub(r'[^A-Za-z0-9_/]', '_', name).split('/')
    return '/'.join(f'_{token}' if token[0].isdigit() else token for token in tokens if token)
