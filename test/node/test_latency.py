"""The latency of the images as a topic of statistics."""
import numpy as np
import pytest

pytest.importorskip('tiny_models', reason='needs onnx')


def statistics_of(message):
    """Return the numbers of a message by the name of their kind."""
    from statistics_msgs.msg import StatisticDataType
    names = {getattr(StatisticDataType, f'STATISTICS_DATA_TYPE_{name}'): name for name in (
        'AVERAGE', 'MINIMUM', 'MAXIMUM', 'STDDEV', 'SAMPLE_COUNT')}
    return {names[item.data_type]: item.data for item in message.statistics}


def test_the_numbers_are_those_of_the_latencies(rclpy):
    from rclpy.time import Time

    from instseg_ros.node.latency import metrics_message
    seconds = [0.010, 0.020, 0.060]
    message = metrics_message('/segmenter', seconds, Time(seconds=3), Time(seconds=4))
    assert statistics_of(message) == pytest.approx({
        'AVERAGE': 30, 'MINIMUM': 10, 'MAXIMUM': 60, 'STDDEV': 1000 * np.std(seconds),
        'SAMPLE_COUNT': 3})
    assert (message.measurement_source_name, message.metrics_source, message.unit) == (
        '/segmenter', 'latency', 'ms')
    assert (message.window_start.sec, message.window_stop.sec) == (3, 4)


def test_they_are_published_while_results_are(graph, tiny_model, make_image):
    from statistics_msgs.msg import MetricsMessage
    node = graph.start('configure', 'activate', model=str(tiny_model),
                       image_reliability='reliable', image_depth=30)
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    messages = graph.listen(MetricsMessage, '/segmenter/statistics')
    camera.publish(make_image(1))  # of another clock: not comparable
    for _ in range(3):
        image = make_image()
        image.header.stamp = node.get_clock().now().to_msg()
        camera.publish(image)
    graph.spin_until(lambda: len(results) == 4, 'results')
    graph.spin_until(lambda: sum(statistics_of(message)['SAMPLE_COUNT']
                                 for message in messages) == 3, 'the statistics')
    for message in messages:
        found = statistics_of(message)
        assert 0 < found['MINIMUM'] <= found['AVERAGE'] <= found['MAXIMUM']
        assert message.window_start.sec <= message.window_stop.sec
    assert graph.change_state('deactivate') and graph.change_state('cleanup')
    graph.spin_until(lambda: graph.observer.count_publishers('/segmenter/statistics') == 0)
