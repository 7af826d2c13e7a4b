"""Replays a bag of images through the live node and records its results."""
from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Generator, Mapping

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.conversions import find_converter, to_rgb
from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import (
    COMPRESSED_IMAGE,
    IMAGE,
    LABEL_INFO,
    NANOSECONDS,
    stamp_of,
    typestore,
)
from instseg_ros.bags.qos import LATCHED
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.results import LABEL_INFO_NAME, RESULT_TYPES
from instseg_ros.bags.types import Message, Topic
from instseg_ros.demo.frame_tracker import FrameTracker
from instseg_ros.demo.graph import ACTIVATION_TIMEOUT, POLL, Graph
from instseg_ros.demo.node_process import NodeProcess, isolated
from instseg_ros.messages.results import CONFIDENCE
from instseg_ros.recorded.layout import PREFIX
from instseg_ros.recorded.pipeline import run_in_order

IMAGE_TOPIC = '/camera/image_raw'
DECODED_AHEAD = 4
"""Compressed images that are decoded while earlier ones are under way."""

DIAGNOSTICS_TIMEOUT = 10.0
"""Seconds for the node's last diagnostics to arrive."""


@dataclass(frozen=True)
class Replay:
    """What is replayed, and how.

    Attributes
    ----------
    images : Path
        Bag of the images.
    topic : Topic
        Of the images in the bag. Recordings may have names that ROS refuses, so the node receives
        them on `IMAGE_TOPIC`, decoded.
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
    topic: Topic
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
        """
        times: dict[int, int] = {}  # in the bag, by number of the frame
        has_labels = False
        with ExitStack() as stack:
            images = stack.enter_context(BagReader(self.images))
            recorder = stack.enter_context(BagWriter(self.results))
            recorder.add_topic(PREFIX + LABEL_INFO_NAME, LABEL_INFO, qos=[LATCHED])
            start_of_bag = images.start

            def record(topic: str, data: bytes) -> None:
                nonlocal has_labels
                # Times of the image bag, so that both bags can be played side by side.
                if topic == PREFIX + LABEL_INFO_NAME:
                    recorder.write(topic, start_of_bag, data)
                    has_labels = True
                    return
                number = tracker.receive(topic, stamp_of(data), time.monotonic())
                if number is not None:
                    recorder.write(topic, times[number], data)

            stack.enter_context(isolated(self.domain, folder))
            graph = stack.enter_context(Graph(self.domain, IMAGE_TOPIC, record))
            process = stack.enter_context(NodeProcess(
                self.parameters, {'image': IMAGE_TOPIC}, folder))
            graph.wait_for_node(process)
            graph.change_state('configure', process)
            graph.change_state('activate', process)
            graph.wait_for_listener(process)
            # A latched message can come after the results of a short recording.
            graph.wait(lambda: has_labels, process, 'receiving the names of the classes',
                       ACTIVATION_TIMEOUT)
            types = {**RESULT_TYPES, **({CONFIDENCE: IMAGE} if graph.has_confidence(process)
                                        else {})}
            for name, message_type in types.items():
                recorder.add_topic(PREFIX + name, message_type)
            tracker = FrameTracker([PREFIX + name for name in types])
            on_start()
            settled = 0
            start = time.monotonic()
            for bag_time, data in stack.enter_context(closing(raw_images(images, self.topic))):
                if self.rate:
                    due = start + (bag_time - start_of_bag) / NANOSECONDS / self.rate
                    self._spin_until(due, graph, process, tracker)
                else:
                    self._drain(self.in_flight - 1, graph, process, tracker)
                if data is None:
                    tracker.leave_out()
                else:
                    times[tracker.send(stamp_of(data), time.monotonic())] = bag_time
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


def raw_images(bag: BagReader, topic: Topic) -> Generator[tuple[int, bytes | None], None, None]:
    """Yield recorded time (nanoseconds) and serialized sensor_msgs/Image of every image.

    Compressed images are decoded; None stands for one that can't be.
    """
    converter = find_converter()

    def decode(message: Message) -> bytes:
        stamp_of(message.data)  # which tells the results of the images apart
        if topic.type != COMPRESSED_IMAGE:
            return message.data
        parsed = bag.parse(message)
        image = make_image(to_rgb(parsed, converter), 0, '')
        image.header = parsed.header
        return bytes(typestore().serialize_cdr(image, IMAGE))

    items = ((message, True) for message in bag.read([topic]))
    with closing(run_in_order(items, [decode], DECODED_AHEAD)) as results:
        for message, future in results:
            assert future is not None  # every message goes through
            try:
                yield message.time, future.result()
            except ValueError:  # of the kinds ImageError and BagError, or too short for a header
                yield message.time, None


def dropped_frames(diagnostics: Mapping[str, str]) -> int:
    """Return how many frames the node has left out: bad, outdated, lost and skipped ones."""
    return sum(int(diagnostics.get(f'frames_{kind}', 0))
               for kind in ('dropped', 'superseded', 'lost', 'skipped'))


def report_progress(tracker: FrameTracker, before: int, on_frame: Callable[[], object]) -> int:
    """Call `on_frame` for each frame settled since `before`; return how many are settled."""
    settled = tracker.frames_out + tracker.frames_dropped
    for _ in range(settled - before):
        on_frame()
    return settled
