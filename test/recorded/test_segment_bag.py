"""`instseg segment-bag` on one bag: what it writes, refuses, survives and resumes."""
import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from mcap.reader import make_reader
from recorded_scene import FRONT, NOTES, REAR, SECOND, STRING, raw, scene, write_camera
from recordings import write_db3, write_mcap
from tiny_models import paint_scene, rectangles, tiny_info, write_tiny_model

from instseg_ros.bags.bag import BagFolder, BagWriter
from instseg_ros.bags.images import make_image, read_ids
from instseg_ros.bags.messages import (
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    LABEL_INFO,
    stamp_of,
)
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.results import read_results
from instseg_ros.bags.types import Topic
from instseg_ros.cli import main
from instseg_ros.core.config import TrackingConfig
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.core.tracking import Tracker
from instseg_ros.recorded import parts, segmenting

PERSON, CAR = 1, 3
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def segment(tiny_model, tmp_path, capsys):
    """Return a function that runs the command; it returns exit code, result and errors."""
    def run(source, *arguments, out='result.mcap', model=tiny_model):
        code = main(['segment-bag', str(source), '--out', str(tmp_path / out),
                     '--model', str(model), *map(str, arguments)])
        lines = [line for line in capsys.readouterr().err.splitlines() if 'instseg' in line]
        return code, tmp_path / out, lines

    return run


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


def test_every_image_has_its_results_with_its_own_stamp_and_time(segment, camera):
    code, result, _ = segment(camera)
    assert code == 0
    assert counts(result) == {
        '/segmenter/semantic_image/compressed': 6, '/segmenter/instance_image/compressed': 6,
        '/segmenter/overlay/compressed': 6, '/segmenter/color_labels/compressed': 6,
        '/segmenter/confidence_image/compressed': 6, '/segmenter/instances': 6,
        '/segmenter/label_info': 1, '/segmenter/settings': 1}
    times = [(message.time, stamp_of(message.data)) for message in read(camera)]
    for name in ('semantic_image/compressed', 'overlay/compressed', 'instances'):
        assert [(message.time, stamp_of(message.data)) for message in read(result)
                if message.topic.name == f'/segmenter/{name}'] == times


def test_the_labels_are_those_of_the_library(segment, camera, tiny_model):
    _, result, _ = segment(camera)
    segmenter = Segmenter.from_onnx(tiny_model)
    with BagReader(result) as bag:
        results = [segmentation for _, segmentation in read_results(bag, '/segmenter/')]
    assert len(results) == 6
    for number, found in enumerate(results):
        wanted = segmenter.segment(scene(number))
        assert np.array_equal(found.semantic_ids, wanted.semantic_ids)
        assert np.array_equal(found.instance_ids, wanted.instance_ids)
        assert len(found.instances) == len(wanted.instances) == 2


def test_raw_and_compressed_labels_are_the_same(segment, camera):
    _, raw, _ = segment(camera, '--labels', 'raw', out='raw.mcap')
    _, png, _ = segment(camera, out='png.mcap')
    with BagReader(raw) as first, BagReader(png) as second:
        pairs = list(zip(read_results(first, '/segmenter/'), read_results(second, '/segmenter/')))
    assert len(pairs) == 6
    for (_, one), (_, other) in pairs:
        assert np.array_equal(one.semantic_ids, other.semantic_ids)
        assert np.array_equal(one.instance_ids, other.instance_ids)


def test_pictures_are_pictures(segment, camera):
    _, result, _ = segment(camera)
    with BagReader(result) as bag:
        seen = set()
        for message in bag.read([topic for topic in bag.topics
                                 if topic.name.endswith(('overlay/compressed',
                                                         'color_labels/compressed'))]):
            parsed = bag.parse(message)
            picture = cv2.imdecode(parsed.data, cv2.IMREAD_UNCHANGED)
            assert picture.shape == (64, 96, 3)
            assert picture.max() > 100  # no black screen
            seen.add(parsed.format)
    assert seen == {'rgb8; jpeg compressed bgr8', 'rgb8; png compressed bgr8'}


def test_several_topics_keep_their_names_apart(segment, tmp_path):
    _, result, _ = segment(write_camera(tmp_path / 'two.mcap', rear=True))
    found = counts(result)
    for topic in (FRONT, REAR):
        assert found[f'/segmenter{topic}/instances'] == 6
        assert found[f'/segmenter{topic}/label_info'] == 1
        with BagReader(result) as bag:
            read_back = list(read_results(bag, f'/segmenter{topic}/'))
        assert [len(result.instances) for _, result in read_back] == [2] * 6


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


@pytest.mark.parametrize('arguments, numbers', [
    (['--every', 2], [0, 2, 4]), (['--start', 0.25], [3, 4, 5]), (['--duration', 0.2], [0, 1]),
    (['--start', 0.1, '--duration', 0.4, '--every', 3], [1, 4])])
def test_a_part_of_the_bag(segment, camera, arguments, numbers):
    _, result, _ = segment(camera, *arguments)
    assert [message.time for message in read(result)
            if message.topic.name == '/segmenter/instances'] == [
        SECOND + number * SECOND // 10 for number in numbers]


def test_bad_images_are_named_and_cost_only_themselves(segment, tmp_path):
    code, result, errors = segment(write_camera(tmp_path / 'bad.mcap', bad=(0, 3)))
    assert code == 1
    assert counts(result)['/segmenter/instances'] == 4
    assert len(errors) == 1
    assert f'2 images on {FRONT} dropped' in errors[0] and "got 'smell8'" in errors[0]


def test_two_runs_give_the_same_bytes(segment, camera):
    first, second = (segment(camera, out=name)[1] for name in ('1.mcap', '2.mcap'))
    assert first.read_bytes() == second.read_bytes()


def test_the_parameter_file_of_the_node_holds(segment, camera, tmp_path):
    params = tmp_path / 'segmenter.yaml'
    params.write_text('/segmenter:\n  ros__parameters:\n    image_depth: 3\n'
                      '    grouping:\n      max_instances: 1\n')
    _, result, _ = segment(camera, '--params', params)
    with BagReader(result) as bag:
        assert all(len(found.instances) == 1 for _, found in read_results(bag, '/segmenter/'))
    _, result, _ = segment(camera, '--params', params, '--max-instances', 5, out='2.mcap')
    with BagReader(result) as bag:
        assert all(len(found.instances) == 2 for _, found in read_results(bag, '/segmenter/'))


@pytest.mark.parametrize('text, words', [
    ('/rear_segmenter:\n  ros__parameters: {}', 'expected parameters of /segmenter'),
    ('/segmenter:\n  ros__parameters: {imagedepth: 3}', 'did you mean image_depth?'),
    ('/segmenter:\n  ros__parameters: {grouping: {center_threshold: 7.0}}', 'from 0 to 1')])
def test_a_wrong_parameter_file_is_refused(segment, camera, tmp_path, text, words):
    (tmp_path / 'segmenter.yaml').write_text(text)
    code, result, errors = segment(camera, '--params', tmp_path / 'segmenter.yaml')
    assert code == 1 and words in errors[0] and not result.exists()


def test_bad_input_is_one_sentence(segment, camera, tmp_path):
    empty, labels = tmp_path / 'empty.mcap', tmp_path / 'labels.mcap'
    for path, kind in ((empty, IMAGE), (labels, LABEL_INFO)):
        with BagWriter(path) as bag:
            bag.add_topic('/camera', kind)
    (tmp_path / 'there.mcap').write_text('precious')
    for source, arguments, out, words in [
            (tmp_path / 'gone.mcap', [], 'r.mcap', 'gone.mcap: no such file'),
            (empty, [], 'r.mcap', 'no image on /camera'),
            (labels, [], 'r.mcap', f'got /camera ({LABEL_INFO})'),
            (camera, ['--topics', '/nose'], 'r.mcap', f'got {FRONT} ({IMAGE})'),
            (camera, ['--copy', '/nose'], 'r.mcap', 'expected a topic /nose to copy'),
            (camera, ['--start', 99], 'r.mcap', f'no image on {FRONT}'),
            (camera, [], 'there.mcap', 'exists already; give --force'),
            (camera, [], camera, 'expected an output apart from the input'),
            (write_camera(tmp_path / 'bad.mcap', count=2, bad=(0, 1)), [], 'r.mcap',
             'can be decoded'),
            (camera, ['--every', 0], 'r.mcap', '--every: expected at least 1')]:
        before = sorted(tmp_path.iterdir())
        code, _, errors = segment(source, *arguments, out=out)
        assert code == 1 and len(errors) == 1 and words in errors[0], errors
        assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / 'there.mcap').read_text() == 'precious'
    assert segment(camera, '--force', out='there.mcap')[0] == 0


def test_the_outputs_of_the_node_are_no_input(segment, camera):
    _, result, _ = segment(camera, '--labels', 'raw')
    code, _, errors = segment(result, out='again.mcap')
    assert code == 1 and len(errors) == 1


def test_an_output_inside_the_input_is_refused(segment, tmp_path):
    source = write_camera(tmp_path / 'recording', writer=BagFolder)
    code, _, errors = segment(source, out='recording/result.mcap')
    assert code == 1 and 'apart from the input' in errors[0]


class Interruption(Exception):
    """Ends a run in the middle."""


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that lets a run end after some groups of messages."""
    def after(count, error):
        write, written = parts.Part.write, []

        def limited(part, group):
            if len(written) == count:
                raise error
            written.append(group)
            write(part, group)

        monkeypatch.setattr(parts.Part, 'write', limited)
        return lambda: monkeypatch.setattr(parts.Part, 'write', write)

    return after


@pytest.mark.parametrize('count', [1, 4, 7, 11])
def test_an_interrupted_run_goes_on_where_it_was(segment, tmp_path, interrupt, monkeypatch, count):
    source = write_camera(tmp_path / 'camera.mcap', rear=True, notes=True, bad=(2,))
    whole = segment(source, '--copy', NOTES, out='whole.mcap')[1]
    undo = interrupt(count, Interruption())
    with pytest.raises(Interruption):
        segment(source, '--copy', NOTES)
    undo()
    part = tmp_path / 'result.unfinished' / '0000'
    assert (part / 'metadata.yaml').exists()
    done = sum(number for name, number in counts(part).items() if name.endswith('instances'))
    segmented = []
    infer = Segmenter.infer
    monkeypatch.setattr(Segmenter, 'infer', lambda self, image: (
        segmented.append(image), infer(self, image))[1])
    code, result, errors = segment(source, '--copy', NOTES)
    assert code == 1 and '1 images on' in errors[0]
    assert len(segmented) == 11 - done
    assert [tuple(message) for message in read(result)] == [
        tuple(message) for message in read(whole)]
    assert not (tmp_path / 'result.unfinished').exists()


def test_a_part_of_a_killed_run_is_used(segment, camera, tmp_path, interrupt):
    whole = segment(camera, out='whole.mcap')[1]
    undo = interrupt(4, Interruption())
    with pytest.raises(Interruption):
        segment(camera)
    undo()
    part = tmp_path / 'result.unfinished' / '0000'
    (part / 'metadata.yaml').unlink()
    data = (part / '0000.mcap').read_bytes()
    (part / '0000.mcap').write_bytes(data[:len(data) * 2 // 3])
    code, result, _ = segment(camera)
    assert code == 0
    assert [tuple(message) for message in read(result)] == [
        tuple(message) for message in read(whole)]


def test_an_unfinished_result_of_other_options_is_kept(segment, camera, tmp_path, interrupt):
    undo = interrupt(4, Interruption())
    with pytest.raises(Interruption):
        segment(camera)
    undo()
    code, _, errors = segment(camera, '--every', 2)
    assert code == 1 and 'an unfinished result of another' in errors[0]
    assert (tmp_path / 'result.unfinished' / '0000').exists()
    code, result, _ = segment(camera, '--every', 2, '--force')
    assert code == 0 and counts(result)['/segmenter/instances'] == 3


def test_a_full_disk_leaves_a_valid_bag(segment, camera, tmp_path, monkeypatch):
    usage = shutil.disk_usage
    frees = iter([10 ** 9] * 3)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(path)._replace(
        free=next(frees, 1000)))
    code, result, errors = segment(camera)
    assert code == 1 and len(errors) == 1 and 'the disk is full' in errors[0]
    assert not result.exists()
    part = tmp_path / 'result.unfinished' / '0000'
    with BagReader(part) as bag:
        assert len(list(read_results(bag, '/segmenter/'))) == 3
        assert bag.damage == []
    monkeypatch.undo()
    assert segment(camera)[0] == 0
    assert counts(result)['/segmenter/instances'] == 6


def test_the_settings_tell_how_the_result_was_made(segment, camera, tiny_model):
    _, result, _ = segment(camera, '--center-threshold', 0.5)
    settings = settings_of(result)
    assert settings['source'] == str(camera)
    assert settings['model']['path'] == str(tiny_model)
    assert settings['model']['grouping']['center_threshold'] == 0.5


@pytest.fixture
def crossing(tmp_path):
    """Return a bag in which a car stays and a person walks past, and the seconds of its images.

    The topics begin at different images; image 5 is broken.
    """
    path, stamps = tmp_path / 'crossing.mcap', [7 * SECOND + 123456789 * i for i in range(10)]
    with BagWriter(path) as bag:
        for topic in (FRONT, REAR):
            bag.add_topic(topic, IMAGE)
        for number, stamp in enumerate(stamps):
            for topic, first in ((FRONT, 0), (REAR, 2)):
                if number >= first:
                    message = make_image(passage(number), stamp, 'camera')
                    message.encoding = 'smell8' if number == 5 else message.encoding
                    bag.write_message(topic, stamp, message)
    return path, [divmod(stamp, SECOND) for stamp in stamps]


def passage(number):
    """Return the picture of a car and, from the fourth one on, a person left of it."""
    boxes = [(CAR, (24, 48, 56, 76))]
    if number >= 3:
        boxes.insert(0, (PERSON, (8, 4 * number - 8, 40, 4 * number + 8)))
    return paint_scene(*rectangles((64, 96), boxes), tiny_info())


def instance_ids(path, prefix):
    """Return the instance images of a topic and the ids of each class."""
    images, ids = [], {}
    with BagReader(path) as bag:
        for message in bag.read([Topic(f'{prefix}instance_image/compressed', COMPRESSED_IMAGE),
                                 Topic(f'{prefix}instances', DETECTIONS)]):
            parsed = bag.parse(message)
            if message.topic.type == COMPRESSED_IMAGE:
                images.append(read_ids(parsed))
            else:
                for found in parsed.detections:
                    class_id = int(found.results[0].hypothesis.class_id)
                    ids.setdefault(class_id, set()).add(int(found.id))
    return images, ids


@pytest.mark.parametrize('way', ['option', 'file'])
def test_tracking_gives_each_topic_the_ids_of_its_own_tracker(
        segment, crossing, tiny_model, tmp_path, way):
    source, stamps = crossing
    params = tmp_path / 'segmenter.yaml'
    params.write_text('/segmenter:\n  ros__parameters:\n    tracking:\n      keep: 1.5\n'
                      + '      enabled: true\n' * (way == 'file'))
    arguments = ['--params', params, *['--tracking'] * (way == 'option')]
    _, result, _ = segment(source, *arguments)
    segmenter = Segmenter.from_onnx(tiny_model)
    for topic, first in ((FRONT, 0), (REAR, 2)):
        images, ids = instance_ids(result, f'/segmenter{topic}/')
        tracker = Tracker(TrackingConfig(enabled=True, keep=1.5))
        wanted = [tracker.update(segmenter.segment(passage(i)), sec + nanosec * 1e-9, passage(i))
                  for i, (sec, nanosec) in enumerate(stamps) if i >= first and i != 5]
        assert len(images) == len(wanted)
        assert all(np.array_equal(image, one.instance_ids) for image, one in zip(images, wanted))
        assert ids == {CAR: {1}, PERSON: {2}}
    assert settings_of(result)['tracking'] == {
        'enabled': True, 'keep': 1.5, 'high_score': 0.5, 'color_weight': 1.0}


def test_without_tracking_ids_are_numbered_anew_and_settings_do_not_name_it(
        segment, crossing, tmp_path):
    params = tmp_path / 'segmenter.yaml'
    params.write_text('/segmenter: {ros__parameters: {tracking: {enabled: true}}}')
    plain, off = (segment(crossing[0], *arguments, out=out)[1] for arguments, out in (
        ([], 'plain.mcap'), (['--params', params, '--no-tracking'], 'off.mcap')))
    assert plain.read_bytes() == off.read_bytes()
    _, ids = instance_ids(plain, f'/segmenter{FRONT}/')
    assert ids[CAR] == {1, 2}
    assert 'tracking' not in settings_of(plain)


def test_an_interrupted_run_with_tracking_is_begun_anew(segment, crossing, tmp_path, interrupt):
    whole = segment(crossing[0], '--tracking', out='whole.mcap')[1]
    undo = interrupt(9, Interruption())
    with pytest.raises(Interruption):
        segment(crossing[0], '--tracking')
    undo()
    assert (tmp_path / 'result.unfinished' / '0000').exists()
    result = segment(crossing[0], '--tracking')[1]
    assert [tuple(message) for message in read(result)] == [
        tuple(message) for message in read(whole)]
    assert not (tmp_path / 'result.unfinished').exists()


def test_names_that_ros_refuses_become_legal(segment, tmp_path):
    with BagReader(write_camera(tmp_path / 'camera.mcap', count=1)) as bag:
        message, = bag.read(bag.topics)
    with BagWriter(tmp_path / 'odd.mcap') as bag:
        for name in ('/2d/image', '/camera/image-raw'):
            bag.add_topic(name, IMAGE)
            bag.write(name, message.time, message.data)
    _, result, _ = segment(tmp_path / 'odd.mcap')
    assert counts(result)['/segmenter/_2d/image/instances'] == 1
    assert counts(result)['/segmenter/camera/image_raw/instances'] == 1


def test_a_picture_that_cannot_be_made_costs_no_label(segment, camera, monkeypatch):
    encode = cv2.imencode
    monkeypatch.setattr(cv2, 'imencode', lambda suffix, *rest: (
        (False, None) if suffix == '.jpg' else encode(suffix, *rest)))
    code, result, errors = segment(camera)
    assert code == 1 and 'too large for a picture' in errors[0]
    found = counts(result)
    assert found['/segmenter/instances'] == 6
    assert '/segmenter/overlay/compressed' not in found


def test_progress_counts_every_image(camera, tiny_model, tmp_path):
    from instseg_ros.recorded.job import Job, ModelSettings
    seen = []
    segmenting.segment_bag(Job(camera, tmp_path / 'r.mcap', ModelSettings(tiny_model)),
                           Segmenter.from_onnx(tiny_model), on_start=seen.append,
                           on_frame=lambda: seen.append('frame'))
    assert seen == [6, *['frame'] * 6]


def test_the_layout_for_foxglove_shows_topics_of_the_result(segment, camera):
    _, result, _ = segment(camera)
    layout = json.loads((ROOT / 'config' / 'foxglove.json').read_text())
    topics = {panel['imageMode']['imageTopic'] if 'imageMode' in panel else panel['topicPath']
              for name, panel in layout['configById'].items() if name != 'Parameters!options'}
    assert len(topics) == 3 and topics <= set(counts(result))

    def panels(part):
        return {part} if isinstance(part, str) else panels(part['first']) | panels(part['second'])

    assert panels(layout['layout']) == set(layout['configById'])


def test_wrong_metadata_is_a_warning(segment, tmp_path):
    source = write_camera(tmp_path / 'recording', writer=BagFolder)
    (source / 'metadata.yaml').write_text('milk, bread')
    code, result, lines = segment(source)
    assert code == 0 and counts(result)['/segmenter/instances'] == 6
    assert len(lines) == 1 and lines[0].startswith('instseg segment-bag: warning: ')


def test_damage_is_an_error_and_the_sound_images_have_results(segment, tmp_path):
    source = write_camera(tmp_path / 'camera.mcap', count=200)
    data = source.read_bytes()
    source.write_bytes(data[:len(data) // 2])
    code, result, errors = segment(source)
    assert code == 1 and errors and str(source) in errors[0]
    assert 0 < counts(result)['/segmenter/instances'] < 200


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


def test_the_confidence_is_that_of_the_library_and_the_older_models_have_none(
        segment, camera, tiny_model, tmp_path):
    _, result, _ = segment(camera, '--labels', 'raw')
    segmenter = Segmenter.from_onnx(tiny_model)
    with BagReader(result) as bag:
        messages = [bag.parse(message) for message in bag.read(
            [Topic('/segmenter/confidence_image', 'sensor_msgs/msg/Image')])]
    assert len(messages) == 6
    for number, message in enumerate(messages):
        wanted = segmenter.segment(scene(number), confidence=True).semantic_confidence
        assert np.array_equal(message.data.reshape(wanted.shape), wanted)
    write_tiny_model(tmp_path / 'older.onnx', confidence=False)
    code, result, lines = segment(camera, out='older.mcap', model=tmp_path / 'older.onnx')
    assert code == 0 and '/segmenter/confidence_image/compressed' not in counts(result)
    assert any('the model file has no confidence of classes' in line for line in lines)
