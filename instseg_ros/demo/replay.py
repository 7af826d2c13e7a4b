"""Replays a bag of images through the live node and records its results."""
from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Callable, Mapping

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.messages import IMAGE, LABEL_INFO, NANOSECONDS, stamp_of
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.results import LABEL_INFO_NAME, RESULT_TYPES
from instseg_ros.bags.types import BagError
from instseg_ros.demo.frame_tracker import FrameTracker
from instseg_ros.demo.graph import NODE, POLL, Graph
from instseg_ros.demo.node_process import NodeProcess, isolated

PREFIX = f'{NODE}/'
DIAGNOSTICS_TIMEOUT = 10.0
"""Seconds for the node's last diagnostics to arrive."""


@dataclass(frozen=True)
class Replay:
    """What is replayed, and how.

    Attributes
    ----------
    images : Path
        Bag of the images.
    topic : str
        Topic of the images in the bag and in the graph.
    results : Path
        Bag to write.
    parameters : dict
        Parameters of the node by their dotted names.
    domain : int
        ROS_DOMAIN_ID of both sides.
    rate : float
        Speed as a multiple of the recorded one, at which the node may drop frames; 0: a frame is
        sent whenever fewer than `in_flight` are under way.
    in_flight : int
        Frames that are sent before the first of them has come back.
    timeout : float
        Seconds without any result after which the node counts as stalled.
    """

    images: Path
    topic: str
    results: Path
    parameters: Mapping[str, Any]
    domain: int
    rate: float = 0.0
    in_flight: int = 3
    timeout: float = 30.0

    def run(self, folder: Path, *, on_start: Callable[[], object], on_frame: Callable[[], object]
            ) -> tuple[FrameTracker, dict[str, str], str]:
        """Start the node, send every frame, wait for the results and stop the node.

        Parameters
        ----------
        folder : Path
            For the node's log and what else the two processes need.
        on_start : callable
            Called when the node is ready for the first frame.
        on_frame : callable
            Called for each frame that came back or is known to be dropped.

        Returns
        -------
        tracker : FrameTracker
        diagnostics : dict of str to str
            The last ones of the node.
        problem : str
            What went wrong when the node ended, after all results; else empty.

        Raises
        ------
        UserError
            The node failed, refused a transition, stalled or answered no frame at all.
        BagError
            The bag of the images is damaged, or empty.
        """
        tracker = FrameTracker([PREFIX + name for name in RESULT_TYPES])
        times: dict[int, int] = {}  # in the bag, by stamp
        with ExitStack() as stack:
            images = stack.enter_context(BagReader(self.images))
            recorder = stack.enter_context(BagWriter(self.results))
            for name, message_type in RESULT_TYPES.items():
                recorder.add_topic(PREFIX + name, message_type)
            recorder.add_topic(PREFIX + LABEL_INFO_NAME, LABEL_INFO, latched=True)
            frames = images.read([images.topic_of_type(IMAGE, self.topic)])
            first = next(frames, None)
            if first is None:
                raise BagError(f'{self.images}: no image on {self.topic}')

            def record(topic: str, data: bytes) -> None:
                # Times of the image bag, so that both bags can be played side by side.
                if topic == PREFIX + LABEL_INFO_NAME:
                    recorder.write(topic, first.time, data)
                elif tracker.receive(topic, stamp_of(data), time.monotonic()):
                    recorder.write(topic, times[stamp_of(data)], data)

            stack.enter_context(isolated(self.domain, folder))
            graph = stack.enter_context(Graph(self.domain, self.topic, record))
            process = stack.enter_context(NodeProcess(
                self.parameters, {'image': self.topic}, folder))
            graph.wait_for_node(process)
            graph.change_state('configure', process)
            graph.change_state('activate', process)
            graph.wait_for_listener(process)
            on_start()
            settled = 0
            start = time.monotonic()
            for _, bag_time, data in chain([first], frames):
                if self.rate:
                    due = start + (bag_time - first.time) / NANOSECONDS / self.rate
                    self._spin_until(due, graph, process, tracker)
                else:
                    self._drain(self.in_flight - 1, graph, process, tracker)
                times[stamp_of(data)] = bag_time
                tracker.send(stamp_of(data), time.monotonic())
                graph.publish(data)
                settled = report_progress(tracker, settled, on_frame)
            self._drain(0, graph, process, tracker)
            report_progress(tracker, settled, on_frame)
            if not tracker.frames_out:
                raise process.failure(f'the node dropped all {tracker.frames_in} frames')
            graph.change_state('deactivate', process)
            graph.wait(lambda: int(graph.diagnostics.get('frames_out', -1)) >= tracker.frames_out,
                       process, "the node's last diagnostics", DIAGNOSTICS_TIMEOUT)
            graph.change_state('cleanup', process)
            return tracker, graph.diagnostics, process.stop()

    def _spin_until(self, due: float, graph: Graph, process: NodeProcess,
                    tracker: FrameTracker) -> None:
        while time.monotonic() < due:
            graph.spin(min(POLL, due - time.monotonic()))
            self._check(graph, process, tracker)

    def _drain(self, most: int, graph: Graph, process: NodeProcess, tracker: FrameTracker) -> None:
        """Wait until at most `most` frames are in flight."""
        while tracker.in_flight > most:
            graph.spin(POLL)
            self._check(graph, process, tracker)

    def _check(self, graph: Graph, process: NodeProcess, tracker: FrameTracker) -> None:
        """Take the node's count of dropped frames; raise `UserError` if it ended or stalled."""
        process.check()
        tracker.settle(dropped_frames(graph.diagnostics), time.monotonic())
        if tracker.in_flight and time.monotonic() - tracker.last_event > self.timeout:
            raise process.failure(
                f'the node stalled: no result for {self.timeout:g} s after '
                f'{tracker.frames_out} of {tracker.frames_in} frames')


def dropped_frames(diagnostics: Mapping[str, str]) -> int:
    """Return how many frames the node has left out, bad ones and outdated ones."""
    return sum(int(diagnostics.get(key, 0)) for key in ('frames_dropped', 'frames_superseded'))


def report_progress(tracker: FrameTracker, before: int, on_frame: Callable[[], object]) -> int:
    """Call `on_frame` for each frame settled since `before`; return how many are settled."""
    settled = tracker.frames_out + tracker.frames_dropped
    for _ in range(settled - before):
        on_frame()
    return settled
