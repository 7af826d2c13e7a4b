"""Recordings of twelve frames for damaged bags, and the one rule for reading them."""
from recordings import SECOND, frame

from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import BagError

COUNT = 12
FRAMES = [(number * SECOND, frame(number, 6, 8)) for number in range(COUNT)]


def check_bag(path, exact):
    """Read all messages: they are those that were recorded, or damage is named.

    Parameters
    ----------
    path : Path
    exact : bool
        Whether the format has checksums, so that changed contents have to be found.
    """
    with BagReader(path) as bag:
        topics = bag.image_topics()
        messages = [(message.time, message.data) for message in bag.read(topics)]
        damage = list(bag.damage)
    if damage:
        raise BagError('; '.join(damage))
    assert len(messages) == COUNT, f'{len(messages)} of {COUNT} messages, and no word of it'
    if exact:
        assert messages == FRAMES, 'contents changed, and no word of it'
