"""Segments one bag: every image of its topics, in order, with nothing dropped."""
from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import Future
from contextlib import closing
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np

from instseg_ros.bags.conversions import ImageError, find_converter, seconds_of, to_rgb
from instseg_ros.bags.messages import stamp_of
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import BagError, Message, Topic
from instseg_ros.core.rotation import rotate, segmentation_of_camera
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.core.tracking import Tracker
from instseg_ros.core.types import Inference, Instance
from instseg_ros.messages.results import CONFIDENCE, Result
from instseg_ros.recorded.job import Job, Outcome
from instseg_ros.recorded.layout import PREFIX, Group, Layout
from instseg_ros.recorded.outputs import LAST, PICTURES, encode_result
from instseg_ros.recorded.parts import Parts, read_settings
from instseg_ros.recorded.pipeline import Stage, run_in_order
from instseg_ros.recorded.selection import Selection

DEPTH = 8
"""Images on their way at once: two for each stage, so that none waits for another's slow image."""

REASONS_SHOWN = 3
"""Different reasons for which images were dropped that a report names."""


class Decoded(NamedTuple):
    """An image on its way: its topic, the header of its message, and its pixels."""

    topic: Topic
    header: Any
    image: np.ndarray


class Inferred(NamedTuple):
    """An image with the output of the network for the upright image."""

    topic: Topic
    header: Any
    image: np.ndarray
    inference: Inference


class Encoded(NamedTuple):
    """The result for an image: its messages by name, and its instances for the report."""

    messages: dict[str, bytes]
    instances: tuple[Instance, ...]


def segment_bag(job: Job, segmenter: Segmenter, *,
                on_start: Callable[[int], object] = lambda total: None,
                on_frame: Callable[[], object] = lambda: None) -> Outcome:
    """Segment a bag, or what an interrupted run has left of it.

    With tracking, ids depend on earlier images, so an interrupted run is begun anew.

    Parameters
    ----------
    job : Job
    segmenter : Segmenter
        For `job.model`.
    on_start : callable
        Called with the number of images that are expected.
    on_frame : callable
        Called after each image, those of earlier runs included.

    Raises
    ------
    OSError
        A file can't be read or written, or the result exists.
    BagError
        The input is no bag, or has no images.
    """
    check_paths(job)
    with BagReader(job.source) as bag:
        selection = Selection(bag, job)
        layout = Layout(selection.images, selection.copied, segmenter.model_info, job.labels,
                        job.settings(), selection.definitions, selection.qos,
                        confidence=segmenter.has_confidence)
        parts = Parts(job.out, layout, anew=job.tracking.enabled, force=job.force)
        on_start(selection.expected)
        run = Run(selection, layout, segmenter, job,
                  Outcome(str(job.source), str(job.out)), on_frame)
        run.write(parts)
        run.outcome.remarks += bag.remarks
        if not segmenter.has_confidence:
            run.outcome.remarks.append(f'{job.model.path}: the model file has no confidence of '
                                       f'classes, so the result has no {CONFIDENCE}')
        run.outcome.problems += [*selection.problems, *bag.damage]
    parts.finish()
    return run.outcome


def finished(job: Job) -> Outcome | None:
    """Return the outcome of a job whose result an earlier run has finished, else None."""
    if not job.out.is_file() or read_settings(job.out) != job.settings():
        return None
    with BagReader(job.out) as bag:
        frames = sum(count for topic, count in bag.counts.items()
                     if topic.name.startswith(PREFIX) and topic.name.endswith(f'/{LAST}'))
    return Outcome(str(job.source), str(job.out), frames=frames)


def check_paths(job: Job) -> None:
    """Refuse a result that would replace a file, or its own input.

    Raises
    ------
    OSError, ValueError
    """
    source, out = job.source.resolve(), job.out.resolve()
    if source == out or source in out.parents:
        raise ValueError(f'{job.out}: expected an output apart from the input {job.source}')
    if job.out.suffix != '.mcap':
        raise ValueError(f'{job.out}: expected a name that ends in .mcap')
    if job.out.is_dir():
        raise IsADirectoryError(f'{job.out}: expected a file to write, got a folder')
    if job.out.exists() and not job.force:
        raise FileExistsError(f'{job.out}: exists already; give --force to replace it')


class Run:
    """One run over a bag: decoding, network, post-processing and encoding work side by side."""

    def __init__(self, selection: Selection, layout: Layout, segmenter: Segmenter,
                 job: Job, outcome: Outcome,
                 on_frame: Callable[[], object]) -> None:
        self._selection, self._layout, self._segmenter = selection, layout, segmenter
        self._trackers = {topic: Tracker(job.tracking) for topic in layout.images}
        self._degrees = {topic: job.rotation_of(topic.name) for topic in layout.images}
        self._converter = find_converter()
        self.outcome, self._on_frame = outcome, on_frame
        self._reasons: Counter[str] = Counter()
        self._pictures_missing = 0

    def write(self, parts: Parts) -> None:
        """Write a part with what the earlier ones lack.

        Raises
        ------
        BagError
            There is no image, or none that can be decoded.
        """
        items = ((message, message.topic in self._layout.prefixes)
                 for message in self._without_done(parts))
        stages: list[Stage] = [self._decode, self._infer, self._postprocess, self._encode]
        earlier, begun = self.outcome.frames, time.monotonic()
        with parts.new_part() as part, closing(run_in_order(items, stages, DEPTH)) as results:
            for message, future in results:
                try:
                    part.write(self._take(message, future))
                except (BagError, ImageError) as error:  # costs an image, not the recording
                    self._reasons[str(error)] += 1
                    self.outcome.dropped += 1
                if future is not None:
                    self._on_frame()
            self._check_frames()
        self.outcome.seconds = time.monotonic() - begun
        self.outcome.rate = (self.outcome.frames - earlier) / self.outcome.seconds

    def _without_done(self, parts: Parts) -> Iterator[Message]:
        """Yield the messages whose results earlier runs have not written."""
        done = (self._identity(topic, group[0]) for topic, group in parts.groups())
        following = next(done, None)
        for message in self._selection.messages():
            is_image = message.topic in self._layout.prefixes
            if following is None:
                yield message
                continue
            if following == self._identity(message.topic, message):
                self.outcome.frames += is_image
                self.outcome.copied += not is_image
                following = next(done, None)
            else:  # an image that was dropped
                self.outcome.dropped += 1
            if is_image:
                self._on_frame()

    def _identity(self, topic: Topic, message: Message) -> tuple[Topic, int, int | bytes]:
        """Return what an image has in common with its results, and a message with its copy.

        The time alone may be that of other images, too.
        """
        if topic not in self._layout.prefixes:
            return topic, message.time, message.data
        try:
            return topic, message.time, stamp_of(message.data)
        except ValueError:  # too short for an image
            return topic, message.time, b''

    def _decode(self, message: Message) -> Decoded:
        parsed = self._selection.parse(message)
        return Decoded(message.topic, parsed.header, to_rgb(parsed, self._converter))

    def _infer(self, decoded: Decoded) -> Inferred:
        topic, header, image = decoded
        upright = rotate(image, self._degrees[topic])
        return Inferred(topic, header, image, self._segmenter.infer(upright))

    def _postprocess(self, inferred: Inferred) -> Result:
        topic, header, image, inference = inferred
        # Images come here in the order of the bag, all in the same thread.
        upright = self._trackers[topic].update(
            self._segmenter.postprocess(inference, confidence=self._segmenter.has_confidence),
            seconds_of(header.stamp), inference.image)
        segmentation = segmentation_of_camera(upright, self._degrees[topic])
        return Result(header, image, segmentation, self._segmenter.model_info)

    def _encode(self, result: Result) -> Encoded:
        return Encoded(encode_result(result, self._layout.labels), result.segmentation.instances)

    def _take(self, message: Message, future: Future | None) -> Group:
        """Return the messages to write for a message of the input, and count it."""
        if future is None:
            self.outcome.copied += 1
            return [message]
        encoded: Encoded = future.result()
        self.outcome.frames += 1
        self.outcome.instances.update(instance.class_name for instance in encoded.instances)
        self._pictures_missing += not set(PICTURES) <= set(encoded.messages)
        prefix = self._layout.prefixes[message.topic]
        return [Message(Topic(prefix + name, self._layout.types[name]), message.time, data)
                for name, data in encoded.messages.items()]

    def _check_frames(self) -> None:
        reasons = '; '.join(f'{count} of them: {reason}'
                            for reason, count in self._reasons.most_common(REASONS_SHOWN))
        names = ', '.join(topic.name for topic in self._layout.images)
        source = self.outcome.source
        if not self.outcome.frames:
            raise BagError(f'{source}: no image on {names}' if not self.outcome.dropped else
                           f'{source}: no image on {names} can be decoded ({reasons})')
        if self.outcome.dropped:
            self.outcome.problems.append(
                f'{source}: {self.outcome.dropped} images on {names} dropped ({reasons})')
        if self._pictures_missing:
            self.outcome.problems.append(
                f'{source}: {self._pictures_missing} images are too large for a picture; their '
                'label images and instances are complete')
