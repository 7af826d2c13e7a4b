"""The messages of a bag that a job wants."""
from __future__ import annotations

from collections import Counter
from typing import Any, Iterator, Mapping

from rosbags.interfaces import Qos

from instseg_ros.bags.messages import NANOSECONDS, typestore
from instseg_ros.bags.qos import read_qos
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import BagError, Message, Topic
from instseg_ros.recorded.job import Job


def is_defined(message_type: str, bag: BagReader) -> bool:
    """Return whether the definition of a type is there, which a new bag needs."""
    return message_type in bag.definitions or message_type in typestore().fielddefs


class Selection:
    """The messages of a bag that a job wants, in order.

    Attributes
    ----------
    images, copied : list of Topic
    expected : int
        About how many images there are.
    qos : dict of Topic to list of Qos
        Of the copied topics.
    problems : list of str
        A sentence for each topic that can't be copied, or not with its quality of service.
    """

    def __init__(self, bag: BagReader, job: Job) -> None:
        self._bag, self._every = bag, job.every
        self.problems: list[str] = []
        self.images = bag.image_topics(job.topics)
        self.copied = self._topics_to_copy(job)
        self.qos = {topic: self._qos_of(topic) for topic in self.copied}
        self._start = bag.start + round(job.start * NANOSECONDS)
        length = round(job.duration * NANOSECONDS) or bag.end + 1 - self._start
        self._stop = self._start + length
        share = (min(self._stop, bag.end + 1) - self._start) / (bag.end + 1 - bag.start)
        count = sum(bag.counts.get(topic, 0) for topic in self.images)
        self.expected = max(0, round(count * share / self._every))

    def _topics_to_copy(self, job: Job) -> list[Topic]:
        if job.copy is None:
            return []
        others = [topic for topic in self._bag.topics if topic not in self.images]
        for name in job.copy:
            if all(topic.name != name for topic in others):
                raise BagError(f'{job.source}: expected a topic {name} to copy, got '
                               f'{", ".join(map(str, others)) or "no other topic"}')
        wanted = [topic for topic in others if not job.copy or topic.name in job.copy]
        undefined = [topic for topic in wanted if not is_defined(topic.type, self._bag)]
        self.problems += [f'{job.source}: {topic} is not copied, since the recording does not '
                          'hold the definition of its type' for topic in undefined]
        return [topic for topic in wanted if topic not in undefined]

    def _qos_of(self, topic: Topic) -> list[Qos]:
        try:
            return read_qos(self._bag.qos.get(topic, ''))
        except BagError as error:
            self.problems.append(f'{self._bag.path}: {topic} is copied without its quality of '
                                 f'service: {error}')
            return []

    @property
    def definitions(self) -> Mapping[str, str]:
        """Definitions of types in the bag, by name."""
        return self._bag.definitions

    def messages(self) -> Iterator[Message]:
        """Yield the messages of the topics, every so-manieth of the images."""
        seen: Counter[Topic] = Counter()
        for message in self._bag.read([*self.images, *self.copied], self._start, self._stop):
            if message.topic in self.images:
                seen[message.topic] += 1
                if (seen[message.topic] - 1) % self._every:
                    continue
            yield message

    def parse(self, message: Message) -> Any:
        """Return the object of a message."""
        return self._bag.parse(message)
