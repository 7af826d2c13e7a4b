"""The time from the stamp of an image to its results, as a topic of statistics."""
from __future__ import annotations

import threading

import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from statistics_msgs.msg import MetricsMessage, StatisticDataPoint, StatisticDataType

from instseg_ros.node.statistics import COMPARABLE_AGE, MILLISECONDS

TOPIC = 'statistics'


class Latency:
    """Publishes mean, extremes and spread of the latency of a camera; `add` is for any thread.

    The message is that of ROS 2's own topic statistics (`/statistics` of rclcpp), so that the same
    tools show it.

    Parameters
    ----------
    node : Node
    prefix : str
        Of the topic's name, before `statistics`.
    """

    def __init__(self, node: Node, prefix: str) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._seconds: list[float] = []
        self._start = node.get_clock().now()
        self._publisher = node.create_publisher(MetricsMessage, f'~/{prefix}{TOPIC}', 10)

    def add(self, seconds: float) -> None:
        """Take the latency of an image that has been published, unless its clock is another."""
        if abs(seconds) <= COMPARABLE_AGE:
            with self._lock:
                self._seconds.append(seconds)

    def publish(self) -> None:
        """Publish the statistics of the time since the last call, and begin anew."""
        stop = self._node.get_clock().now()
        start, self._start = self._start, stop
        with self._lock:
            seconds, self._seconds = self._seconds, []
        if seconds:
            self._publisher.publish(metrics_message(
                self._node.get_fully_qualified_name(), seconds, start, stop))

    def destroy(self) -> None:
        """Remove the topic."""
        self._node.destroy_publisher(self._publisher)


def metrics_message(source: str, seconds: list[float], start: Time, stop: Time) -> MetricsMessage:
    """Return the statistics of latencies.

    Parameters
    ----------
    source : str
        Name of the node.
    seconds : list of float
        At least one.
    start, stop : Time
        Of the time in which the images were published.
    """
    values = np.array(seconds) * MILLISECONDS
    statistics = {
        StatisticDataType.STATISTICS_DATA_TYPE_AVERAGE: values.mean(),
        StatisticDataType.STATISTICS_DATA_TYPE_MINIMUM: values.min(),
        StatisticDataType.STATISTICS_DATA_TYPE_MAXIMUM: values.max(),
        StatisticDataType.STATISTICS_DATA_TYPE_STDDEV: values.std(),
        StatisticDataType.STATISTICS_DATA_TYPE_SAMPLE_COUNT: len(values)}
    return MetricsMessage(
        measurement_source_name=source, metrics_source='latency', unit='ms',
        window_start=start.to_msg(), window_stop=stop.to_msg(), statistics=[
            StatisticDataPoint(data_type=kind, data=float(value))
            for kind, value in statistics.items()])
