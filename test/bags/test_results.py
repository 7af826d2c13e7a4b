"""Results in a bag become `Segmentation` again."""
import numpy as np
import pytest

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import DETECTIONS, IMAGE, LABEL_INFO, make_header, typestore
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.results import read_class_names, read_results
from instseg_ros.bags.types import BagError
from instseg_ros.core.types import Instance

TYPES = typestore().types
PREFIX = '/segmenter/'
PERSON = Instance(instance_id=300, class_id=1, class_name='person', score=0.75,
                  center_yx=(3.5, 2.25), box_xyxy=(1, 2, 4, 7), area=15)


def make_labels():
    """Return label maps that show `PERSON`."""
    semantic_ids, instance_ids = np.zeros((8, 6), np.uint8), np.zeros((8, 6), np.uint16)
    semantic_ids[2:7, 1:4] = 1
    instance_ids[2:7, 1:4] = 300
    return semantic_ids, instance_ids


def make_detections(stamp):
    """Return the Detection2DArray that describes `PERSON`."""
    def part(name, **fields):
        return TYPES[name](**fields)

    geometry = 'geometry_msgs/msg/'
    pose = part(geometry + 'Pose', position=part(geometry + 'Point', x=2.25, y=3.5, z=0.0),
                orientation=part(geometry + 'Quaternion', x=0.0, y=0.0, z=0.0, w=1.0))
    vision = 'vision_msgs/msg/'
    hypothesis = part(vision + 'ObjectHypothesisWithPose',
                      hypothesis=part(vision + 'ObjectHypothesis', class_id='1', score=0.75),
                      pose=part(geometry + 'PoseWithCovariance', pose=pose,
                                covariance=np.zeros(36)))
    center = part(vision + 'Pose2D', position=part(vision + 'Point2D', x=2.5, y=4.5), theta=0.0)
    box = part(vision + 'BoundingBox2D', center=center, size_x=3.0, size_y=5.0)
    header = make_header(stamp, 'camera')
    return part(vision + 'Detection2DArray', header=header, detections=[
        part(vision + 'Detection2D', header=header, results=[hypothesis], bbox=box, id='300')])


def make_messages(stamp):
    """Return the three messages about a frame by topic."""
    semantic_ids, instance_ids = make_labels()
    return {PREFIX + 'semantic_image': make_image(semantic_ids, stamp, 'camera'),
            PREFIX + 'instance_image': make_image(instance_ids, stamp, 'camera'),
            PREFIX + 'instances': make_detections(stamp)}


def write_bag(path, messages, *, labels=True):
    """Write (time, topic, message) and the names of the classes."""
    with BagWriter(path) as bag:
        for name, kind in (('semantic_image', IMAGE), ('instance_image', IMAGE),
                           ('instances', DETECTIONS), ('label_info', LABEL_INFO)):
            bag.add_topic(PREFIX + name, kind)
        if labels:
            entries = [TYPES['vision_msgs/msg/VisionClass'](class_id=number, class_name=name)
                       for number, name in enumerate(['background', 'person'])]
            bag.write_message(PREFIX + 'label_info', 0, TYPES[LABEL_INFO](
                header=make_header(0, ''), class_map=entries, threshold=0.0))
        for time, topic, message in messages:
            bag.write_message(topic, time, message)
    return path


def test_a_frame_comes_back_with_its_objects(tmp_path):
    path = write_bag(tmp_path / 'bag.mcap', [
        (5, topic, message) for topic, message in make_messages(5).items()])
    with BagReader(path) as bag:
        assert read_class_names(bag) == {0: 'background', 1: 'person'}
        (stamp, result), = read_results(bag, PREFIX)
    semantic_ids, instance_ids = make_labels()
    assert stamp == 5
    assert np.array_equal(result.semantic_ids, semantic_ids)
    assert np.array_equal(result.instance_ids, instance_ids)
    assert result.instances == (PERSON,)


def test_frames_are_put_together_by_stamp_and_incomplete_ones_left_out(tmp_path):
    """As a recorder sees it: topics arrive interleaved, and one message got lost."""
    frames = {stamp: make_messages(stamp) for stamp in (10, 20, 30)}
    semantic, instance, objects = frames[10]
    order = [(10, semantic), (20, semantic), (20, objects), (10, instance), (10, objects),
             (20, instance), (30, objects), (30, semantic)]
    path = write_bag(tmp_path / 'bag.mcap', [
        (100 + time, topic, frames[stamp][topic]) for time, (stamp, topic) in enumerate(order)])
    with BagReader(path) as bag:
        assert [stamp for stamp, _ in read_results(bag, PREFIX)] == [10, 20]


def test_an_object_whose_pixels_are_all_hidden_has_no_area(tmp_path):
    messages = make_messages(5)
    messages[PREFIX + 'instance_image'] = make_image(np.zeros((8, 6), np.uint16), 5, 'camera')
    path = write_bag(tmp_path / 'bag.mcap', [
        (5, topic, message) for topic, message in messages.items()])
    with BagReader(path) as bag:
        (_, result), = read_results(bag, PREFIX)
    assert result.instances[0].area == 0


def test_an_object_of_a_class_without_a_name_is_an_error(tmp_path):
    path = write_bag(tmp_path / 'bag.mcap', [
        (5, topic, message) for topic, message in make_messages(5).items()], labels=False)
    with BagReader(path) as bag, pytest.raises(BagError, match='class 1 .* label_info, got none'):
        list(read_results(bag, PREFIX))


def test_results_need_the_names_of_the_classes(tmp_path):
    with BagWriter(tmp_path / 'bag.mcap') as bag:
        bag.add_topic('/camera', IMAGE)
    with BagReader(tmp_path / 'bag.mcap') as bag:
        with pytest.raises(BagError, match='a topic /segmenter/label_info of type vision_msgs'):
            list(read_results(bag, PREFIX))
