"""`instseg segment-bag --copy`: other topics, as they are."""
import sqlite3
from contextlib import closing

import pytest
import yaml
from mcap.reader import make_reader
from recorded_scene import FRONT, NOTES, REAR, SECOND, STRING, raw, scene, text, write_camera
from recordings import write_db3, write_mcap, write_metadata
from result_bags import Interruption, counts, read
from rosbags.convert.converter import migrate_bytes
from rosbags.rosbag1 import Writer as Ros1Writer

from instseg_ros.bags.bag import BagFolder
from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import DETECTIONS, IMAGE, ros1_typestore, typestore
from instseg_ros.bags.qos import LATCHED, LATCHED_TEXT, read_qos
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import Topic


def test_topics_can_be_chosen_and_others_copied(segment, tmp_path):
    source = write_camera(tmp_path / 'two.mcap', rear=True, notes=True)
    _, result, _ = segment(source, '--topics', REAR, '--copy', NOTES)
    found = counts(result)
    assert found['/segmenter/instances'] == found[NOTES] == 6
    assert FRONT not in found and REAR not in found
    notes = [(message.time, message.data) for message in read(source)
             if message.topic.name == NOTES]
    assert [(message.time, message.data) for message in read(result)
            if message.topic.name == NOTES] == notes
    _, result, _ = segment(source, '--topics', REAR, '--copy', out='all.mcap')
    assert counts(result)[FRONT] == 6


@pytest.mark.parametrize(('write', 'name'), [(write_mcap, 'own.mcap'), (write_db3, 'own.db3')])
def test_messages_of_own_types_are_copied_with_the_definition_in_the_recording(
        segment, tmp_path, write, name, interrupt):
    kind, words = 'robot_msgs/msg/Wheel', 'float64 speed  # rad/s\nstring name'
    wheels = [(SECOND + number, bytes([0, 1, 0, 0, number] + [0] * 12)) for number in range(4)]
    images = [(SECOND + number, raw(number, number)) for number in range(4)]
    source = write(tmp_path / name, images,
                   others=[('/wheel', kind, 'cdr', wheels)], definitions={kind: words})
    undo = interrupt(4, Interruption())  # so that the result is joined from two parts
    with pytest.raises(Interruption):
        segment(source, '--copy')
    undo()
    code, result, errors = segment(source, '--copy')
    assert code == 0 and not errors
    assert [(message.time, message.data) for message in read(result)
            if message.topic == ('/wheel', kind)] == wheels
    with result.open('rb') as file:
        schemas = make_reader(file).get_summary().schemas.values()
    assert [(schema.encoding, schema.data.decode()) for schema in schemas
            if schema.name == kind] == [('ros2msg', words)]


@pytest.mark.parametrize('schema', [3, 4])
def test_a_topic_without_any_definition_of_its_type_is_named_and_not_copied(
        segment, tmp_path, schema):
    source = write_db3(tmp_path / 'own.db3', [(SECOND, raw(0, 0))], schema=schema,
                       others=[('/wheel', 'robot_msgs/msg/Wheel', 'cdr', [(SECOND, b'\0\1\0\0')])])
    code, result, errors = segment(source, '--copy')
    assert code == 1 and '/wheel (robot_msgs/msg/Wheel) is not copied' in errors[0]
    assert counts(result)['/segmenter/instances'] == 1


def note(time):
    """Return a note as (time, data)."""
    return time, text('here')


def latched_mcap(folder):
    """Write a bag whose channel is latched."""
    with BagFolder(folder / 'latched') as bag:
        bag.add_topic(FRONT, IMAGE)
        bag.write(FRONT, SECOND, raw(0, SECOND))
        bag.add_topic(NOTES, STRING, qos=[LATCHED])
        bag.write(NOTES, *note(SECOND))
    return bag.file


def latched_by_metadata(folder):
    """Write a bag of which only metadata.yaml says that a topic is latched."""
    write_mcap(folder / 'latched' / 'latched.mcap', [(SECOND, raw(0, SECOND))], topic=FRONT,
               others=[(NOTES, STRING, 'cdr', [note(SECOND)])])
    profiles = yaml.safe_load(LATCHED_TEXT)
    write_metadata(folder / 'latched', ['latched.mcap'], 2, topics_with_message_count=[
        {'topic_metadata': {'name': name, 'type': kind, 'serialization_format': 'cdr',
                            'offered_qos_profiles': qos}, 'message_count': 1}
        for name, kind, qos in ((FRONT, IMAGE, []), (NOTES, STRING, profiles))])
    return folder / 'latched'


def latched_db3(folder, qos=LATCHED_TEXT):
    """Write a bag whose table of topics has a profile as text, as Humble writes it."""
    path = write_db3(folder / 'latched.db3', [(SECOND, raw(0, SECOND))], topic=FRONT, schema=3,
                     others=[(NOTES, STRING, 'cdr', [note(SECOND)])])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute('UPDATE topics SET offered_qos_profiles = ? WHERE name = ?',
                         (qos, NOTES))
    return path


def latched_ros1(folder):
    """Write a bag of ROS 1 with a latched topic."""
    image, words = make_image(scene(0), SECOND, 'front'), 'here'
    with Ros1Writer(folder / 'latched.bag') as bag:
        for name, kind, fields, latching in (
                (FRONT, IMAGE, image, None),
                (NOTES, STRING, typestore().types[STRING](data=words), 1)):
            connection = bag.add_connection(name, kind, typestore=ros1_typestore(),
                                            latching=latching)
            message = typestore().serialize_cdr(fields, kind)
            ros1 = migrate_bytes(typestore(), ros1_typestore(), kind, kind, {}, message,
                                 src_is2=True, dst_is2=False)
            bag.write(connection, SECOND, bytes(ros1))
    return folder / 'latched.bag'


@pytest.mark.parametrize('write', [latched_mcap, latched_by_metadata, latched_db3, latched_ros1])
def test_a_copied_topic_keeps_its_quality_of_service(segment, tmp_path, write, interrupt):
    source = write(tmp_path)
    undo = interrupt(1, Interruption())  # so that the result is joined from two parts
    with pytest.raises(Interruption):
        segment(source, '--copy')
    undo()
    code, result, errors = segment(source, '--copy')
    assert code == 0 and not errors
    with BagReader(result) as bag:
        assert read_qos(bag.qos[Topic(NOTES, STRING)]) == [LATCHED]
        assert Topic('/segmenter/instances', DETECTIONS) not in bag.qos
    assert [message.data for message in read(result) if message.topic.name == NOTES] == [
        text('here')]


@pytest.mark.parametrize('qos', ['history: [', '- {depth: 3}', '7', 'x' * 70000])
def test_unreadable_quality_of_service_is_named_and_costs_no_message(segment, tmp_path, qos):
    code, result, errors = segment(latched_db3(tmp_path, qos), '--copy')
    assert code == 1 and 'copied without its quality of service' in errors[0]
    assert counts(result)[NOTES] == 1
