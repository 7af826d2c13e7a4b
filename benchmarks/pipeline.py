"""Compare the node's rate with the bound that the slower of its two stages sets.

Without arguments, the real node with its real threads, conversions and topics processes images
that come over DDS, but network and post-processing only sleep, each for the time given; so it can
be measured on a busy machine. With --report, the figures are those of a demo's report.json, with
the real model on real images.

The bound is one image in the mean time of the slower stage, as the node measured it while both
stages were running. On a CPU they share the cores, so the bound is lower than for one stage alone.
"""
from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Mapping, Sequence

import numpy as np

STAGES = {'first': ('convert', 'scale', 'network'),
          'second': ('grouping', 'refinement', 'instances', 'publish')}
TARGET = 0.9
IN_FLIGHT = 3


def main() -> int:
    """Print a table; the exit code is 1 where the target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--report', type=Path, metavar='FILE', help='report.json of a demo')
    parser.add_argument('--stages-ms', type=float, nargs=2, default=[30.0, 30.0],
                        metavar=('FIRST', 'SECOND'), help='time that each stage sleeps '
                        '(default %(default)s)')
    parser.add_argument('--size', default='480x640', metavar='HxW',
                        help='of the images, without --report (default %(default)s)')
    parser.add_argument('--frames', type=int, default=300, help='(default %(default)s)')
    args = parser.parse_args()
    if args.report:
        report = json.loads(args.report.read_text('utf-8'))
        rate, parts = report['fps'], report['stage_ms']
    else:
        height, width = (int(side) for side in args.size.split('x'))
        rate, parts = measure((height, width), args.stages_ms, args.frames)
    times = {name: sum(parts.get(part, 0.0) for part in stage) for name, stage in STAGES.items()}
    bound = 1000 / max(times.values())
    print('| first stage ms | second stage ms | one after the other, images/s | bound, images/s | '
          'measured, images/s | share of the bound |\n' + '|' + ' --- |' * 6)
    print(f'| {times["first"]:.1f} | {times["second"]:.1f} | {1000 / sum(times.values()):.1f} | '
          f'{bound:.1f} | {rate:.1f} | {rate / bound:.2f} |')
    if rate < TARGET * bound:
        print(f'missed: wanted {TARGET} of the bound')
    return int(rate < TARGET * bound)


def measure(size: tuple[int, int], stages_ms: list[float], frames: int
            ) -> tuple[float, Mapping[str, float]]:
    """Return rate and mean times of the stages of a node whose segmenter sleeps.

    The node has a process of its own, as on a robot: a camera in the same one would compete with
    it for the interpreter.
    """
    from instseg_ros.demo.domains import reserved_domain

    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    with reserved_domain() as domain:
        node = multiprocessing.get_context('spawn').Process(
            target=run_node, args=(domain, stages_ms), daemon=True)
        node.start()
        try:
            return watch_node(node, domain, size, frames)
        finally:
            node.terminate()
            node.join()


def run_node(domain: int, stages_ms: list[float]) -> None:
    """Be the process of the node, until it is terminated."""
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.parameter import Parameter

    from instseg_ros.node.segmenter_node import SegmenterNode

    class SleepingNode(SegmenterNode):

        def load(self, path: Path) -> Any:
            return SleepingSegmenter(*(milliseconds / 1000 for milliseconds in stages_ms))

    rclpy.init(args=[], domain_id=domain)
    node = SleepingNode(parameter_overrides=[
        Parameter(name, value=value) for name, value in {
            'model': 'none', 'image_reliability': 'reliable', 'image_depth': IN_FLIGHT}.items()])
    node.start()
    try:
        rclpy.spin(node)
    except ExternalShutdownException:
        node.destroy_node()


def watch_node(node: multiprocessing.process.BaseProcess, domain: int, size: tuple[int, int],
               frames: int) -> tuple[float, Mapping[str, float]]:
    """Send an image for each result, so that there is always one that waits."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header
    from tqdm import tqdm
    from vision_msgs.msg import Detection2DArray

    from instseg_ros.messages.images import image_message
    from instseg_ros.node.message_types import MESSAGE_TYPES

    rclpy.init(args=[], domain_id=domain)
    camera = rclpy.create_node('camera')
    image = image_message(MESSAGE_TYPES, Header(), np.zeros((*size, 3), np.uint8))
    publisher = camera.create_publisher(Image, '/image', QoSProfile(depth=IN_FLIGHT))
    done: list[float] = []
    values: dict[str, str] = {}

    def spin_until(condition: Callable[[], object]) -> None:
        while not condition():
            if not node.is_alive():
                raise RuntimeError('the node ended')
            rclpy.spin_once(camera, timeout_sec=0.05)

    def receive(message: Detection2DArray) -> None:
        done.append(time.monotonic())
        progress.update(len(done) <= frames)
        publisher.publish(image)

    def read(message: DiagnosticArray) -> None:
        values.update({entry.key: entry.value for entry in message.status[0].values})

    results = camera.create_subscription(Detection2DArray, '/segmenter/instances', receive, 10)
    camera.create_subscription(DiagnosticArray, '/diagnostics', read, 10)
    with tqdm(total=frames, unit='image') as progress:
        spin_until(lambda: publisher.get_subscription_count() and results.get_publisher_count())
        for _ in range(IN_FLIGHT):
            publisher.publish(image)
        spin_until(lambda: len(done) >= frames)
        spin_until(lambda: int(values.get('frames_out', 0)) >= frames)
    camera.destroy_node()
    rclpy.try_shutdown()
    prefix = 'stage_ms.'
    return (frames - 1) / (done[frames - 1] - done[0]), {
        key[len(prefix):]: float(value) for key, value in values.items() if key.startswith(prefix)}


class SleepingSegmenter:
    """Takes the place of the segmenter in the node; its stages sleep for the given seconds."""

    provider, max_batch, has_confidence = 'none', 1, False

    def __init__(self, first: float, second: float) -> None:
        from instseg_ros.core.types import ModelInfo
        self.model_info = ModelInfo(
            class_names=('nothing',), thing_ids=(), palette=((0, 0, 0),), output_stride=4,
            size_multiple=32, embedding_size=32, input_size=640)
        self.network = SimpleNamespace(provider='none', max_batch=1, is_batchable=False,
                                       checksum='', has_checksum=True)
        self._first, self._second = first, second

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def infer_batch(self, images: Sequence[np.ndarray]) -> list[Any]:
        return [self.infer(image) for image in images]

    def infer(self, image: np.ndarray) -> Any:
        from instseg_ros.core.stopwatch import Stopwatch
        from instseg_ros.core.types import Inference
        watch = Stopwatch()
        time.sleep(self._first)
        watch.lap('network')
        return Inference(image, None, (1.0, 1.0), watch.laps)

    def postprocess(self, inference: Any, *, confidence: bool) -> Any:
        from instseg_ros.core.stopwatch import Stopwatch
        from instseg_ros.core.types import Segmentation
        watch = Stopwatch()
        time.sleep(self._second)
        height, width = inference.image.shape[:2]
        watch.lap('refinement')
        return Segmentation(np.zeros((height, width), np.uint8),
                            np.zeros((height, width), np.uint16),
                            timings={**inference.timings, **watch.laps})


if __name__ == '__main__':
    raise SystemExit(main())
