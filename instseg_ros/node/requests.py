"""The service `~/segment`: segment the next image of a camera, whatever else holds images back.

There is no standard service that takes an image, and an interface package of our own would have to
be built for each ROS distribution and Python: so the image comes on the topic, and the results go
to the topics. `std_srvs/Trigger` asks for it, and its answer says when the results are there.
"""
from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

PATIENCE = 10.0
"""Seconds after which a request without a result fails."""


@dataclass(eq=False)
class Request:
    """A call of the service that is not answered yet.

    Attributes
    ----------
    made : float
        Seconds, of `time.monotonic`.
    answer : Future
        Becomes success and message.
    is_taken : bool
        Whether an image has come for it.
    """

    made: float
    answer: Future = field(default_factory=Future)
    is_taken: bool = False


class Requests:
    """The service of one camera; all but the service itself is for any thread.

    Parameters
    ----------
    node : Node
    prefix : str
        Of the service's name, before `segment`.
    """

    def __init__(self, node: Node, prefix: str) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Request] = []
        self._is_open = False
        # While a call waits for its answer, the executor has to go on with everything else: with
        # images, above all, and with further calls.
        node.create_service(Trigger, f'~/{prefix}segment', self._serve,
                            callback_group=ReentrantCallbackGroup())
        self._wake = node.create_guard_condition(lambda: None)

    def open(self) -> None:
        """Accept calls: the node is active."""
        self._is_open = True

    def close(self, reason: str) -> None:
        """Refuse further calls, and those that wait, with a reason."""
        self._is_open = False
        self._answer(time.monotonic(), False, reason)

    def take_image(self) -> bool:
        """Return whether the image that comes now is asked for."""
        with self._lock:
            new = [request for request in self._waiting if not request.is_taken]
            for request in new:
                request.is_taken = True
            return bool(new)

    def succeeded(self, arrived: float, message: str) -> None:
        """Answer the calls made before an image arrived, whose results are published now."""
        self._answer(arrived, True, message)

    def failed(self, arrived: float, reason: str) -> None:
        """Answer the calls made before an image arrived, which is lost."""
        self._answer(arrived, False, reason)

    def expire(self, now: float) -> None:
        """Answer the calls that have waited for too long."""
        self._answer(now - PATIENCE, False, f'no result within {PATIENCE:g} s')

    def _answer(self, until: float, success: bool, message: str) -> None:
        with self._lock:
            done = [request for request in self._waiting if request.made <= until]
            self._waiting = [request for request in self._waiting if request.made > until]
        for request in done:
            request.answer.set_result((success, message))
        if done:
            self._wake.trigger()  # the executor looks at answers only when something wakes it

    async def _serve(self, request: Trigger.Request, response: Trigger.Response
                     ) -> Trigger.Response:
        if not self._is_open:
            response.success, response.message = False, 'the node is not active'
            return response
        waiting = Request(time.monotonic())
        with self._lock:
            self._waiting.append(waiting)
        response.success, response.message = await waiting.answer
        return response
