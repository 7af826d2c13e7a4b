"""The live node under load, with processes that publish too fast and that stall."""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import COUNTS, Record
from tqdm import tqdm

from instseg_ros.core.config import REFINEMENT_METHODS
from instseg_ros.demo.domains import reserved_domain
from instseg_ros.demo.node_process import NodeProcess, isolated

HERE = Path(__file__).resolve().parent
TOPIC = '/camera/image_raw'
FASTER = 10
"""Times the node's own rate that images are published."""

PROBE_SECONDS, PROBE_RATE = 8.0, 200.0
"""For how long the node's own rate is measured, and at which rate of images."""

PATIENCE = 180.0
"""Seconds in which the node has to begin to report, on a busy machine."""

LAST_REPORT = 30.0
"""Seconds in which the node has to account for the last image."""

CHANGE_EVERY = 3.0
"""Seconds between two changes of parameters."""

CHANGES = tuple((('refinement.method', method), ('grouping.center_threshold', threshold))
                for threshold in (0.2, 0.5, 0.8) for method in REFINEMENT_METHODS)


def run(args: argparse.Namespace, record: Record) -> list[str]:
    """Run the node for the minutes that are missing; return what went wrong, as sentences."""
    seconds = 60 * args.minutes - record.total('time')
    if seconds <= 0:
        return []
    with tempfile.TemporaryDirectory() as name, reserved_domain() as domain, \
            isolated(domain, Path(name)):
        parameters = {'model': str(args.model.resolve()), 'autostart': True,
                      'network.input_size': args.input_size}
        with NodeProcess(parameters, {'image': TOPIC}, Path(name)) as process:
            problems = _load(process, record, seconds)
            ended = process.stop()
        return problems + ([ended] if ended else [])


def _load(process: NodeProcess, record: Record, seconds: float) -> list[str]:
    import rclpy
    from observer import Observer

    rclpy.init()
    observer = Observer()
    subscriber = subprocess.Popen([sys.executable, str(HERE / 'subscriber.py')])
    try:
        probe = _Publisher(PROBE_RATE)
        observer.wait_until(lambda: observer.values.get('frames_out', '0') != '0', PATIENCE,
                            process.check)
        before = int(observer.values['frames_out'])
        observer.spin_for(PROBE_SECONDS, process.check)
        rate = max(1.0, (int(observer.values['frames_out']) - before) / PROBE_SECONDS)
        published = probe.stop()
        publisher = _Publisher(FASTER * rate)
        end = time.monotonic() + seconds
        changed = 0
        with tqdm(total=round(seconds), desc=f'seconds of the node at {FASTER * rate:.0f} images/s'
                  ) as progress:
            while time.monotonic() < end:
                observer.set_parameters_of_node(CHANGES[changed % len(CHANGES)])
                changed += 1
                observer.spin_for(min(CHANGE_EVERY, max(0.1, end - time.monotonic())),
                                  process.check)
                record.add(process.pid, **_counts(observer.values))
                progress.update(round(CHANGE_EVERY))
        published += publisher.stop()
        observer.wait_until(lambda: _known(observer.values) == published, LAST_REPORT,
                            process.check, must=False)
        counts = _counts(observer.values)
        record.add(process.pid, **counts, published=published)
        problems = []
        if not counts['out'] > before:
            problems.append('the node had no results')
        if published != _known(observer.values):
            problems.append(f'not every image is accounted for: {published} published, {counts}')
        if observer.refused:
            problems.append(f'parameters were refused: {observer.refused[0]}')
        print(f'{changed} changes of parameters, {published} images at {FASTER * rate:.0f} Hz')
        return problems
    finally:
        subscriber.terminate()
        subscriber.wait()
        observer.destroy_node()
        rclpy.try_shutdown()


def _known(values: dict[str, str]) -> int:
    """Return how many images the node accounts for."""
    return sum(count for name, count in _counts(values).items() if name != 'in')


def _counts(values: dict[str, str]) -> dict[str, int]:
    return {name: int(values.get(f'frames_{name}', 0)) for name in COUNTS}


class _Publisher:
    """The publisher in a process of its own."""

    def __init__(self, rate: float) -> None:
        self._process: Any = subprocess.Popen(
            [sys.executable, str(HERE / 'publisher.py'), TOPIC, str(rate)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self) -> int:
        """Return how many images it published."""
        output, _ = self._process.communicate()
        return json.loads(output)['published']
