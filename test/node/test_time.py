"""Simulated time and stamps of every kind, as players of bags give them, over real DDS."""
import pytest

pytest.importorskip('tiny_models', reason='needs onnx')
values_of = pytest.importorskip('node_tools').values_of


@pytest.fixture
def replay(graph, tiny_model):
    """Return a replay into an active node in simulated time."""
    return Replay(graph, tiny_model)


class Replay:

    def __init__(self, graph, model):
        from rosgraph_msgs.msg import Clock
        self._graph, self._model, self._Clock = graph, model, Clock
        self._clock = graph.observer.create_publisher(Clock, '/clock', 5)

    def start(self, **parameters):
        self.node = self._graph.start(
            'configure', 'activate', model=str(self._model), use_sim_time=True,
            image_reliability='reliable', **parameters)
        self.results = self._graph.listen_to_results()['instances']
        self._camera = self._graph.camera()
        return self

    def set_clock(self, seconds):
        from rclpy.time import Time
        message = self._Clock(clock=Time(nanoseconds=round(seconds * 1e9)).to_msg())
        self._graph.spin_until(
            lambda: self._clock.publish(message) or self.node.get_clock().now().nanoseconds
            == round(seconds * 1e9), 'the clock')

    def send(self, image):
        """Publish an image, and wait until it was processed or dropped."""
        statistics = self._graph.statistics
        before = len(self.results), statistics.frames_dropped
        self._camera.publish(image)
        self._graph.spin_until(
            lambda: (len(self.results), statistics.frames_dropped) != before, 'a result')

    def ids(self):
        return [detection.id for detection in self.results[-1].detections]


def test_stamps_that_repeat_stand_still_at_zero_or_jump_back_are_all_processed(replay,
                                                                               make_image):
    replay.start()
    stamps = [0, 0, 5, 6, 6, 7, 5, 6, 0, 1, 2 ** 31 - 1, 3]
    for stamp in stamps:
        replay.set_clock(stamp)
        replay.send(make_image(stamp))
    assert [result.header.stamp.sec for result in replay.results] == stamps


def test_images_are_processed_whatever_their_distance_from_the_clock(replay, make_image):
    replay.start()
    replay.set_clock(1000)
    stamps = [1, 999, 1000, 5000]
    for stamp in stamps:
        replay.send(make_image(stamp))
    assert [result.header.stamp.sec for result in replay.results] == stamps


def test_ids_begin_anew_where_a_loop_does(replay, make_image):
    replay.start(tracking__enabled=True)
    seen = []
    for stamp in [5, 6, 6, 5, 6]:
        replay.set_clock(stamp)
        replay.send(make_image(stamp))
        seen.append(replay.ids())
    assert seen[0] == seen[1] == seen[2] and seen[3] == seen[4]
    assert not set(seen[0]) & set(seen[3])


def test_a_limit_of_age_takes_effect_at_once_and_drops_with_the_reason(graph, replay, make_image):
    replay.start()
    diagnostics = graph.diagnostics()
    replay.set_clock(100)
    assert graph.set_parameter('max_age', 10.5) == ''
    for stamp in (89, 90, 200):
        replay.send(make_image(stamp))
    assert [result.header.stamp.sec for result in replay.results] == [90, 200]
    graph.spin_until(lambda: diagnostics and values_of(diagnostics[-1]).get(
        'frames_dropped.old') == '1', 'the count')
    graph.spin_until(lambda: any(
        'image dropped: it is 11.000 s old, max_age is 10.5 s'
        in values_of(report).get('condition.image_dropped', '') for report in diagnostics))
    assert graph.set_parameter('max_age', 0.0) == ''
    replay.send(make_image(1))
    assert replay.results[-1].header.stamp.sec == 1
    assert graph.statistics.frames_dropped == 1


def test_labels_get_a_stamp_once_time_begins(graph, replay):
    from vision_msgs.msg import LabelInfo

    from instseg_ros.node.qos import LATCHED_QOS
    replay.start()
    labels = graph.listen(LabelInfo, '/segmenter/label_info', LATCHED_QOS)
    graph.spin_until(lambda: labels, 'labels')
    assert (labels[0].header.stamp.sec, labels[0].header.stamp.nanosec) == (0, 0)
    replay.set_clock(7)
    graph.spin_until(lambda: len(labels) == 2, 'labels with a stamp')
    assert labels[1].header.stamp.sec == 7 and labels[1].class_map == labels[0].class_map


def test_a_paused_player_is_not_silent_and_one_that_goes_on_is(graph, replay, make_image,
                                                               monkeypatch):
    from instseg_ros.node import image_input
    monkeypatch.setattr(image_input, 'SILENCE', 0.001)
    monkeypatch.setattr(image_input, 'REPLAY_SILENCE', 0.001)
    replay.start()
    diagnostics = graph.diagnostics()
    replay.set_clock(5)
    replay.send(make_image(5))
    count = len(diagnostics)
    graph.spin_until(lambda: len(diagnostics) >= count + 4, 'reports')
    assert not any('condition.silence' in values_of(report) for report in diagnostics[-2:])
    seconds = iter(range(6, 10 ** 6))
    graph.spin_until(lambda: replay.set_clock(next(seconds)) or 'condition.silence' in values_of(
        diagnostics[-1]), 'the warning')


def test_a_player_that_reads_on_for_a_while_is_not_silent(replay, graph, make_image, monkeypatch):
    """Time goes on without images, for longer than a camera may be silent."""
    from instseg_ros.node import image_input
    monkeypatch.setattr(image_input, 'SILENCE', 0.001)
    replay.start()
    diagnostics = graph.diagnostics()
    replay.set_clock(5)
    replay.send(make_image(5))
    count, seconds = len(diagnostics), iter(range(6, 10 ** 6))
    graph.spin_until(lambda: replay.set_clock(next(seconds)) or len(diagnostics) >= count + 4,
                     'reports')
    assert not any('condition.silence' in values_of(report) for report in diagnostics[-2:])
