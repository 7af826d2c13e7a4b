"""What is wrong at the moment, for the log and for `/diagnostics`."""
from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@dataclass(frozen=True)
class Condition:
    """Something worth knowing: its level of `DiagnosticStatus`, and its reason in a sentence."""

    level: bytes
    text: str


class Conditions:
    """All conditions of the node or of a camera by name; for any thread.

    A condition is either lasting, from `begin` to `end` (no publisher of images), or an event
    (a bad image), which is in the next report and gone after it.

    Parameters
    ----------
    log : callable
        Called with level and text of a lasting problem when it begins or its text changes, and of
        the first event of a name in a report.

    Attributes
    ----------
    last_error : str
        The text that was logged or would have been logged last; it outlives its condition.
    """

    def __init__(self, log: Callable[[bytes, str], object]) -> None:
        self.last_error = ''
        self._log = log
        self._lock = threading.Lock()
        self._lasting: dict[str, Condition] = {}
        self._events: dict[str, Condition] = {}

    def begin(self, name: str, level: bytes, text: str) -> None:
        """Let a condition last until its `end`."""
        condition = Condition(level, text)
        with self._lock:
            is_known = self._lasting.get(name) == condition
            self._lasting[name] = condition
        if not is_known and level != OK:
            self.last_error = text
            self._log(level, text)

    def end(self, name: str) -> None:
        """End a lasting condition, if there is one of that name."""
        with self._lock:
            self._lasting.pop(name, None)

    def warn_while(self, name: str, text: str) -> None:
        """Let a warning last while it has a text, and end it when the text is empty."""
        if text:
            self.begin(name, WARN, text)
        else:
            self.end(name)

    def note(self, name: str, level: bytes, text: str) -> None:
        """Put an event into the next report."""
        with self._lock:
            is_first = name not in self._events
            self._events[name] = Condition(level, text)
        self.last_error = text
        if is_first:
            self._log(level, text)

    def report(self) -> dict[str, Condition]:
        """Return the conditions by name, the worst first, and forget the events among them."""
        with self._lock:
            found = {**self._lasting, **self._events}
            self._events.clear()
        return dict(sorted(found.items(), key=lambda item: item[1].level, reverse=True))


def log_to(node: Node, prefix: str = '') -> Callable[[bytes, str], None]:
    """Return a `log` for `Conditions`: the node's own, with `prefix` before each text."""
    def log(level: bytes, text: str) -> None:
        # Two lines: rclpy allows one severity for each line that logs.
        if level == ERROR:
            node.get_logger().error(prefix + text)
        else:
            node.get_logger().warning(prefix + text)
    return log


@dataclass(frozen=True)
class Report:
    """What one status of the diagnostics tells.

    Attributes
    ----------
    name : str
        Of the status.
    conditions : dict of str to Condition
        The worst first; each is among the values as well, as `condition.NAME`.
    values : dict of str to str
        Holds `fps`.
    """

    name: str
    conditions: Mapping[str, Condition]
    values: Mapping[str, str]


def status(state: str, report: Report) -> DiagnosticStatus:
    """Return a report as a message.

    Level and text are those of the worst condition; the text begins with the state of the node.
    """
    worst = next(iter(report.conditions.values()),
                 Condition(OK, f'{report.values["fps"]} images/s'))
    values = {**report.values, **{f'condition.{key}': condition.text
                                  for key, condition in report.conditions.items()}}
    return DiagnosticStatus(
        name=report.name, hardware_id='', level=worst.level, message=f'{state}: {worst.text}',
        values=[KeyValue(key=key, value=value) for key, value in values.items()])
