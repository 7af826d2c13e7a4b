"""Recordings of every kind come back whole and by time."""
import random
import sqlite3
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from recordings import (
    CAMERA,
    SECOND,
    frame,
    frames,
    write_db3,
    write_mcap,
    write_metadata,
)
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer

from instseg_ros.bags.compression import zstd
from instseg_ros.bags.messages import COMPRESSED_IMAGE, IMAGE, ros1_typestore, typestore
from instseg_ros.bags.qos import FOREVER
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import BagError


def read(path):
    """Return times in seconds and pixels of all images; fails if anything is missing."""
    with BagReader(path) as bag:
        messages = [(message.time / SECOND, int(bag.parse(message).data[0]))
                    for message in bag.read(bag.image_topics())]
        assert (bag.damage, bag.missing) == ([], 0)
        assert sum(bag.counts[topic] for topic in bag.image_topics()) == len(messages)
        times = [time for time, _ in messages]
        assert (bag.start / SECOND, bag.end / SECOND) == (min(times), max(times))
    return messages


def numbered(numbers):
    """Return what `read` returns for sound frames, in the order of their times."""
    return [(number, number) for number in numbers]


MCAP_OPTIONS = [
    {'compression': CompressionType.LZ4}, {'compression': CompressionType.ZSTD},
    {'compression': CompressionType.NONE}, {'use_chunking': False},
    {'use_statistics': False}, {'index_types': IndexType.NONE},
    {'use_chunking': False, 'use_statistics': False, 'index_types': IndexType.NONE},
    {'index_types': IndexType.NONE, 'use_statistics': False, 'use_summary_offsets': False,
     'repeat_channels': False, 'repeat_schemas': False},
    {'enable_crcs': False}, {'chunk_size': 1}, {'chunk_size': 10 ** 6}]


@pytest.mark.parametrize('options', MCAP_OPTIONS)
@pytest.mark.parametrize('order', ['sorted', 'backward', 'shuffled'])
def test_mcap_of_any_kind(tmp_path, options, order):
    messages = frames(range(1, 12))
    if order == 'backward':
        messages.reverse()
    elif order == 'shuffled':
        random.Random(3).shuffle(messages)
    assert read(write_mcap(tmp_path / 'a.mcap', messages, **options)) == numbered(range(1, 12))


@settings(deadline=None, max_examples=60)
@given(times=st.lists(st.integers(0, 30), min_size=1, max_size=25),
       options=st.sampled_from(MCAP_OPTIONS), size=st.integers(1, 1500))
def test_messages_come_by_time_and_equal_times_as_they_were_written(
        tmp_path_factory, times, options, size):
    path = tmp_path_factory.mktemp('bag') / 'a.mcap'
    messages = [(time * SECOND, frame(number)) for number, time in enumerate(times)]
    write_mcap(path, messages, **{'chunk_size': size, **options})
    expected = sorted(enumerate(times), key=lambda item: (item[1], item[0]))
    found = read(path)
    assert [time for time, _ in found] == sorted(times)
    if not options.get('use_chunking', True):
        assert found == [(time, number) for number, time in expected]
    assert sorted(number for _, number in found) == list(range(len(times)))


@pytest.mark.parametrize('schema', [1, 3, 4])
@pytest.mark.parametrize('index', [True, False])
def test_sqlite_of_every_distribution(tmp_path, schema, index):
    path = write_db3(tmp_path / 'a.db3', frames([3, 1, 2]), schema=schema)
    if not index:
        with sqlite3.connect(path) as database:
            database.execute('DROP INDEX timestamp_idx')
    assert read(path) == numbered([1, 2, 3])


@pytest.mark.parametrize('plugin', StoragePlugin)
@pytest.mark.parametrize('version', [8, 9])
@pytest.mark.parametrize('mode', CompressionMode)
def test_folders_of_ros2_bag_record(tmp_path, plugin, version, mode):
    if (plugin, mode) == (StoragePlugin.SQLITE3, CompressionMode.STORAGE):
        pytest.skip('no such recording: SQLite3 compresses nothing')
    writer = Ros2Writer(tmp_path / 'bag', version=version, storage_plugin=plugin)
    if mode is not CompressionMode.NONE:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        camera = writer.add_connection(CAMERA, IMAGE, typestore=typestore())
        for time, data in frames([1, 2, 3]):
            writer.write(camera, time, data)
    assert read(tmp_path / 'bag') == numbered([1, 2, 3])
    (tmp_path / 'bag' / 'metadata.yaml').unlink()
    assert read(tmp_path / 'bag') == numbered([1, 2, 3])


@pytest.mark.parametrize('write, suffix', [(write_mcap, '.mcap'), (write_db3, '.db3')])
@pytest.mark.parametrize('listed', ['all', 'backward', 'none', 'wrong names', 'nonsense'])
def test_splits_are_read_by_time_whatever_the_metadata_say(tmp_path, write, suffix, listed):
    names = [f'bag_{number}{suffix}' for number in (0, 1, 10, 2)]
    for name, numbers in zip(names, ([9, 10], [1, 2, 5], [6, 8], [3, 4, 7])):
        write(tmp_path / name, frames(numbers))
    if listed == 'nonsense':
        (tmp_path / 'metadata.yaml').write_text('rosbag2_bagfile_information: [1, 2')
    elif listed != 'none':
        files = {'all': names, 'backward': names[::-1], 'wrong names': names[:1]}[listed]
        write_metadata(tmp_path, [f'old/{name}' for name in files], 10, storage_identifier='')
    assert read(tmp_path) == numbered(range(1, 11))
    with BagReader(tmp_path) as bag:
        assert bool(bag.remarks) == (listed in ('wrong names', 'nonsense'))


def test_qos_that_differs_from_the_metadata_costs_no_message(tmp_path):
    """Which the library `rosbags` leaves out without a word."""
    def qos(depth):
        return Qos(history=QosHistory.KEEP_LAST, depth=depth, deadline=FOREVER, lifespan=FOREVER,
                   reliability=QosReliability.BEST_EFFORT, durability=QosDurability.VOLATILE,
                   liveliness=QosLiveliness.AUTOMATIC, liveliness_lease_duration=FOREVER,
                   avoid_ros_namespace_conventions=False)

    for number, depth in ((0, 5), (1, 10)):
        with Ros2Writer(tmp_path / f'bag_{number}', version=9,
                        storage_plugin=StoragePlugin.SQLITE3) as writer:
            camera = writer.add_connection(CAMERA, IMAGE, typestore=typestore(),
                                           offered_qos_profiles=[qos(depth)])
            for time, data in frames(range(3 * number, 3 * number + 3)):
                writer.write(camera, time, data)
    folder = tmp_path / 'bag_0'
    (tmp_path / 'bag_1' / 'bag_1.db3').rename(folder / 'bag_1.db3')
    text = (folder / 'metadata.yaml').read_text()
    (folder / 'metadata.yaml').write_text(text.replace('message_count: 3', 'message_count: 6'))
    assert read(folder) == numbered(range(6))


@pytest.mark.parametrize('write, suffix', [(write_mcap, '.mcap'), (write_db3, '.db3')])
@pytest.mark.parametrize('kind', ['folder', 'file'])
def test_files_that_are_compressed_as_a_whole(tmp_path, write, suffix, kind):
    path = write(tmp_path / 'bag' / f'bag_0{suffix}', frames([1, 2, 3]))
    packed = path.with_name(f'{path.name}.zstd')
    packed.write_bytes(zstd.compress(path.read_bytes()))
    path.unlink()
    write_metadata(tmp_path / 'bag', [path.name], 3, compression_format='zstd',
                   compression_mode='FILE')
    assert read(tmp_path / 'bag' if kind == 'folder' else packed) == numbered([1, 2, 3])


def test_a_file_that_was_being_compressed_is_read_once(tmp_path):
    path = write_mcap(tmp_path / 'bag_0.mcap', frames([1, 2]))
    path.with_name('bag_0.mcap.zstd').write_bytes(zstd.compress(path.read_bytes())[:50])
    assert read(tmp_path) == numbered([1, 2])


def test_messages_that_are_compressed_by_themselves_need_no_metadata(tmp_path):
    packed = [(time, zstd.compress(data)) for time, data in frames([1, 2])]
    assert read(write_db3(tmp_path / 'a.db3', packed)) == numbered([1, 2])


@pytest.mark.parametrize('compression', [None, *Ros1Writer.CompressionFormat])
def test_bags_of_ros_1(tmp_path, compression):
    writer = Ros1Writer(tmp_path / 'old.bag')
    if compression:
        writer.set_compression(compression)
    types = ros1_typestore().types
    with writer:
        camera = writer.add_connection(CAMERA, IMAGE, typestore=ros1_typestore())
        text = writer.add_connection('/text', 'std_msgs/msg/String', typestore=ros1_typestore())
        for number in (1, 2, 3):
            header = types['std_msgs/msg/Header'](
                seq=number, frame_id='camera', stamp=types['builtin_interfaces/msg/Time'](
                    sec=number, nanosec=5))
            image = types[IMAGE](header=header, height=2, width=3, encoding='mono8', step=3,
                                 is_bigendian=0, data=np.full(6, number, np.uint8))
            writer.write(camera, number * SECOND, ros1_typestore().serialize_ros1(image, IMAGE))
        writer.write(text, SECOND, ros1_typestore().serialize_ros1(
            types['std_msgs/msg/String']('hello'), 'std_msgs/msg/String'))
    assert read(tmp_path / 'old.bag') == numbered([1, 2, 3])
    with BagReader(tmp_path / 'old.bag') as bag:
        first = bag.parse(next(bag.read(bag.image_topics())))
        assert (first.header.stamp.nanosec, first.header.frame_id) == (5, 'camera')
        hello, = bag.read([bag.topic_of_type('std_msgs/msg/String')])
        assert bag.parse(hello).data == 'hello'


def test_messages_of_ros_1_in_mcap(tmp_path):
    image = typestore().deserialize_cdr(frame(7), IMAGE)
    data = image.header.frame_id.encode()
    data = (b'\0' * 4 + (7).to_bytes(4, 'little') + bytes(4) + len(data).to_bytes(4, 'little')
            + data + (4).to_bytes(4, 'little') + (6).to_bytes(4, 'little')
            + (5).to_bytes(4, 'little') + b'mono8' + b'\0' + (6).to_bytes(4, 'little')
            + (24).to_bytes(4, 'little') + bytes([7]) * 24)
    path = write_mcap(tmp_path / 'a.mcap', [(7 * SECOND, data)], kind='sensor_msgs/Image',
                      encoding='ros1')
    assert read(path) == numbered([7])


def test_foreign_channels_are_left_alone_and_listed(tmp_path):
    path = write_mcap(
        tmp_path / 'a.mcap', frames([1, 2]),
        others=[('/boxes', 'foxglove.SceneUpdate', 'protobuf', [(SECOND, b'\x0a\x03')]),
                ('/state', '', 'json', [(SECOND, b'{}')])])
    assert read(path) == numbered([1, 2])
    with BagReader(path) as bag:
        assert [topic.name for topic in bag.topics] == [CAMERA]
        assert [str(topic) for topic in bag.foreign] == [
            '/boxes (foxglove.SceneUpdate, protobuf)', '/state (no type, json)']


def test_two_types_on_one_name_are_told_apart(tmp_path):
    path = write_mcap(tmp_path / 'a.mcap', frames([1, 2]), others=[
        (CAMERA, 'std_msgs/msg/String', 'cdr', [(SECOND, b'\0\1\0\0\1\0\0\0\0')] * 3)])
    assert read(path) == numbered([1, 2])
    with BagReader(path) as bag:
        assert bag.counts == {(CAMERA, IMAGE): 2, (CAMERA, 'std_msgs/msg/String'): 3}
        assert bag.topic_of_type(IMAGE, CAMERA).type == IMAGE
        assert len(list(bag.read(bag.topics))) == 5


@pytest.mark.parametrize('name', ['/2d/image', '/camera/image-raw', '/a b/ü'])
def test_names_of_topics_that_ros_would_not_allow(tmp_path, name):
    assert read(write_mcap(tmp_path / 'a.mcap', frames([1]), topic=name)) == numbered([1])
    with BagReader(tmp_path / 'a.mcap') as bag:
        assert bag.image_topics([name])[0].name == name


def test_a_range_of_times(tmp_path):
    write_mcap(tmp_path / 'bag_0.mcap', frames(range(5)))
    write_mcap(tmp_path / 'bag_1.mcap', frames(range(5, 9)), use_chunking=False)
    write_db3(tmp_path / 'bag_2.db3', frames(range(9, 12)))
    with BagReader(tmp_path) as bag:
        found = bag.read(bag.topics, 3 * SECOND, 10 * SECOND)
        assert [message.time // SECOND for message in found] == list(range(3, 10))
        assert (bag.damage, bag.missing) == ([], 0)


class TestTopics:

    def test_images_are_found_raw_and_compressed_but_no_outputs_of_the_node(self, tmp_path):
        path = write_mcap(tmp_path / 'a.mcap', frames([1]), others=[
            ('/front/compressed', COMPRESSED_IMAGE, 'cdr', []),
            ('/front/overlay', IMAGE, 'cdr', []),
            ('/scan', 'sensor_msgs/msg/LaserScan', 'cdr', []),
            ('/segmenter/semantic_image', IMAGE, 'cdr', []),
            ('/segmenter/overlay/compressed', COMPRESSED_IMAGE, 'cdr', []),
            ('/segmenter/label_info', 'vision_msgs/msg/LabelInfo', 'cdr', [])])
        with BagReader(path) as bag:
            assert [topic.name for topic in bag.image_topics()] == [
                CAMERA, '/front/compressed', '/front/overlay']
            assert [topic.name for topic in bag.image_topics(['/front/compressed'])] == [
                '/front/compressed']
            with pytest.raises(BagError, match='/segmenter/overlay/compressed is an output of'):
                bag.image_topics(['/segmenter/overlay/compressed'])
            with pytest.raises(BagError, match=r'expected a topic /scan of images, got .*'
                                               r'/scan \(sensor_msgs/msg/LaserScan\)'):
                bag.image_topics(['/scan'])

    def test_without_images_all_that_is_there_is_listed(self, tmp_path):
        path = write_mcap(tmp_path / 'a.mcap', [], kind='std_msgs/msg/String', others=[
            ('/boxes', 'foxglove.SceneUpdate', 'protobuf', [])])
        with BagReader(path) as bag:
            with pytest.raises(BagError, match=rf'got {CAMERA} \(std_msgs/msg/String\), '
                                               r'/boxes \(foxglove.SceneUpdate, protobuf\)'):
                bag.image_topics()

    def test_an_empty_bag_has_no_topic(self, tmp_path):
        (tmp_path / 'a.mcap').write_bytes(write_mcap(tmp_path / 'b.mcap', []).read_bytes())
        with BagReader(tmp_path / 'a.mcap') as bag:
            assert list(bag.read(bag.topics)) == []
            assert (bag.start, bag.end, bag.damage) == (0, 0, [])
        writer = McapWriter(str(tmp_path / 'c.mcap'))
        writer.start()
        writer.finish()
        with BagReader(tmp_path / 'c.mcap') as bag:
            with pytest.raises(BagError, match='got no topic at all'):
                bag.image_topics()

    def test_the_topic_of_a_type_is_found(self, tmp_path):
        path = write_mcap(tmp_path / 'a.mcap', frames([1]), topic='/left')
        with BagReader(path) as bag:
            assert bag.topic_of_type(IMAGE) == ('/left', IMAGE)
            assert bag.topic_of_type(IMAGE, '/left') == ('/left', IMAGE)
            with pytest.raises(BagError, match='a topic /rear of type sensor_msgs.*got /left'):
                bag.topic_of_type(IMAGE, '/rear')
            with pytest.raises(BagError, match='one topic of type std_msgs/msg/String, got none'):
                bag.topic_of_type('std_msgs/msg/String')
        write_mcap(path, frames([1]), topic='/left', others=[('/right', IMAGE, 'cdr', [])])
        with BagReader(path) as bag:
            with pytest.raises(BagError, match='expected one topic .* got /left, /right'):
                bag.topic_of_type(IMAGE)


@pytest.mark.parametrize('write, suffix, options', [
    (write_mcap, '.mcap', {'chunk_size': 10 ** 6}), (write_mcap, '.mcap', {'use_chunking': False}),
    (write_db3, '.db3', {})])
def test_memory_does_not_grow_with_the_length(tmp_path, write, suffix, options):
    """Even in a file that is out of order throughout."""
    def peak(count):
        messages = [(number * SECOND, frame(number, 100, 1000)) for number in range(count)]
        random.Random(1).shuffle(messages)
        path = write(tmp_path / f'{count}{suffix}', messages, **options)
        del messages
        tracemalloc.start()
        with BagReader(path) as bag:
            assert sum(1 for _ in bag.read(bag.topics)) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)  # what is loaded once
    assert peak(400) < peak(100) + 10 ** 6
