"""Publish the diagnostics, by `diagnostic_updater` where it is installed."""
from __future__ import annotations

from typing import Iterable

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from std_msgs.msg import Header

from instseg_ros.node.diagnostics import Report, status

try:
    from diagnostic_updater import Updater
except ModuleNotFoundError:  # it can't be installed with pip
    Updater = None

TOPIC = '/diagnostics'

PERIOD = 1.0
"""Seconds between two reports, where no parameter of `diagnostic_updater` says otherwise."""


class DiagnosticsPublisher:
    """Publisher of reports on `/diagnostics`.

    With `diagnostic_updater` its parameters apply (`diagnostic_updater.period` and
    `diagnostic_updater.use_fqn`), and each status has the node's name and a colon before its own.
    Its timer is not used: it runs in the time of the node, and reports are needed above all while
    simulated time stands still.

    Parameters
    ----------
    node : Node

    Attributes
    ----------
    period : float
        Seconds between two reports that the user wishes.

    Raises
    ------
    ValueError
        `diagnostic_updater.period` is not positive.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        if Updater is None:
            self.period = PERIOD
            self._publisher = node.create_publisher(DiagnosticArray, TOPIC, 10)
            return
        self._updater = Updater(node, PERIOD)
        node.destroy_timer(self._updater.timer)
        self.period = self._updater.period
        if not self.period > 0:
            raise ValueError('expected a parameter diagnostic_updater.period above 0 s, '
                             f'got {self.period}')

    def publish(self, state: str, reports: Iterable[Report]) -> None:
        """Publish one status for each report; `state` is that of the node."""
        found = [status(state, report) for report in reports]
        if Updater is None:
            self._publisher.publish(DiagnosticArray(
                header=Header(stamp=self._node.get_clock().now().to_msg()), status=found))
        else:
            self._updater.publish(found)
