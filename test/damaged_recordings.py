"""A sound recording, ways to damage it, and what the reader makes of the rest."""
from mcap.reader import make_reader
from recordings import frames

from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import BagError
from instseg_ros.limits import Limits

COUNT = 12
ALL = frames(range(COUNT))


def read(path, limits=Limits()):
    """Return (time, data) of all messages of all topics, what is damaged, and how many miss."""
    with BagReader(path, limits) as bag:
        messages = [(message.time, message.data) for message in bag.read(bag.topics)]
        return messages, list(bag.damage), bag.missing


def read_unless_refused(path):
    """Return what `read` returns, or None after an error that names the file."""
    try:
        return read(path)
    except BagError as error:
        assert str(path) in str(error)  # noqa: PT017 - it may also be read
        return None


def damaged(path, first, last, value=0):
    """Overwrite a range of bytes of a file."""
    data = bytearray(path.read_bytes())
    data[first:last] = bytes([value]) * (last - first)
    path.write_bytes(data)


def chunks(path):
    """Return the index of the chunks of a sound MCAP file."""
    with path.open('rb') as file:
        return make_reader(file).get_summary().chunk_indexes
