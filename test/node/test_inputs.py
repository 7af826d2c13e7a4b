"""Images in every form that cameras send, over real DDS, and what is told when none come."""
import os
import subprocess
import sys
from zlib import crc32

import cv2
import numpy as np
import pytest
from image_messages import PLANAR, message, planar

from instseg_ros.installed import FAST_DDS_VARIABLES

tiny_models = pytest.importorskip('tiny_models', reason='needs onnx')
node_tools = pytest.importorskip('node_tools')
values_of = node_tools.values_of


@pytest.fixture
def start(graph, tiny_model):
    """Return a function that makes an active node that loses nothing on the way."""
    def make(*states, **parameters):
        return graph.start(*(states or ('configure', 'activate')), model=str(tiny_model),
                           **{'image_reliability': 'reliable', **parameters})
    return make


def ids_of(message):
    """Return the pixels of a label image."""
    dtype = {'mono8': np.uint8, 'mono16': np.uint16}[message.encoding]
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def conditions(message):
    return {key.partition('.')[2]: text for key, text in values_of(message).items()
            if key.startswith('condition.')}


def wait_for_condition(graph, diagnostics, name, words=''):
    """Wait until the node reports a condition, and return its text."""
    def found():
        present = conditions(diagnostics[-1]) if diagnostics else {}
        return name in present and words in present[name]
    graph.spin_until(found, f'the condition {name}')
    assert diagnostics[-1].status[0].level == b'\x01'
    return conditions(diagnostics[-1])[name]


def wait_until_well(graph, diagnostics):
    graph.spin_until(lambda: diagnostics and diagnostics[-1].status[0].level == b'\x00', 'health')


@pytest.fixture
def compress(rclpy, scene):
    """Return a function that makes a compressed message of the scene."""
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import CompressedImage
    from std_msgs.msg import Header

    def make(number, suffix='.png', text='rgb8; png compressed bgr8', data=None):
        if data is None:
            options = [cv2.IMWRITE_JPEG_QUALITY, 100] if suffix == '.jpg' else []
            data = cv2.imencode(suffix, scene[0][..., ::-1], options)[1].tobytes()
        return CompressedImage(header=Header(stamp=Time(sec=number), frame_id='front'),
                               format=text, data=data)
    return make


class TestCompressed:

    @pytest.fixture
    def camera(self, graph, start):
        from sensor_msgs.msg import CompressedImage
        start(image_transport='compressed')
        return graph.camera(topic='/image/compressed', message_type=CompressedImage)

    def test_png_gives_the_labels_of_the_raw_image(self, graph, camera, compress, scene):
        results, message = graph.listen_to_results(), compress(7)
        camera.publish(message)
        graph.spin_until(lambda: all(results.values()), 'results')
        np.testing.assert_array_equal(ids_of(results['semantic_image'][0]), scene[1])
        np.testing.assert_array_equal(ids_of(results['instance_image'][0]), scene[2])
        assert results['instances'][0].header == message.header

    def test_jpeg_gives_the_labels_of_its_decoded_image(self, graph, camera, compress,
                                                        tiny_model):
        from instseg_ros import Segmenter
        from instseg_ros.bags.conversions import find_converter, to_rgb
        results, message = graph.listen_to_results(), compress(1, '.jpg', 'jpeg')
        expected = Segmenter.from_onnx(tiny_model).segment(to_rgb(message, find_converter()))
        camera.publish(message)
        graph.spin_until(lambda: all(results.values()), 'results')
        np.testing.assert_array_equal(ids_of(results['semantic_image'][0]),
                                      expected.semantic_ids)
        assert len(set(expected.semantic_ids.flat)) > 1

    def test_damage_is_dropped_with_its_reason_and_counted(self, graph, camera, compress):
        whole = bytes(compress(1).data)
        # The size in the header grows; its checksum is made to fit.
        bomb = bytearray(whole)
        bomb[16:24] = (50000).to_bytes(4, 'big') * 2
        bomb[29:33] = crc32(bomb[12:29]).to_bytes(4, 'big')
        bad = {'its end is missing': {'data': whole[:-20]},
               'expected at most': {'data': bytes(bomb)},
               'expected JPEG or PNG': {'data': b'GIF89a and more'},
               'got a depth image': {'text': '16UC1; compressedDepth png'}}
        results, diagnostics = graph.listen_to_results()['instances'], graph.diagnostics()
        for number, (reason, fields) in enumerate(bad.items(), start=1):
            camera.publish(compress(number, **fields))
            text = wait_for_condition(graph, diagnostics, 'image_dropped', reason)
            assert text.startswith('image dropped: ')
            graph.spin_until(lambda: graph.statistics.frames_dropped == number, 'a count')
        camera.publish(compress(9))
        graph.spin_until(lambda: results, 'a result')
        assert results[0].header.stamp.sec == 9
        assert graph.statistics.frames_dropped == len(bad)


@pytest.mark.parametrize('encoding', ['rgb8', 'mono8', '16UC3', '32FC1', 'nv12', 'nv21', 'nv24',
                                      'yuv420', 'i420', 'bayer_rggb8', 'yuv422_yuy2'])
@pytest.mark.parametrize('alignment', [1, 4, 64])
def test_every_encoding_gives_what_the_library_finds_in_its_pixels(graph, start, tiny_model,
                                                                   scene, encoding, alignment):
    """Also with rows that begin at multiples of 4 or 64 bytes, whatever the size of a pixel."""
    from instseg_ros import Segmenter
    from instseg_ros.bags.conversions import find_converter, to_rgb
    packed = encode(scene[0][:, :154], encoding)
    expected = Segmenter.from_onnx(tiny_model).segment(to_rgb(packed, find_converter()))
    start()
    results, camera = graph.listen_to_results(), graph.camera()
    camera.publish(ros_image(encode(scene[0][:, :154], encoding,
                                    padding=-packed.step % alignment)))
    graph.spin_until(lambda: all(results.values()), 'results')
    np.testing.assert_array_equal(ids_of(results['semantic_image'][0]), expected.semantic_ids)
    np.testing.assert_array_equal(ids_of(results['instance_image'][0]), expected.instance_ids)


def encode(rgb, encoding, padding=0):
    """Return a message of an image; one with a Bayer pattern or YUYV shows other colours."""
    if encoding in PLANAR:
        return planar(rgb, encoding, padding=padding)
    gray = rgb[..., 1]
    pixels = {'rgb8': rgb, '16UC3': rgb[..., ::-1].astype(np.uint16) * 257,
              '32FC1': gray.astype(np.float32) / 255,
              'yuv422_yuy2': rgb[..., :2]}.get(encoding, gray)
    return message(pixels, encoding, padding=padding)


def ros_image(fields):
    from sensor_msgs.msg import Image
    return Image(**vars(fields))


@pytest.mark.parametrize('degrees', [90, 180, 270])
def test_a_turned_camera_gets_results_in_its_own_orientation(graph, start, scene, make_image,
                                                             degrees):
    from instseg_ros.core.rotation import rotate_back
    image, semantic_ids, instance_ids = scene
    start(rotate=degrees)
    results, camera = graph.listen_to_results(), graph.camera()
    camera.publish(make_image(pixels=rotate_back(image, degrees)))
    graph.spin_until(lambda: all(results.values()), 'results')
    found = ids_of(results['instance_image'][0])
    np.testing.assert_array_equal(found, rotate_back(instance_ids, degrees))
    np.testing.assert_array_equal(ids_of(results['semantic_image'][0]),
                                  rotate_back(semantic_ids, degrees))
    detections = results['instances'][0].detections
    assert detections
    for detection in detections:
        y, x = np.nonzero(found == int(detection.id))
        box, center = detection.bbox, detection.results[0].pose.pose.position
        assert (box.center.position.x - box.size_x / 2,
                box.center.position.y - box.size_y / 2) == (x.min(), y.min())
        assert (box.size_x, box.size_y) == (np.ptp(x) + 1, np.ptp(y) + 1)
        assert abs(center.x - x.mean()) < 4 and abs(center.y - y.mean()) < 4


def test_cameras_may_have_parameters_of_their_own(graph, start, scene, make_image, compress):
    from sensor_msgs.msg import CompressedImage
    start(cameras=['front', 'rear'], rear__image_transport='compressed', front__rotate=180)
    results = {name: graph.listen_to_results(name) for name in ('front', 'rear')}
    front = graph.camera(topic='/front/image')
    rear = graph.camera(topic='/rear/image/compressed', message_type=CompressedImage)
    front.publish(make_image(pixels=scene[0][::-1, ::-1]))
    rear.publish(compress(1))
    for messages in results.values():
        graph.spin_until(lambda messages=messages: all(messages.values()), 'results')
    np.testing.assert_array_equal(ids_of(results['front']['instance_image'][0]),
                                  scene[2][::-1, ::-1])
    np.testing.assert_array_equal(ids_of(results['rear']['instance_image'][0]), scene[2])
    assert graph.set_parameter('front.rotate', 180) == ''
    assert 'deactivate the node first' in graph.set_parameter('front.rotate', 90)
    assert graph.set_parameter('front.max_age', 'old').startswith(
        'front.max_age: expected a value of type float')
    assert graph.set_parameter('front.max_age', 0.5) == ''
    assert {camera.name: camera.config.max_age for camera in graph.node._cameras} == {
        'front': 0.5, 'rear': 0.0}


CAMERA_PROCESS = """
import select, sys
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

rclpy.init()
node = rclpy.create_node('large_camera')
publisher = node.create_publisher(Image, '/image', qos_profile_sensor_data)
image = Image(height=1000, width=1300, step=1300, encoding='mono8', data=bytes(1300000))
while not select.select([sys.stdin], [], [], 0.05)[0]:
    publisher.publish(image)
"""
"""Publishes images of 1.3 MB as long as its standard input is open."""


class TestProblems:

    @pytest.mark.parametrize('transport, topic, sent, remedy', [
        ('raw', '/image', 'CompressedImage', 'set image_transport to compressed'),
        ('raw', '/image/compressed', 'CompressedImage', 'set image_transport to compressed'),
        ('compressed', '/image', 'Image', 'set image_transport to raw')])
    @pytest.mark.parametrize('is_early', [False, True])
    def test_a_wrong_type_is_told_with_the_types_not_with_quality_of_service(
            self, graph, start, capfd, transport, topic, sent, remedy, is_early):
        """Also if it was there, and was told, before the node was activated."""
        import sensor_msgs.msg
        start('configure', image_transport=transport)
        diagnostics = graph.diagnostics()
        if not is_early:
            assert graph.change_state('activate')
        graph.stranger().create_publisher(getattr(sensor_msgs.msg, sent), topic, 5)
        # The name of the publisher's node comes a little later than its type.
        text = wait_for_condition(graph, diagnostics, 'type.image', '/stranger')
        assert f'/stranger publishes sensor_msgs/msg/{sent} on {topic}' in text and remedy in text
        if is_early:
            assert graph.change_state('activate')
            graph.spin_until(lambda: diagnostics[-1].status[0].message.startswith('active: '))
        # What was told is not replaced by other advice later.
        count = len(diagnostics)
        graph.spin_until(lambda: len(diagnostics) > count + 6, 'reports')
        for report in diagnostics[count:]:
            assert set(conditions(report)) == {'type.image'}
        assert ''.join(capfd.readouterr()).count('/stranger publishes') == 1

    def test_reliability_follows_the_publishers(self, graph, start, make_image):
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import Image
        node = start(image_reliability='auto')
        results, diagnostics = graph.listen_to_results()['instances'], graph.diagnostics()

        def reliability():
            return [end.qos_profile.reliability
                    for end in node.get_subscriptions_info_by_topic('/image')]
        reliable = graph.observer.create_publisher(Image, '/image', 5)
        graph.spin_until(lambda: reliability() == [ReliabilityPolicy.RELIABLE], 'RELIABLE')
        graph.spin_until(lambda: reliable.publish(make_image(1)) or results, 'a result')
        graph.camera(QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
        graph.spin_until(lambda: reliability() == [ReliabilityPolicy.BEST_EFFORT], 'BEST_EFFORT')
        wait_until_well(graph, diagnostics)
        assert not any('qos.image' in conditions(report) for report in diagnostics)

    def test_a_camera_that_dies_and_returns_is_told_and_taken_again(self, graph, start, make_image,
                                                                    monkeypatch):
        from instseg_ros.node import image_input
        start()
        results, diagnostics = graph.listen_to_results()['instances'], graph.diagnostics()
        for number in (1, 2):
            monkeypatch.setattr(image_input, 'SILENCE', 0.5)
            camera = graph.camera()
            graph.spin_until(lambda camera=camera, number=number: camera.publish(
                make_image(number)) or any(result.header.stamp.sec == number
                                           for result in results), 'a result')
            graph.observer.destroy_publisher(camera)
            assert 'nobody publishes on /image' in wait_for_condition(
                graph, diagnostics, 'silence', 'nobody')
        monkeypatch.setattr(image_input, 'SILENCE', 60.0)
        graph.spin_until(lambda: 'silence' not in conditions(diagnostics[-1]), 'the end of it')

    def test_losses_are_counted_apart_and_told_until_they_end(self, graph, start, monkeypatch,
                                                              make_image):
        from instseg_ros.node import image_input
        from instseg_ros.node.rclpy_versions import subscribe
        report_lost = []

        def spy(*args, on_lost, **options):
            report_lost.append(on_lost)
            return subscribe(*args, on_lost=on_lost, **options)
        monkeypatch.setattr(image_input, 'subscribe', spy)
        monkeypatch.setattr(image_input, 'SILENCE', 60.0)
        start()
        diagnostics, camera = graph.diagnostics(), graph.camera()
        report_lost[0](3)
        text = wait_for_condition(graph, diagnostics, 'images_lost')
        assert 'images from /observer on /image are lost on the way: ' in text
        values = values_of(diagnostics[-1])
        assert (values['frames_lost'], values['frames_superseded']) == ('3', '0')
        monkeypatch.setattr(image_input, 'SILENCE', 0.001)
        camera.publish(make_image())
        graph.spin_until(lambda: 'images_lost' not in conditions(diagnostics[-1]), 'the end of it')

    def test_large_images_that_fast_dds_loses_are_counted_with_the_remedy(self, graph, rclpy,
                                                                          tiny_model):
        """The other process has the shared memory that Fast DDS gives by default: 512 KB."""
        if not rclpy.utilities.get_rmw_implementation_identifier().startswith('rmw_fastrtps'):
            pytest.skip('needs Fast DDS')
        graph.start('configure', 'activate', model=str(tiny_model))
        diagnostics = graph.diagnostics()
        environment = {name: value for name, value in os.environ.items()
                       if name not in FAST_DDS_VARIABLES}
        with subprocess.Popen([sys.executable, '-c', CAMERA_PROCESS], stdin=subprocess.PIPE,
                              env=environment) as process:
            try:
                text = wait_for_condition(graph, diagnostics, 'images_lost', '/large_camera')
            finally:
                process.stdin.close()
        assert 'start /large_camera with the Fast DDS profile config/fastdds.xml' in text
        assert int(values_of(diagnostics[-1])['frames_lost']) > 0

    def test_other_policies_have_override_parameters(self, graph, start):
        from rclpy.qos import DurabilityPolicy
        from sensor_msgs.msg import Image
        node = start(**{'qos_overrides./image.subscription.durability': 'transient_local'})
        graph.spin_until(lambda: node.get_subscriptions_info_by_topic('/image'))
        assert node.get_subscriptions_info_by_topic('/image')[0].qos_profile.durability == (
            DurabilityPolicy.TRANSIENT_LOCAL)
        diagnostics = graph.diagnostics()
        graph.observer.create_publisher(Image, '/image', 5)
        assert 'qos_overrides./image' in wait_for_condition(graph, diagnostics, 'qos.image')


def test_200_images_a_second_are_processed_or_superseded_and_none_piles_up(graph, start,
                                                                           make_image):
    start()
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    images, count = iter([make_image(number) for number in range(1, 201)]), 200
    timer = graph.observer.create_timer(0.005, lambda: camera.publish(next(images, images_end)))
    images_end = make_image(1000)
    statistics = graph.statistics
    graph.spin_until(lambda: results and results[-1].header.stamp.sec == 1000, 'the last image')
    timer.cancel()
    assert statistics.frames_lost == 0
    assert statistics.frames_in + statistics.frames_superseded >= count
    numbers = [result.header.stamp.sec for result in results]
    assert numbers == sorted(numbers)
