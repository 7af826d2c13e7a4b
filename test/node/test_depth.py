"""Results in space over real DDS, made of depth and calibration."""
import numpy as np
import pytest
from depth_rig import CENTER, FAR, FOCAL, NEAR, SIZE, Rig, depth_image
from node_tools import ros_image

pytest.importorskip('tiny_models', reason='needs onnx')
POINT = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('rgb', '<u4'), ('class', 'u1'),
                  ('pad', 'u1'), ('id', '<u2')])


def cloud(message):
    return np.frombuffer(message.data, POINT).reshape(message.height, message.width)


@pytest.mark.parametrize(('unit', 'dtype', 'encoding'), [(1000, np.uint16, '16UC1'),
                                                         (1, np.float32, '32FC1')])
def test_objects_and_pixels_have_their_place(graph, tiny_model, scene, make_image, unit, dtype,
                                             encoding):
    image, semantic_ids, instance_ids = scene
    rig = Rig(graph, tiny_model)
    rig.calibrate()
    message = make_image(3)
    rig.send(message, depth_image(instance_ids, unit, dtype), encoding=encoding)
    objects, points = rig.wait()
    assert objects.header == points.header == message.header
    found = {int(item.id): item for item in objects.detections}
    for number, z in ((1, NEAR), (2, FAR)):
        rows, columns = np.nonzero(instance_ids == number)
        middle = np.array([(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2])
        place = [*((middle - CENTER) / FOCAL * z), z]
        size = np.array([np.ptp(columns), np.ptp(rows)]) / FOCAL * z
        box, pose = found[number].bbox, found[number].results[0].pose.pose
        for position in (box.center.position, pose.position):
            assert np.allclose([position.x, position.y, position.z], place, atol=0.02)
        assert np.allclose([box.size.x, box.size.y], size, atol=0.05) and box.size.z == 0
        assert box.center.orientation.w == 1.0
        assert found[number].results[0].hypothesis.class_id == str(semantic_ids[rows[0],
                                                                                columns[0]])
    assert len(found) == 2
    pixels = cloud(points)
    assert np.isnan(pixels['z'][:10, :10]).all() and np.isfinite(pixels['z'][10:]).all()
    assert np.array_equal(pixels['id'], instance_ids)
    assert np.array_equal(pixels['class'], semantic_ids)
    assert np.array_equal(pixels['rgb'], image @ np.array([65536, 256, 1]))


def test_the_cloud_is_what_costmaps_and_viewers_read(graph, tiny_model, scene, make_image):
    """Rows and columns of the mask, x, y and z as float32, NaN where nothing was measured."""
    from sensor_msgs.msg import Image, PointField
    rig = Rig(graph, tiny_model)
    masks = graph.listen(Image, '/segmenter/semantic_image')
    rig.calibrate()
    rig.send(make_image(), depth_image(scene[2]))
    _, points = rig.wait()
    graph.spin_until(lambda: masks, 'the mask')
    mask = masks[0]
    assert points.header == mask.header and mask.encoding == 'mono8'
    assert (points.height, points.width) == (mask.height, mask.width) == SIZE
    assert points.row_step == points.width * points.point_step
    assert len(points.data) == points.height * points.row_step
    assert not points.is_bigendian and not points.is_dense
    fields = {field.name: field for field in points.fields}
    assert list(fields) == ['x', 'y', 'z', 'rgb', 'class', 'id']
    for name, datatype in [('x', PointField.FLOAT32), ('y', PointField.FLOAT32),
                           ('z', PointField.FLOAT32), ('rgb', PointField.FLOAT32),
                           ('class', PointField.UINT8), ('id', PointField.UINT16)]:
        assert (fields[name].datatype, fields[name].count) == (datatype, 1)
        assert fields[name].offset == POINT.fields[name][1]


@pytest.mark.parametrize('degrees', [90, 180])
def test_places_are_those_of_the_camera_however_it_is_mounted(graph, tiny_model, scene,
                                                              make_image, degrees):
    image, _, instance_ids = scene
    turned = np.ascontiguousarray(np.rot90(image, degrees // 90))
    ids = np.rot90(instance_ids, degrees // 90)
    size = ids.shape
    rig = Rig(graph, tiny_model, rotate=degrees)
    rig.calibrate(height=size[0], width=size[1])
    depth = np.where(ids == 1, NEAR, np.where(ids == 2, FAR, 8.0)) * 1000
    rig.send(make_image(pixels=turned), depth.astype(np.uint16))
    objects, points = rig.wait()
    assert np.array_equal(cloud(points)['id'], ids)
    assert np.array_equal(cloud(points)['rgb'], turned @ np.array([65536, 256, 1]))
    found = {int(item.id): item.bbox.center.position for item in objects.detections}
    for number, z in ((1, NEAR), (2, FAR)):
        rows, columns = np.nonzero(ids == number)
        middle = np.array([(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2])
        place = [*((middle - CENTER) / FOCAL * z), z]
        assert np.allclose([found[number].x, found[number].y, found[number].z], place, atol=0.02)


def test_markers_are_at_the_distance_of_their_objects_and_need_no_other_listener(
        graph, tiny_model, scene, make_image):
    from visualization_msgs.msg import MarkerArray
    rig = Rig(graph, tiny_model, listens=False)
    markers = graph.listen(MarkerArray, '/segmenter/markers')
    rig.calibrate()
    rig.send(make_image(1), depth_image(scene[2]))
    graph.spin_until(lambda: markers, 'markers')
    outlines = {item.id: item.points for item in markers[0].markers if item.ns == 'outlines'}
    assert {number: points[0].z for number, points in outlines.items()} == {1: NEAR, 2: FAR}
    columns = np.nonzero(scene[2] == 1)[1]
    for point, column in ((min, columns.min()), (max, columns.max())):
        x = point(item.x for item in outlines[1])
        assert x == pytest.approx((column - CENTER[0]) / FOCAL * NEAR, abs=0.02)
    markers.clear()
    rig.send(make_image(2), None)  # without depth, they are on the plane in front of the camera
    graph.spin_until(lambda: markers, 'markers')
    assert {item.points[0].z for item in markers[0].markers if item.ns == 'outlines'} == {1.0}


def test_depth_that_comes_after_the_results_in_the_image_is_awaited(graph, tiny_model, scene,
                                                                    make_image):
    rig = Rig(graph, tiny_model)
    rig.calibrate()
    rig.send(make_image(1), depth_image(scene[2]))  # so that the stream is alive
    assert rig.wait()[0].header.stamp.sec == 1
    message = make_image(2)
    rig.send(message, None)  # returns with the results in the image
    rig.depth.publish(ros_image(message.header, depth_image(scene[2]), '16UC1'))
    assert rig.wait()[0].header.stamp.sec == 2


def test_it_is_off_by_default(graph, tiny_model):
    graph.start('configure', 'activate', model=str(tiny_model))
    names = dict(graph.node.get_topic_names_and_types())
    assert '/segmenter/points' not in names and '/depth' not in names
    assert not graph.set_parameter('depth.tolerance', 0.1)  # live, whether it is used or not
    assert 'takes effect at configuration' in graph.set_parameter('depth.enabled', True)


def test_nothing_is_computed_or_awaited_for_nobody(graph, tiny_model, scene, make_image,
                                                   monkeypatch):
    from sensor_msgs.msg import Image

    from instseg_ros.node import depth
    computed = []
    for name in ('object_boxes', 'labelled_points', 'metric_depth'):
        monkeypatch.setattr(depth, name, lambda *args: computed.append(1))
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable',
                depth__enabled=True)
    color, flat = graph.camera(), graph.listen(Image, '/segmenter/instance_image')
    color.publish(make_image())
    graph.spin_until(lambda: flat and graph.statistics.frames_out == 1, 'results')
    assert not computed
    assert graph.node._cameras[0].depth.frames_missed == 0


def test_each_camera_has_its_own_depth_and_all_topics_go(graph, tiny_model, scene, make_image):
    rig = Rig(graph, tiny_model, 'front/', cameras=['front', 'rear'])
    rig.calibrate()
    rig.send(make_image(5), depth_image(scene[2]))
    assert rig.wait()[0].header.stamp.sec == 5
    names = dict(graph.observer.get_topic_names_and_types())
    assert {'/rear/depth', '/rear/camera_info', '/segmenter/rear/points'} <= set(names)
    for transition in ('deactivate', 'cleanup'):
        assert graph.change_state(transition)
    assert not [item.topic_name for item in (*graph.node.publishers, *graph.node.subscriptions)
                if item.topic_name.rpartition('/')[2] in ('depth', 'points', 'detections_3d')]


def test_one_of_two_cameras_has_depth(graph, tiny_model, make_image):
    """The other has its results in the image, and no warning, even if its markers are shown."""
    from visualization_msgs.msg import MarkerArray
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable',
                cameras=['front', 'rear'], front__depth__enabled=True)
    names = {item.topic_name for item in (*graph.node.publishers, *graph.node.subscriptions)}
    assert {'/front/depth', '/segmenter/front/points'} <= names
    assert not {'/rear/depth', '/rear/camera_info', '/segmenter/rear/points'} & names
    markers = graph.listen(MarkerArray, '/segmenter/rear/markers')
    camera = graph.camera(topic='/rear/image')
    graph.spin_until(lambda: camera.publish(make_image()) or markers, 'markers')
    assert 'clean up the node first' in graph.set_parameter('rear.depth.enabled', True)
    for transition in ('deactivate', 'cleanup'):
        assert graph.change_state(transition)
    assert graph.set_parameter('rear.depth.enabled', 'yes').startswith(
        'rear.depth.enabled: expected a value of type bool')
    assert graph.set_parameter('rear.depth.enabled', True) == ''
    assert graph.change_state('configure')
    assert '/segmenter/rear/points' in {item.topic_name for item in graph.node.publishers}
