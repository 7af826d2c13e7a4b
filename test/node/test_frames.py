"""What comes out of the node for what goes in, over real DDS."""
import sys

import numpy as np
import pytest

tiny_models = pytest.importorskip('tiny_models', reason='needs onnx')
node_tools = pytest.importorskip('node_tools')
values_of, wait_for = node_tools.values_of, node_tools.wait_for


@pytest.fixture
def active(graph, tiny_model):
    """Return the graph with an active node that loses nothing on the way."""
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable')
    return graph


def pixels_of(message, dtype):
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width, -1).squeeze()


def test_results_hold_what_is_in_the_image_and_carry_its_header(active, scene, make_image):
    results, camera = active.listen_to_results(), active.camera()
    image = make_image(7, frame_id='left_camera')
    camera.publish(image)
    active.spin_until(lambda: all(results.values()), 'results')
    semantic, instance, detections = (messages[0] for messages in results.values())
    assert [message.header for message in (semantic, instance, detections)] == [image.header] * 3
    assert (semantic.encoding, semantic.step, len(semantic.data)) == ('mono8', 160, 160 * 120)
    assert (instance.encoding, instance.step, len(instance.data)) == ('mono16', 320, 320 * 120)
    assert instance.is_bigendian == (sys.byteorder == 'big')
    _, semantic_ids, instance_ids = scene
    np.testing.assert_array_equal(pixels_of(semantic, np.uint8), semantic_ids)
    np.testing.assert_array_equal(pixels_of(instance, np.uint16), instance_ids)


def test_detections_name_the_pixels_of_the_instance_image(active, make_image):
    results, camera = active.listen_to_results(), active.camera()
    camera.publish(make_image())
    active.spin_until(lambda: all(results.values()), 'results')
    instances = pixels_of(results['instance_image'][0], np.uint16)
    semantics = pixels_of(results['semantic_image'][0], np.uint8)
    detections = results['instances'][0].detections
    assert [entry.results[0].hypothesis.class_id for entry in detections] == ['1', '3']
    for entry in detections:
        y, x = np.nonzero(instances == int(entry.id))
        box, hypothesis = entry.bbox, entry.results[0].hypothesis
        assert set(semantics[y, x]) == {int(hypothesis.class_id)}
        assert (box.size_x, box.size_y) == (np.ptp(x) + 1, np.ptp(y) + 1)
        assert box.center.position.x - box.size_x / 2 == x.min()
        assert box.center.position.y - box.size_y / 2 == y.min()
        center = entry.results[0].pose.pose.position
        assert abs(center.x - x.mean()) < 4 and abs(center.y - y.mean()) < 4
        assert entry.header == results['instances'][0].header
    scores = [entry.results[0].hypothesis.score for entry in detections]
    assert scores == pytest.approx([1.0, 0.8], abs=0.01)


def test_an_image_without_objects_gives_empty_results(active, make_image):
    results, camera = active.listen_to_results(), active.camera()
    camera.publish(make_image(pixels=np.zeros((50, 70, 3), np.uint8)))
    active.spin_until(lambda: all(results.values()), 'results')
    assert results['instances'][0].detections == []
    assert not any(results['instance_image'][0].data)
    assert (results['semantic_image'][0].height, results['semantic_image'][0].width) == (50, 70)


def test_label_info_reaches_those_that_come_late(active):
    from vision_msgs.msg import LabelInfo

    from instseg_ros.node.qos import LATCHED_QOS
    for _ in range(2):
        labels = active.listen(LabelInfo, '/segmenter/label_info', LATCHED_QOS)
        active.spin_until(lambda: labels, 'label info')
        assert [(entry.class_id, entry.class_name) for entry in labels[0].class_map] == list(
            enumerate(tiny_models.CLASS_NAMES))


def test_bad_images_between_good_ones_are_counted_and_survived(active, make_image):
    results, camera, diagnostics = (active.listen_to_results(), active.camera(),
                                    active.diagnostics())

    def bad(**changes):
        message = make_image(99)
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    damage = [bad(data=[]), bad(data=list(range(9))), bad(encoding='paisley'), bad(height=0),
              bad(step=12), bad(step=481), bad(width=2 ** 31)]
    for number, message in enumerate(damage, start=1):
        camera.publish(message)
        active.spin_until(lambda: active.statistics.frames_dropped == number, 'a bad image')
        camera.publish(make_image(number))
        active.spin_until(lambda: len(results['instances']) == number, 'a result')
    assert [message.header.stamp.sec for message in results['instances']] == [1, 2, 3, 4, 5, 6, 7]
    active.spin_until(lambda: diagnostics and values_of(diagnostics[-1])['frames_out'] == '7')
    values = values_of(diagnostics[-1])
    assert (values['frames_in'], values['frames_dropped']) == ('14', '7')
    assert values['frames_dropped.invalid'] == '7'
    assert values['last_error'].startswith('image dropped: step: expected at least')


@pytest.mark.parametrize('stage', ['infer', 'postprocess'])
def test_an_error_while_processing_costs_one_image(active, make_image, monkeypatch, stage):
    results, camera, diagnostics = (active.listen_to_results(), active.camera(),
                                    active.diagnostics())

    def fail(image_or_inference, **options):
        raise RuntimeError('out of luck')
    with monkeypatch.context() as patch:
        patch.setattr(active.node._stages.segmenter, stage, fail)
        camera.publish(make_image(1))
        active.spin_until(lambda: active.statistics.frames_dropped, 'the failure')
    camera.publish(make_image(2))
    active.spin_until(lambda: all(results.values()), 'results')
    assert [message.header.stamp.sec for message in results['instances']] == [2]
    active.spin_until(lambda: diagnostics and values_of(diagnostics[-1])['frames_out'] == '1')
    assert 'out of luck' in values_of(diagnostics[-1])['last_error']
    assert values_of(diagnostics[-1])['frames_dropped.error'] == '1'
    assert max(message.status[0].level for message in diagnostics) == b'\x02'


def test_the_newest_image_wins_when_they_come_ten_times_too_fast(active, make_image, monkeypatch):
    """While one image is in the network ten more arrive: only the last of them counts."""
    results, camera = active.listen_to_results(), active.camera()
    segmenter, statistics = active.node._stages.segmenter, active.statistics
    infer, sent = segmenter.infer, [1]

    def slow_infer(image):
        if sent[0] <= 50:
            for _ in range(10):
                camera.publish(make_image(sent[0]))
                sent[0] += 1
            wait_for(lambda: statistics.frames_in + statistics.frames_superseded == sent[0])
        return infer(image)
    monkeypatch.setattr(segmenter, 'infer', slow_infer)
    camera.publish(make_image(0))
    for messages in results.values():
        active.spin_until(lambda: len(messages) == 6, 'results')
        assert [message.header.stamp.sec for message in messages] == [0, 10, 20, 30, 40, 50]
    assert (statistics.frames_in, statistics.frames_superseded) == (6, 45)


def test_the_overlay_is_only_drawn_for_subscribers(active, scene, make_image, monkeypatch):
    from sensor_msgs.msg import Image

    from instseg_ros.messages import results as outputs
    drawn = []
    overlay = outputs.overlay

    def spy(*args, **kwargs):
        drawn.append(1)
        return overlay(*args, **kwargs)
    monkeypatch.setattr(outputs, 'overlay', spy)
    results, camera = active.listen_to_results(), active.camera()
    camera.publish(make_image(1))
    active.spin_until(lambda: all(results.values()), 'results')
    assert not drawn
    overlays = active.listen(Image, '/segmenter/overlay')
    active.spin_until(lambda: active.node.count_subscribers('/segmenter/overlay') == 1)
    image = make_image(2)
    camera.publish(image)
    active.spin_until(lambda: overlays, 'an overlay')
    assert len(drawn) == 1
    assert overlays[0].header == image.header
    assert (overlays[0].encoding, overlays[0].width, overlays[0].height) == ('rgb8', 160, 120)
    assert not np.array_equal(pixels_of(overlays[0], np.uint8), scene[0])


@pytest.mark.parametrize('encoding, change', [
    ('bgr8', lambda rgb: rgb[..., ::-1]),
    ('rgba8', lambda rgb: np.dstack([rgb, rgb[..., :1]])),
    ('rgb16', lambda rgb: rgb.astype(np.uint16) * 257),
])
def test_other_encodings_give_the_same_result(active, scene, make_image, encoding, change):
    results, camera = active.listen_to_results(), active.camera()
    camera.publish(make_image(pixels=change(scene[0]), encoding=encoding))
    active.spin_until(lambda: all(results.values()), 'results')
    np.testing.assert_array_equal(pixels_of(results['instance_image'][0], np.uint16), scene[2])
