"""Results in space over real DDS: made of depth and calibration, and missing without them."""
import numpy as np
import pytest

pytest.importorskip('tiny_models', reason='needs onnx')
node_tools = pytest.importorskip('node_tools')
status_of, values_of = node_tools.status_of, node_tools.values_of
ros_image = node_tools.ros_image
OK, WARN, ERROR = b'\x00', b'\x01', b'\x02'
SIZE = 120, 160
NEAR, FAR = 2.0, 4.0
FOCAL, CENTER = 200.0, (79.5, 59.5)
FRAME = 'front_camera'
POINT = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('rgb', '<u4'), ('class', 'u1'),
                  ('pad', 'u1'), ('id', '<u2')])


class Rig:
    """A camera with depth, and what is received from the node."""

    def __init__(self, graph, model, prefix='', listens=True, **parameters):
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2
        from vision_msgs.msg import Detection3DArray
        self.graph, self.prefix = graph, prefix
        graph.start('configure', 'activate', model=str(model), image_reliability='reliable',
                    depth__enabled=True, depth__wait=0.5, **parameters)
        self.color = graph.camera(topic=f'/{prefix}image')
        self.depth = graph.camera(topic=f'/{prefix}depth')
        self.info = graph.observer.create_publisher(CameraInfo, f'/{prefix}camera_info',
                                                    QoSProfile(depth=5))
        graph.spin_until(lambda: self.info.get_subscription_count() > 0, 'camera_info')
        name = f'/segmenter/{prefix}'
        if listens:
            self.objects = graph.listen(Detection3DArray, f'{name}detections_3d')
            self.points = graph.listen(PointCloud2, f'{name}points')
        self.flat = graph.listen(Image, f'{name}instance_image')

    def calibrate(self, **fields):
        from sensor_msgs.msg import CameraInfo
        matrix = [FOCAL, 0.0, CENTER[0], 0.0, 0.0, FOCAL, CENTER[1], 0.0, 0.0, 0.0, 1.0, 0.0]
        self.info.publish(CameraInfo(**{'height': SIZE[0], 'width': SIZE[1], 'p': matrix,
                                        **fields}))
        camera = self.graph.node._cameras[0]
        self.graph.spin_until(lambda: camera.depth._camera_info is not None, 'calibration')

    def send(self, message, depth, *, encoding='16UC1', delay=0, frame_id=FRAME):
        """Publish an image and, unless it is None, its depth image, `delay` ns later by stamp."""
        from copy import deepcopy

        if depth is not None:
            header = deepcopy(message.header)
            header.stamp.nanosec += delay
            header.frame_id = frame_id
            self.depth.publish(ros_image(header, depth, encoding))
        count = len(self.flat)
        self.color.publish(message)
        self.graph.spin_until(lambda: len(self.flat) > count, 'results in the image')

    def wait(self):
        """Return the next results in space."""
        self.graph.spin_until(lambda: self.objects and self.points, 'results in space')
        return self.objects.pop(0), self.points.pop(0)


def depth_image(ids, unit=1000, dtype=np.uint16):
    """Return the depth of two objects in front of a wall, without depth in a corner."""
    depth = np.full(SIZE, 8.0)
    depth[ids == 1], depth[ids == 2] = NEAR, FAR
    depth[:10, :10] = 0
    return (depth * unit).astype(dtype)


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


def test_without_depth_there_are_results_in_the_image_and_a_warning_that_ends(
        graph, tiny_model, scene, make_image, monkeypatch):
    from instseg_ros.node import depth
    monkeypatch.setattr(depth, 'PATIENCE', 0.0)
    rig = Rig(graph, tiny_model)
    reports = graph.diagnostics()

    def warned(text):
        reports.clear()
        graph.spin_until(lambda: reports and text in values_of(reports[-1]).get(
            'condition.depth', ''), f'the warning {text}')
        assert status_of(reports[-1])[0] == WARN

    rig.send(make_image(1), None)
    warned('no depth image on /depth (remap "depth")')
    rig.send(make_image(2), depth_image(scene[2]))
    warned('no calibration on /camera_info')
    rig.calibrate()
    rig.send(make_image(3), depth_image(scene[2]), delay=100_000_000)
    warned('no depth image within 0.02 s of the stamp')
    rig.send(make_image(4), depth_image(scene[2])[:100])
    warned('depth image: expected the size of the image, 160x120, or the same view')
    rig.send(make_image(5), depth_image(scene[2]).astype(np.uint8), encoding='mono8')
    warned("expected a depth image of 16UC1 or 32FC1, got 'mono8'")
    rig.send(make_image(6), depth_image(scene[2]), frame_id='depth_camera')
    warned("the depth image is in the frame 'depth_camera' and the image in 'front_camera'")
    assert not rig.objects and not rig.points
    rig.send(make_image(7), depth_image(scene[2]), delay=10_000_000)
    assert rig.wait()[0].header.stamp.sec == 7
    reports.clear()
    graph.spin_until(lambda: reports and 'condition.depth' not in values_of(reports[-1]),
                     'the end of the warning')
    assert status_of(reports[-1])[0] == OK
    assert values_of(reports[-1])['frames_without_depth'] == '6'
    assert len(rig.flat) == 7 == graph.statistics.frames_out


@pytest.mark.parametrize('kind, topic, reliability, reason', [
    ('CompressedImage', 'depth', 'RELIABLE', '/stranger publishes sensor_msgs/msg/CompressedImage,'
     ' expected sensor_msgs/msg/Image'),
    ('Image', 'depth', 'BEST_EFFORT', 'the quality of service of /stranger does not fit'),
    ('CameraInfo', 'camera_info', 'BEST_EFFORT', 'of /stranger does not fit')])
def test_depth_and_calibration_that_can_not_arrive_are_told_with_the_reason(
        graph, tiny_model, scene, make_image, monkeypatch, kind, topic, reliability, reason):
    import sensor_msgs.msg
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    from instseg_ros.node import depth
    monkeypatch.setattr(depth, 'PATIENCE', 0.0)
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable',
                depth__enabled=True, depth__wait=0.0)
    graph.stranger().create_publisher(getattr(sensor_msgs.msg, kind), f'/{topic}', QoSProfile(
        depth=5, reliability=ReliabilityPolicy[reliability]))
    if topic == 'camera_info':
        graph.camera(topic='/depth').publish(
            ros_image(make_image(1).header, depth_image(scene[2]), '16UC1'))
    reports, camera = graph.diagnostics(), graph.camera()
    graph.listen(sensor_msgs.msg.PointCloud2, '/segmenter/points')

    def is_told():
        camera.publish(make_image(1))
        return reports and reason in values_of(reports[-1]).get('condition.depth', '')
    graph.spin_until(is_told, 'the reason')


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


def test_it_is_off_by_default(graph, tiny_model):
    graph.start('configure', 'activate', model=str(tiny_model))
    names = dict(graph.node.get_topic_names_and_types())
    assert '/segmenter/points' not in names and '/depth' not in names
    assert not graph.set_parameter('depth.tolerance', 0.1)  # live, whether it is used or not
    assert 'takes effect at configuration' in graph.set_parameter('depth.enabled', True)


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


def test_the_graph_is_asked_once_a_second_while_depth_is_missing(graph, tiny_model, scene,
                                                                 make_image, monkeypatch):
    from instseg_ros.node import depth
    monkeypatch.setattr(depth, 'PATIENCE', 0.0)
    rig = Rig(graph, tiny_model)
    asked, ask = [], graph.node.get_publishers_info_by_topic
    monkeypatch.setattr(graph.node, 'get_publishers_info_by_topic',
                        lambda topic: asked.append(topic) or ask(topic))
    reports = graph.diagnostics()
    for number in range(1, 21):
        rig.send(make_image(number), None)
    graph.spin_until(lambda: reports and 'condition.depth' in values_of(reports[-1]), 'a warning')
    checks = asked.count('/image')  # the camera's own check asks each time
    assert 1 <= asked.count('/depth') <= checks


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


def test_an_exception_costs_only_the_results_in_space(graph, tiny_model, scene, make_image,
                                                      monkeypatch):
    from instseg_ros.node import depth

    def fail(*args):
        raise RuntimeError('no more memory')

    rig, reports = Rig(graph, tiny_model), graph.diagnostics()
    rig.calibrate()
    with monkeypatch.context() as patch:
        patch.setattr(depth, 'object_boxes', fail)
        rig.send(make_image(1), depth_image(scene[2]))
        graph.spin_until(lambda: reports and 'no more memory' in values_of(reports[-1]).get(
            'condition.depth', ''), 'the error')
    assert status_of(reports[-1])[0] == ERROR
    rig.send(make_image(2), depth_image(scene[2]))
    assert rig.wait()[0].header.stamp.sec == 2


def test_deactivation_does_not_wait_for_ever(graph, tiny_model, scene, make_image, monkeypatch,
                                             capfd):
    """Results in space that never return cost their thread, and the node goes on."""
    import threading

    from instseg_ros.node import depth
    begun, go = threading.Event(), threading.Event()
    rig = Rig(graph, tiny_model, stage_timeout=0.1)
    rig.calibrate()
    with monkeypatch.context() as patch:
        patch.setattr(depth, 'object_boxes', lambda *args: begun.set() or go.wait())
        rig.send(make_image(1), depth_image(scene[2]))
        graph.spin_until(begun.is_set, 'results in space')
        assert graph.change_state('deactivate') and graph.state() == 'inactive'
    go.set()
    assert 'the results in space of an image have not returned' in ''.join(capfd.readouterr())
    assert graph.change_state('activate')
    rig.calibrate()
    rig.send(make_image(2), depth_image(scene[2]))
    graph.spin_until(lambda: rig.objects and rig.objects[-1].header.stamp.sec == 2, 'results')


def test_no_thread_stays_behind(graph, tiny_model):
    import threading

    from rclpy.lifecycle import TransitionCallbackReturn
    rig = Rig(graph, tiny_model)
    before = threading.active_count()
    for _ in range(10):
        for transition in ('deactivate', 'cleanup', 'configure', 'activate'):
            assert getattr(rig.graph.node, f'trigger_{transition}')() == \
                TransitionCallbackReturn.SUCCESS
    assert threading.active_count() == before
