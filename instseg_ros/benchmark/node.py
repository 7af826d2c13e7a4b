"""The node beside the library: the same images through DDS and through a call, in turns.

The node runs in a process of its own, as on a robot. This process is its camera, and subscribes to
the results that a robot uses: label images, confidence and objects.
"""
from __future__ import annotations

import dataclasses
import struct
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Callable, Iterable

import numpy as np

from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import IMAGE, NANOSECONDS, stamp_of, typestore
from instseg_ros.benchmark.measurement import Call, Progress, Times
from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.demo.domains import reserved_domain
from instseg_ros.demo.frame_tracker import FrameTracker
from instseg_ros.demo.graph import NODE, POLL, RESULTS, Graph
from instseg_ros.demo.node_process import NodeProcess, isolated
from instseg_ros.messages.results import CONFIDENCE

IMAGE_TOPIC = '/camera/image_raw'

LOADS = {'one_at_a_time': 1, 'highest_rate': 3}
"""Images under way at once. At the highest rate, one is in each of the node's two stages, and one
waits for them."""

BLOCK = 10
"""Images that the library, and the node under each load, get in a turn."""

STEADY_FRAMES = 30
"""Images at the steady rate, for each round of the benchmark."""

STEADY_SHARE = 0.8
"""The steady rate as a share of the highest one."""

PATIENCE = 30.0
"""Seconds without a result after which the node counts as stalled."""

STAGE_PREFIX = 'stage_ms.'


def measure_node(model: Path, config: NetworkConfig, image: np.ndarray, rounds: int,
                 progress: Progress = iter) -> dict[str, Any]:
    """Compare the node with the library, and measure its latency at a steady rate.

    Parameters
    ----------
    model : Path
    config : NetworkConfig
        For both.
    image : (H0, W0, 3) uint8, RGB
        Sent again and again.
    rounds : int
        In each of them, `BLOCK` images go through the library and, under each of `LOADS`, through
        the node. `STEADY_FRAMES` images per round follow at `STEADY_SHARE` of the highest rate.
    progress : callable
        Wraps the sequence of rounds, and then that of images at the steady rate.

    Returns
    -------
    dict
        Ready for JSON: `model`, `provider`, `size`, `instances` (number of objects found);
        `library` and each of `LOADS` (`wall_ms` and `cpu_ms` of an image, `fps`); `overhead` of
        each of `LOADS`, a share of the library's time by both clocks; `stages_ms`, means of the
        node; `steady` (`fps`, `frames`, `dropped`, `median_ms`, `p95_ms`, `max_ms`,
        `p95_over_median`, `latencies_ms`).

    Raises
    ------
    UserError
        The node did not start, or stalled.
    """
    segmenter = Segmenter.from_onnx(model, network=config)
    segmenter.warm_up()

    def library() -> None:
        for _ in range(BLOCK):
            segmenter.segment(image, confidence=segmenter.has_confidence)

    samples: dict[str, list[Times]] = {name: [] for name in ('library', *LOADS)}
    with MeasuredNode(model, config, image, segmenter.has_confidence) as node:
        calls: dict[str, tuple[Call, Callable[[], float]]] = {
            'library': (library, time.process_time),
            **{name: (partial(node.send, BLOCK, in_flight), node.processor_time)
               for name, in_flight in LOADS.items()}}
        for call, _ in calls.values():
            call()  # fills caches
        for _ in progress(range(rounds)):
            for name, (call, processor_time) in calls.items():
                samples[name].append(_times(call, processor_time))
        times = {name: Times(median(turn.wall_ms for turn in turns),
                             median(turn.cpu_ms for turn in turns))
                 for name, turns in samples.items()}
        rate = STEADY_SHARE * 1e3 / times['highest_rate'].wall_ms
        steady = node.send_steadily(progress(range(rounds * STEADY_FRAMES)), rate)
        stages = node.stages_ms()
    return {
        'model': model.name, 'provider': segmenter.provider, 'size': list(image.shape[:2]),
        'instances': len(segmenter.segment(image).instances),
        **{name: {**dataclasses.asdict(item), 'fps': 1e3 / item.wall_ms}
           for name, item in times.items()},
        'overhead': {name: {clock: ratio - 1 for clock, ratio
                            in times['library'].ratios_to(times[name]).items()}
                     for name in LOADS},
        'stages_ms': stages,
        'steady': {'fps': rate, **steady_figures(steady)}}


def _times(call: Call, processor_time: Callable[[], float]) -> Times:
    """Return the times of one image of a block."""
    start = time.perf_counter(), processor_time()
    call()
    return Times(1e3 * (time.perf_counter() - start[0]) / BLOCK,
                 1e3 * (processor_time() - start[1]) / BLOCK)


def steady_figures(tracker: FrameTracker) -> dict[str, Any]:
    """Return counts and latencies of images that were sent at a steady rate, ready for JSON."""
    latencies = 1e3 * np.array(tracker.latencies)
    middle, high = (float(np.percentile(latencies, share)) for share in (50, 95))
    return {'frames': tracker.frames_in, 'dropped': tracker.frames_dropped, 'median_ms': middle,
            'p95_ms': high, 'max_ms': float(latencies.max()), 'p95_over_median': high / middle,
            'latencies_ms': [round(float(value), 3) for value in latencies]}


class MeasuredNode:
    """A node in a process and a ROS graph of its own, and this process as its camera.

    Parameters
    ----------
    model : Path
    config : NetworkConfig
    image : (H0, W0, 3) uint8, RGB
        What the camera sees.
    has_confidence : bool
        Whether the model has the confidence of its classes.
    """

    def __init__(self, model: Path, config: NetworkConfig, image: np.ndarray,
                 has_confidence: bool) -> None:
        self._parameters = {
            'model': str(model.absolute()), 'image_reliability': 'reliable',
            'image_depth': max(LOADS.values()),
            **{f'network.{name}': value for name, value in dataclasses.asdict(config).items()}}
        self._message = bytearray(typestore().serialize_cdr(make_image(image, 0, 'camera'), IMAGE))
        self._topics = [f'{NODE}/{name}' for name in RESULTS
                        if name != CONFIDENCE or has_confidence]
        self._tracker = FrameTracker(self._topics)

    def __enter__(self) -> MeasuredNode:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            domain = stack.enter_context(reserved_domain())
            stack.enter_context(isolated(domain, folder))
            self._graph = stack.enter_context(Graph(domain, IMAGE_TOPIC, self._receive))
            self._process = stack.enter_context(NodeProcess(
                self._parameters, {'image': IMAGE_TOPIC}, folder))
            self._graph.wait_for_node(self._process)
            self._graph.change_state('configure', self._process)
            self._graph.change_state('activate', self._process)
            self._graph.wait_for_listener(self._process)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    def processor_time(self) -> float:
        """Return the seconds of all threads of the node so far."""
        # The clock of another process, as clock_getcpuclockid(3) of glibc builds it for Linux.
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def stages_ms(self) -> dict[str, float]:
        """Return the mean times of the node's steps from its diagnostics."""
        self._graph.wait(lambda: any(key.startswith(STAGE_PREFIX)
                                     for key in self._graph.diagnostics),
                         self._process, "the node's diagnostics", PATIENCE)
        return {key[len(STAGE_PREFIX):]: float(value)
                for key, value in self._graph.diagnostics.items() if key.startswith(STAGE_PREFIX)}

    def send(self, count: int, in_flight: int) -> None:
        """Send images, each as soon as fewer than `in_flight` are under way; take all results."""
        self._tracker = FrameTracker(self._topics)
        for _ in range(count):
            self._drain(in_flight - 1)
            self._send()
        self._drain(0)

    def send_steadily(self, numbers: Iterable[int], rate: float) -> FrameTracker:
        """Send an image for each number, from 0, and return what became of them.

        They go out at `rate` per second, whatever comes back.
        """
        self._tracker = FrameTracker(self._topics)
        start = time.monotonic()
        for number in numbers:
            due = start + number / rate
            while time.monotonic() < due:
                self._graph.spin(min(POLL, due - time.monotonic()))
                self._check()
            self._send()
        self._drain(0)
        return self._tracker

    def _send(self) -> None:
        stamp = time.time_ns()
        struct.pack_into('<iI', self._message, 4, *divmod(stamp, NANOSECONDS))
        self._tracker.send(stamp, time.monotonic())
        self._graph.publish(bytes(self._message))

    def _receive(self, topic: str, data: bytes) -> None:
        if topic in self._topics:
            self._tracker.receive(topic, stamp_of(data), time.monotonic())

    def _drain(self, most: int) -> None:
        """Wait until at most `most` images are under way."""
        while self._tracker.in_flight > most:
            self._graph.spin(POLL)
            self._check()

    def _check(self) -> None:
        self._process.check()
        tracker = self._tracker
        if tracker.in_flight and time.monotonic() - tracker.last_event > PATIENCE:
            raise self._process.failure(f'the node stalled: no result for {PATIENCE:g} s')
