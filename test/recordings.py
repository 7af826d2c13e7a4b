"""Recordings of any kind, written for tests: each frame's pixels are its number."""
import sqlite3

import numpy as np
import yaml
from mcap.writer import CompressionType, IndexType, Writer

from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import IMAGE, typestore

SECOND = 10 ** 9
CAMERA = '/camera/image_raw'
INDEXED = IndexType.ALL


def frame(number, height=4, width=6):
    """Return a serialized image with a number as its pixels, stamped with as many seconds."""
    image = make_image(np.full((height, width), number % 256, np.uint8), number * SECOND, 'camera')
    return bytes(typestore().serialize_cdr(image, IMAGE))


def frames(numbers):
    """Return (time, data) of frames that are a second apart."""
    return [(number * SECOND, frame(number)) for number in numbers]


def write_mcap(path, messages, *, topic=CAMERA, kind=IMAGE, encoding='cdr', others=(),
               definitions=(), **options):
    """Write (time, data) as MCAP; `others` are (topic, type, encoding, messages) beside them.

    `definitions` are those of types by name, as text; the others are left empty.
    `options` are those of `mcap.writer.Writer`. A chunk holds two frames unless it says otherwise.
    """
    options = {'chunk_size': 350, 'compression': CompressionType.ZSTD, **options}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('wb') as file:
        writer = Writer(file, **options)
        writer.start('ros2')
        entries = []
        for name, type_name, message_encoding, content in [(topic, kind, encoding, messages),
                                                           *others]:
            schema = writer.register_schema(type_name, 'ros2msg',
                                            dict(definitions).get(type_name, '').encode())
            channel = writer.register_channel(name, message_encoding, schema)
            entries += [(channel, time, data) for time, data in content]
        for channel, time, data in entries:
            writer.add_message(channel, time, data, time)
        writer.finish()
    return path


def write_db3(path, messages, *, topic=CAMERA, kind=IMAGE, encoding='cdr', schema=4, others=(),
              definitions=()):
    """Write (time, data) as the SQLite3 file of a distribution.

    `schema` is 1 for Foxy and before, 3 for Humble, 4 for Iron and later. `others` are (topic,
    type, encoding, messages) beside them; `definitions` are those of types by name, as text.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path)
    more = {1: [], 3: ['offered_qos_profiles'],
            4: ['offered_qos_profiles', 'type_description_hash']}[schema]
    columns = ''.join(f', {name} TEXT NOT NULL' for name in more)
    if schema >= 3:
        database.execute('CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, '
                         'ros_distro TEXT NOT NULL)')
        database.execute('INSERT INTO schema VALUES (?, ?)', (schema, 'any'))
    database.execute('CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, '
                     f'type TEXT NOT NULL, serialization_format TEXT NOT NULL{columns})')
    database.execute('CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, '
                     'timestamp INTEGER NOT NULL, data BLOB NOT NULL)')
    database.execute('CREATE INDEX timestamp_idx ON messages (timestamp ASC)')
    if schema >= 4:
        database.execute('CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type '
                         'TEXT NOT NULL, encoding TEXT NOT NULL, encoded_message_definition TEXT '
                         'NOT NULL, type_description_hash TEXT NOT NULL)')
        database.executemany('INSERT INTO message_definitions(topic_type, encoding, '
                             'encoded_message_definition, type_description_hash) VALUES '
                             "(?, 'ros2msg', ?, '')", dict(definitions).items())
    for number, (name, type_name, message_encoding, content) in enumerate(
            [(topic, kind, encoding, messages), *others], 1):
        database.execute(f'INSERT INTO topics VALUES (?, ?, ?, ?{", ?" * len(more)})',
                         (number, name, type_name, message_encoding, *[''] * len(more)))
        database.executemany('INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)',
                             [(number, *message) for message in content])
    database.commit()
    database.close()
    return path


def write_metadata(folder, files, count, *, topic=CAMERA, kind=IMAGE, **changes):
    """Write the metadata.yaml of a recording of one topic."""
    content = {'version': 9, 'storage_identifier': 'mcap', 'relative_file_paths': list(files),
               'duration': {'nanoseconds': 1}, 'starting_time': {'nanoseconds_since_epoch': 1},
               'message_count': count, 'topics_with_message_count': [
                   {'topic_metadata': {'name': topic, 'type': kind, 'serialization_format': 'cdr',
                                       'offered_qos_profiles': []}, 'message_count': count}],
               'compression_format': '', 'compression_mode': '', **changes}
    (folder / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': content}))
