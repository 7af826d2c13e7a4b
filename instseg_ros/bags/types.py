"""What every reader of recordings gives: topics, messages, damage."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterable, Iterator, NamedTuple, Protocol


class BagError(ValueError):
    """A file is not a bag, is damaged, or lacks the requested topic."""


class Topic(NamedTuple):
    """A topic, and the type of its messages: two types on one name are two topics."""

    name: str
    type: str

    def __str__(self) -> str:
        return f'{self.name} ({self.type})'


class Message(NamedTuple):
    """A serialized message.

    Attributes
    ----------
    topic : Topic
    time : int
        When it was recorded, in nanoseconds.
    data : bytes
        CDR, uncompressed.
    """

    topic: Topic
    time: int
    data: bytes


@dataclass
class Damage:
    """What could not be read.

    Attributes
    ----------
    notes : list of str
        A sentence for each place.
    """

    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a sentence, once."""
        if text not in self.notes:
            self.notes.append(text)


class BagFile(Protocol):
    """One file of a recording.

    Attributes
    ----------
    counts : dict of Topic to int
        Number of messages of each topic, as far as the file says; all its topics are there.
    start, end : int
        Times of the first and last message, in nanoseconds; 0 if there is none.
    foreign : list of Topic
        Channels of another encoding (protobuf, JSON); their type is for messages to people only.
    definitions : dict of str to str
        Definition of each type, in the MSG or IDL language, as far as the file has them.
    qos : dict of Topic to str
        Quality of service, see `instseg_ros.bags.qos`, as far as the file has it.
    """

    counts: dict[Topic, int]
    start: int
    end: int
    foreign: list[Topic]
    definitions: dict[str, str]
    qos: dict[Topic, str]

    def read(self, topics: Iterable[Topic], start: int, stop: int) -> Iterator[Message]:
        """Yield messages with start <= time < stop in the order of their times."""
