"""A ROS node that reads the segmenter's diagnostics and changes its parameters."""
from __future__ import annotations

import time
from typing import Any, Callable, Sequence

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter


class Observer(Node):
    """Reads diagnostics.

    Attributes
    ----------
    values : dict of str to str
        Of the last report.
    refused : list of str
        Reasons why changes of parameters were refused.
    """

    def __init__(self) -> None:
        super().__init__('soak_observer')
        self.values: dict[str, str] = {}
        self.refused: list[str] = []
        self.create_subscription(DiagnosticArray, '/diagnostics', self._take, 10)
        self._setter = self.create_client(SetParameters, '/segmenter/set_parameters')

    def _take(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if 'segmenter' in status.name:
                self.values = {entry.key: entry.value for entry in status.values}

    def spin_for(self, seconds: float, check: Callable[[], Any]) -> None:
        """Take messages for a time; `check` raises if there is no use in going on."""
        self.wait_until(lambda: False, seconds, check, must=False)

    def wait_until(self, condition: Callable[[], bool], seconds: float,
                   check: Callable[[], Any], *, must: bool = True) -> None:
        """Take messages until a condition holds.

        Raises
        ------
        TimeoutError
            It must hold, and did not in time.
        """
        end = time.monotonic() + seconds
        while not condition():
            check()
            if time.monotonic() > end:
                if must:
                    raise TimeoutError(f'the node reported nothing for {seconds:g} s')
                return
            rclpy.spin_once(self, timeout_sec=0.1)

    def set_parameters_of_node(self, values: Sequence[tuple[str, Any]]) -> None:
        """Ask the segmenter to change parameters; does not wait for the answer."""
        request = SetParameters.Request(parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values])
        self._setter.call_async(request).add_done_callback(self._note)

    def _note(self, future: Any) -> None:
        self.refused += [result.reason for result in future.result().results
                         if not result.successful]
