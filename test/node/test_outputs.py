"""What the node publishes beside labels and objects, and that nobody waits for it in vain."""
import cv2
import foxglove_layout
import numpy as np
import pytest

tiny_models = pytest.importorskip('tiny_models', reason='needs onnx')
values_of = pytest.importorskip('node_tools').values_of

DOUBT = 3
CONFIDENCE = 255 - 8 * DOUBT


@pytest.fixture
def active(graph, tiny_model):
    """Return the graph with an active, lazy node that loses nothing on the way."""
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable',
                image_depth=30, lazy=True, refinement__method='nearest')
    return graph


@pytest.fixture
def publish(active, scene, make_image):
    """Return a function that publishes the scene, whose classes are not quite certain."""
    _, semantic_ids, instance_ids = scene
    image = tiny_models.paint_scene(semantic_ids, instance_ids, tiny_models.tiny_info(),
                                    doubt=DOUBT)
    camera = active.camera()
    return lambda number=1: camera.publish(make_image(number, pixels=image))


def pixels(message, dtype=np.uint8):
    found = np.frombuffer(message.data, dtype)
    return found.reshape(message.height, message.width, -1).squeeze()


def types():
    from sensor_msgs.msg import CompressedImage, Image
    from vision_msgs.msg import Detection2DArray
    from visualization_msgs.msg import MarkerArray
    return {'semantic_image': Image, 'instance_image': Image, 'confidence_image': Image,
            'panoptic_image': Image, 'color_labels': Image, 'overlay': Image,
            'color_labels/compressed': CompressedImage,
            'overlay/compressed': CompressedImage, 'instances': Detection2DArray,
            'markers': MarkerArray}


def test_every_output_shows_the_same_result(active, publish, scene):
    _, semantic_ids, instance_ids = scene
    heard = {name: active.listen(kind, f'/segmenter/{name}') for name, kind in types().items()}
    publish(7)
    active.spin_until(lambda: all(heard.values()), 'a message on every topic')
    found = {name: messages[0] for name, messages in heard.items()}
    for name, message in found.items():
        header = message.markers[0].header if name == 'markers' else message.header
        assert (header.stamp.sec, header.frame_id) == (7, 'front_camera'), name
    assert np.array_equal(pixels(found['semantic_image']), semantic_ids)
    ids = pixels(found['instance_image'], np.uint16)
    assert np.array_equal(ids > 0, instance_ids > 0)
    assert found['confidence_image'].encoding == 'mono8'
    assert np.all(pixels(found['confidence_image']) == CONFIDENCE)
    panoptic = pixels(found['panoptic_image'], np.int32)
    assert found['panoptic_image'].encoding == '32SC1'
    assert np.array_equal(panoptic >> 16, semantic_ids) and np.array_equal(panoptic & 0xffff, ids)
    colors = pixels(found['color_labels'])
    assert len(np.unique(colors.reshape(-1, 3), axis=0)) == 3 and found['overlay'].step == 480
    png = cv2.imdecode(np.frombuffer(found['color_labels/compressed'].data, np.uint8),
                       cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(png, colors)
    jpeg = cv2.imdecode(np.frombuffer(found['overlay/compressed'].data, np.uint8),
                        cv2.IMREAD_COLOR)[..., ::-1]
    difference = np.abs(jpeg.astype(int) - pixels(found['overlay']))
    assert jpeg.shape == (120, 160, 3) and difference.mean() < 6


def test_markers_are_outlines_and_labels(active, publish):
    heard = active.listen(types()['markers'], '/segmenter/markers')
    publish()
    active.spin_until(lambda: heard, 'markers')
    first, *markers = heard[0].markers
    assert first.action == first.DELETEALL
    assert [(marker.ns, marker.id) for marker in markers] == [
        ('outlines', 1), ('labels', 1), ('outlines', 2), ('labels', 2)]
    assert {markers[1].text.rsplit(' ', 1)[0], markers[3].text.rsplit(' ', 1)[0]} == {
        'person 1', 'car 2'}
    for outline, label in (markers[:2], markers[2:]):
        assert outline.type == outline.LINE_LIST and label.type == label.TEXT_VIEW_FACING
        assert outline.color == label.color and len(outline.points) % 2 == 0
        assert all(point.z == 1 for point in outline.points)
    person, = (marker for marker in markers[::2] if marker.id == 1)
    # The box (16, 16, 56, 40) of an image of 160 x 120, on a plane that is 1 m wide.
    edges = [(min(axis), max(axis)) for axis in zip(*((p.x, p.y) for p in person.points))]
    assert edges[0] == pytest.approx(((16 - 79.5) / 160, (55 - 79.5) / 160), abs=0.01)
    assert edges[1] == pytest.approx(((16 - 59.5) / 160, (39 - 59.5) / 160), abs=0.01)


def test_only_what_is_listened_to_is_made(active, publish, monkeypatch):
    from instseg_ros.messages import results
    from instseg_ros.node import outputs
    made = []
    monkeypatch.setattr(outputs, 'OUTPUTS', {
        name: output._replace(make=lambda types, result, name=name, make=output.make: (
            made.append((name, result.segmentation.semantic_confidence is not None)),
            make(types, result))[1]) for name, output in results.OUTPUTS.items()})
    heard = active.listen(types()['instances'], '/segmenter/instances')
    publish()
    active.spin_until(lambda: heard, 'the objects')
    assert made == [('instances', False)]
    confidences = active.listen(types()['confidence_image'], '/segmenter/confidence_image')
    publish(2)
    active.spin_until(lambda: confidences, 'the confidence')
    assert set(made[1:]) == {('instances', True), ('confidence_image', True)}


def test_images_are_skipped_while_nobody_listens(active, publish, monkeypatch):
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from vision_msgs.msg import LabelInfo
    diagnostics = active.diagnostics()
    active.listen(LabelInfo, '/segmenter/label_info', QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    segmenter = active.node._stages.segmenter
    monkeypatch.setattr(segmenter, 'infer', lambda image: pytest.fail('not lazy'))
    for number in range(3):
        publish(number)
    active.spin_until(lambda: active.statistics.frames_skipped == 3, 'three skipped images')
    seen = len(diagnostics)
    active.spin_until(lambda: len(diagnostics) > seen + 1, 'diagnostics')
    status, = diagnostics[-1].status
    assert status.level == status.OK and status.message == 'active: idle: no subscribers'
    values = values_of(diagnostics[-1])
    assert (values['frames_in'], values['frames_out'], values['frames_skipped']) == ('0', '0', '3')
    assert values['last_error'] == ''
    monkeypatch.undo()
    heard = active.listen(types()['instances'], '/segmenter/instances')
    publish(9)
    active.spin_until(lambda: heard, 'a result once somebody listens')
    assert [message.header.stamp.sec for message in heard] == [9]
    seen = len(diagnostics)
    active.spin_until(lambda: len(diagnostics) > seen + 1, 'diagnostics')
    assert 'images/s' in diagnostics[-1].status[0].message


def test_a_node_that_is_not_lazy_processes_every_image(graph, tiny_model, make_image):
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable',
                lazy=False)
    graph.camera().publish(make_image())
    graph.spin_until(lambda: graph.statistics.frames_out == 1, 'a result that nobody hears')
    assert graph.statistics.frames_skipped == 0


def test_without_confidence_in_the_model_there_is_no_topic_for_it(graph, tmp_path, make_image,
                                                                  capfd):
    tiny_models.write_tiny_model(tmp_path / 'older.onnx', confidence=False)
    node = graph.start('configure', 'activate', model=str(tmp_path / 'older.onnx'))
    names = {publisher.topic_name for publisher in node.publishers}
    assert '/segmenter/confidence_image' not in names and '/segmenter/markers' in names
    assert 'no topic confidence_image: the model has no confidence' in capfd.readouterr().err
    results, camera = graph.listen_to_results(), graph.camera()
    graph.spin_until(lambda: camera.publish(make_image()) or results['instances'], 'a result')


def test_a_picture_that_is_too_large_costs_no_result(active, make_image):
    diagnostics, heard = active.diagnostics(), {
        name: active.listen(types()[name], f'/segmenter/{name}')
        for name in ('overlay/compressed', 'instances')}
    active.camera().publish(make_image(pixels=np.zeros((1, 65501, 3), np.uint8)))
    active.spin_until(lambda: heard['instances'], 'the objects')
    active.spin_until(lambda: any('condition.picture' in values_of(message)
                                  for message in diagnostics), 'the reason')
    assert not heard['overlay/compressed'] and active.statistics.frames_dropped == 0


def test_a_slow_listener_of_one_topic_costs_the_others_nothing(active, publish):
    """Its queue of one message is full all the time: it is never spun."""
    from rclpy.qos import QoSProfile
    heard = active.listen(types()['instances'], '/segmenter/instances')
    slow = active._rclpy.create_node('slow', context=active.context)
    active._stack.callback(slow.destroy_node)
    for name in ('overlay', 'confidence_image'):
        slow.create_subscription(types()[name], f'/segmenter/{name}', lambda message: None,
                                 QoSProfile(depth=1))
    outputs = active.node._cameras[0].outputs
    active.spin_until(lambda: outputs.wants('overlay') and outputs.wants('confidence_image'),
                      'the slow listener')
    for number in range(20):
        publish(number)
    active.spin_until(lambda: len(heard) == 20, 'all results')
    assert [message.header.stamp.sec for message in heard] == list(range(20))


def test_the_layout_for_foxglove_shows_topics_of_the_node():
    from instseg_ros.node.outputs import TOPICS
    assert foxglove_layout.topics() <= {f'/segmenter/{name}' for name in TOPICS}
