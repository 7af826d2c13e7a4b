"""Outlines and labels of objects: parts, holes, and places in space; without a ROS graph."""
import numpy as np
import pytest

pytest.importorskip('visualization_msgs', reason='needs ROS 2')
pytest.importorskip('rclpy', reason='needs ROS 2')

from std_msgs.msg import Header
from tiny_models import tiny_info

from instseg_ros.core.camera_model import CameraModel
from instseg_ros.core.depth import Place, object_boxes
from instseg_ros.core.types import Instance, Segmentation
from instseg_ros.messages.results import Result
from instseg_ros.node.markers import markers_message, outline_segments

SIZE = (60, 80)


@pytest.fixture
def result():
    """Return a result with a car that has a hole and a second part."""
    ids = np.zeros(SIZE, np.uint16)
    ids[10:40, 10:50] = 3
    ids[20:30, 20:40] = 0
    ids[45:55, 60:70] = 3
    car = Instance(3, 3, 'car', 0.75, (25.0, 30.0), (10, 10, 70, 55), int((ids > 0).sum()))
    return Result(Header(frame_id='camera'), np.zeros((*SIZE, 3), np.uint8), Segmentation(
        (ids > 0) * np.uint8(3), ids, (car,)), tiny_info())


def rings(lines):
    """Return the closed rings that lines make up, each as a set of corners."""
    found, ring = [], []
    for start, end in lines.reshape(-1, 2, 2).tolist():
        assert not ring or ring[-1] == start
        ring = [*(ring or [start]), end]
        if ring[0] == end:
            found.append({tuple(corner) for corner in ring})
            ring = []
    assert not ring
    return found


def test_an_outline_has_all_parts_and_holes(result):
    found = rings(outline_segments(result.segmentation.instance_ids,
                                   result.segmentation.instances[0]))
    assert {(10, 10), (49, 10), (49, 39), (10, 39)} in found
    assert {(60, 45), (69, 45), (69, 54), (60, 54)} in found
    hole, = (ring for ring in found if (10, 10) not in ring and (60, 45) not in ring)
    x, y = np.transpose(sorted(hole))
    assert (x.min(), x.max(), y.min(), y.max()) == (19, 40, 19, 30)  # pixels around the hole


def test_with_depth_an_object_is_at_its_distance(result):
    camera = CameraModel(SIZE, (100.0, 100.0), (39.5, 29.5))
    depth = np.full(SIZE, 4.0, np.float32)
    rays = camera.rays()
    place = Place(rays, object_boxes(depth, result.segmentation.instance_ids, rays))
    _, outline, label = markers_message(result, place).markers
    assert {point.z for point in outline.points} == {4.0}
    assert min(point.x for point in outline.points) == pytest.approx((10 - 39.5) / 100 * 4)
    assert label.pose.position.z == 4.0 and label.text == 'car 3 0.75'
    without = markers_message(result, Place(rays, {})).markers[1]
    assert without.scale.x == pytest.approx(outline.scale.x / 4)
    assert {point.z for point in without.points} == {1.0}


def test_no_object_removes_the_earlier_ones(result):
    empty = Segmentation(np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint16))
    marker, = markers_message(Result(result.header, result.image, empty, result.info)).markers
    assert marker.action == marker.DELETEALL and marker.header == result.header
