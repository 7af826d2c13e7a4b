"""`instseg segment-bag` on one bag: what it writes."""
import cv2
import foxglove_layout
import numpy as np
import pytest
from recorded_scene import FRONT, REAR, SECOND, scene, write_camera
from result_bags import counts, read, settings_of
from tiny_models import write_tiny_model

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import IMAGE, stamp_of
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.results import read_results
from instseg_ros.bags.types import Topic
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.recorded import segmenting


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


def test_a_picture_that_cannot_be_made_costs_no_label(segment, camera, monkeypatch):
    encode = cv2.imencode
    monkeypatch.setattr(cv2, 'imencode', lambda suffix, *rest: (
        (False, None) if suffix == '.jpg' else encode(suffix, *rest)))
    code, result, errors = segment(camera)
    assert code == 1 and 'too large for a picture' in errors[0]
    found = counts(result)
    assert found['/segmenter/instances'] == 6
    assert '/segmenter/overlay/compressed' not in found


def test_several_topics_keep_their_names_apart(segment, tmp_path):
    _, result, _ = segment(write_camera(tmp_path / 'two.mcap', rear=True))
    found = counts(result)
    for topic in (FRONT, REAR):
        assert found[f'/segmenter{topic}/instances'] == 6
        assert found[f'/segmenter{topic}/label_info'] == 1
        with BagReader(result) as bag:
            read_back = list(read_results(bag, f'/segmenter{topic}/'))
        assert [len(result.instances) for _, result in read_back] == [2] * 6


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


HOUR = 3600 * SECOND


@pytest.mark.parametrize('stamps, times', [
    ([0] * 6, [SECOND * number for number in range(6)]),
    ([SECOND, SECOND, 2 * SECOND, SECOND, SECOND, 2 * SECOND], range(1, 7)),
    ([1, 2, 3, 1, 2, 3], [0] * 6),
    ([1, 2, 3, HOUR, HOUR + 1, HOUR + 2], [1, 2, 3, HOUR, HOUR + 1, HOUR + 2])])
def test_odd_stamps_and_sizes_cost_no_image(segment, tmp_path, stamps, times):
    """Zero, repeated and looped stamps, equal times, a pause, and images of another size."""
    with BagWriter(tmp_path / 'odd.mcap') as bag:
        bag.add_topic(FRONT, IMAGE)
        for number, (stamp, time) in enumerate(zip(stamps, times)):
            image = scene(number)[:48] if number >= 4 else scene(number)
            bag.write_message(FRONT, time, make_image(image, stamp, 'front'))
    code, result, errors = segment(tmp_path / 'odd.mcap')
    assert code == 0 and not errors
    found = [message for message in read(result) if message.topic.name.endswith('instances')]
    assert [(stamp_of(message.data), message.time) for message in found] == list(
        zip(stamps, times))


@pytest.mark.parametrize('arguments, numbers', [
    (['--every', 2], [0, 2, 4]), (['--start', 0.25], [3, 4, 5]), (['--duration', 0.2], [0, 1]),
    (['--start', 0.1, '--duration', 0.4, '--every', 3], [1, 4])])
def test_a_part_of_the_bag(segment, camera, arguments, numbers):
    _, result, _ = segment(camera, *arguments)
    assert [message.time for message in read(result)
            if message.topic.name == '/segmenter/instances'] == [
        SECOND + number * SECOND // 10 for number in numbers]


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


def test_the_settings_tell_how_the_result_was_made(segment, camera, tiny_model):
    _, result, _ = segment(camera, '--center-threshold', 0.5)
    settings = settings_of(result)
    assert settings['source'] == str(camera)
    assert settings['model']['path'] == str(tiny_model)
    assert settings['model']['grouping']['center_threshold'] == 0.5


def test_progress_counts_every_image(camera, tiny_model, tmp_path):
    from instseg_ros.recorded.job import Job, ModelSettings
    seen = []
    segmenting.segment_bag(Job(camera, tmp_path / 'r.mcap', ModelSettings(tiny_model)),
                           Segmenter.from_onnx(tiny_model), on_start=seen.append,
                           on_frame=lambda: seen.append('frame'))
    assert seen == [6, *['frame'] * 6]


def test_the_layout_for_foxglove_shows_topics_of_the_result(segment, camera):
    _, result, _ = segment(camera)
    topics = foxglove_layout.topics()
    assert len(topics) == 3 and topics <= set(counts(result))
    layout = foxglove_layout.layout()

    def panels(part):
        return {part} if isinstance(part, str) else panels(part['first']) | panels(part['second'])

    assert panels(layout['layout']) == set(layout['configById'])
