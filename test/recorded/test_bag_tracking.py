"""`instseg segment-bag --tracking`: stable ids on each topic of a bag."""
import numpy as np
import pytest
from recorded_scene import FRONT, REAR, SECOND
from result_bags import Interruption, read, settings_of
from tiny_models import paint_scene, rectangles, tiny_info

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.images import make_image, read_ids
from instseg_ros.bags.messages import (
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
)
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import Topic
from instseg_ros.core.config import TrackingConfig
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.core.tracking import Tracker

PERSON, CAR = 1, 3


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
