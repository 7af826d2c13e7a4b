"""What is done to one image, in the two stages of the pipeline."""
from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Mapping

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from instseg_ros.core.segmenter import Segmenter
from instseg_ros.core.types import Inference
from instseg_ros.node.conversions import Converter, to_rgb
from instseg_ros.node.outputs import Outputs


@dataclass(frozen=True)
class Arrival:
    """An image as it came; the time is of `time.monotonic`, like every other one here."""

    message: Image
    time: float


@dataclass(frozen=True)
class HalfDone:
    """An image that the network has seen, and when it had."""

    arrival: Arrival
    inference: Inference
    time: float


@dataclass(frozen=True)
class Published:
    """What there is to tell of an image whose results were published.

    Attributes
    ----------
    header : Header
        Of the image.
    latency : float
        Seconds from arrival until everything was published.
    timings : dict of str to float
        The parts of the latency, in order.
    instances_cut : int
    """

    header: Header
    latency: float
    timings: Mapping[str, float]
    instances_cut: int


class Stages:
    """Both stages of a configured node.

    Attributes
    ----------
    converter : Converter
    segmenter : Segmenter
        May be replaced at any time by one with the same network.
    outputs : Outputs
    """

    def __init__(self, converter: Converter, segmenter: Segmenter, outputs: Outputs) -> None:
        self.converter, self.segmenter, self.outputs = converter, segmenter, outputs

    def infer(self, arrival: Arrival) -> HalfDone:
        """Convert an image and run the network: the first stage.

        Raises
        ------
        ImageError
            The message is no image that can be segmented.
        """
        began = time.monotonic()
        image = to_rgb(arrival.message, self.converter)
        converted = time.monotonic()
        inference = self.segmenter.infer(image)
        timings = {'wait': began - arrival.time, 'convert': converted - began,
                   **inference.timings}
        return HalfDone(arrival, replace(inference, timings=timings), time.monotonic())

    def publish(self, half_done: HalfDone) -> Published:
        """Make objects of what the network said and publish them: the second stage."""
        began = time.monotonic()
        inference = half_done.inference
        timings = {**inference.timings, 'hand_over': began - half_done.time}
        segmentation = self.segmenter.postprocess(replace(inference, timings=timings))
        segmented = time.monotonic()
        header = half_done.arrival.message.header
        self.outputs.publish(header, inference.image, segmentation)
        published = time.monotonic()
        return Published(header, published - half_done.arrival.time,
                         {**segmentation.timings, 'publish': published - segmented},
                         segmentation.instances_dropped)
