"""Recordings of twelve frames for damaged bags, and the one rule for reading them."""
import tempfile
from functools import lru_cache
from pathlib import Path

from recordings import SECOND, frame, write_metadata

from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import BagError

COUNT = 12
FRAMES = [(number * SECOND, frame(number, 6, 8)) for number in range(COUNT)]


@lru_cache
def sound_bytes(write, *arguments):
    """Return what `write(path, *arguments)` puts into a file, from the second call on kept."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'sound'
        write(path, *arguments)
        return path.read_bytes()


def put_metadata(folder, name, storage):
    """Write the metadata of a recording of one file."""
    content = sound_bytes(_write_metadata, name, storage)
    (folder / 'metadata.yaml').write_bytes(content)


def _write_metadata(path, name, storage):
    write_metadata(path.parent, [name], COUNT, storage_identifier=storage)
    (path.parent / 'metadata.yaml').rename(path)


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
