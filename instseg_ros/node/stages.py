"""The two stages that an image goes through in the node."""
from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Hashable, Mapping, Sequence

import numpy as np

from instseg_ros.bags.conversions import Converter, seconds_of, to_rgb
from instseg_ros.core.rotation import rotate, segmentation_of_camera
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.core.types import Inference, Segmentation
from instseg_ros.messages.results import CONFIDENCE, Result
from instseg_ros.node.outputs import MARKERS_NAME

if TYPE_CHECKING:
    from instseg_ros.node.camera import Camera


@dataclass
class Frame:
    """One image on its way through the node, with the results of the stages behind it.

    Attributes
    ----------
    camera : Camera
        The one that it came from.
    message : Image or CompressedImage
    arrived : float
        Seconds, of `time.monotonic`.
    image : (H0, W0, 3) uint8, RGB
        Set by the first stage; not there before.
    upright : (H0, W0, 3) or (W0, H0, 3) uint8, RGB
        The same, turned by the parameter `rotate`.
    inference : Inference
        Of the upright image. Set by the first stage; not there before.
    segmentation : Segmentation
        Set by the second stage; not there before.
    result : Result
        What is published; set at the end of the second stage.
    timings : dict of str to float
        Seconds spent in each step so far, in order, from the arrival on.
    """

    camera: Camera
    message: Any
    arrived: float
    image: np.ndarray = field(init=False)
    upright: np.ndarray = field(init=False)
    inference: Inference = field(init=False)
    segmentation: Segmentation = field(init=False)
    result: Result = field(init=False)
    timings: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._step_ended = self.arrived

    @property
    def latency(self) -> float:
        """Seconds from the arrival of the image to the end of its last step."""
        return self._step_ended - self.arrived

    def lap(self, step: str) -> None:
        """End a step, which began when the one before it ended."""
        now = time.monotonic()
        self.timings[step] = now - self._step_ended
        self._step_ended = now

    def take(self, timings: Mapping[str, float]) -> None:
        """Add the timings of steps that were measured elsewhere and have just ended."""
        self.timings.update(timings)
        self._step_ended = time.monotonic()


class Stages:
    """Both stages of a configured node; the cameras share them.

    Attributes
    ----------
    converter : Converter
    segmenter : Segmenter
        May be replaced at any time by one with the same network and other options; each image is
        processed with the options of one of them.
    """

    def __init__(self, converter: Converter, segmenter: Segmenter) -> None:
        self.converter, self.segmenter = converter, segmenter
        self._sizes: dict[Camera, tuple[int, int]] = {}

    def convert(self, frame: Frame) -> None:
        """Convert the image: the beginning of the first stage.

        Raises
        ------
        ImageError
            The message is not an image that can be segmented.
        """
        frame.lap('wait')
        frame.image = to_rgb(frame.message, self.converter)
        frame.upright = rotate(frame.image, frame.camera.config.rotate)
        self._sizes[frame.camera] = self.segmenter.network_size(*frame.upright.shape[:2])
        frame.lap('convert')

    def batch_key(self, frame: Frame) -> Hashable:
        """Return what is the same for frames that the network can probably take together.

        That is the size of its input for the last image of the same camera. A camera without one
        is on its own.
        """
        return self._sizes.get(frame.camera, frame.camera)

    def infer(self, frames: Sequence[Frame]) -> None:
        """Run the network on converted images: the rest of the first stage."""
        inferences = self.segmenter.infer_batch([frame.upright for frame in frames])
        for frame, inference in zip(frames, inferences):
            frame.inference = inference
            frame.take(inference.timings)

    def finish(self, frame: Frame) -> None:
        """Find objects in the network's output and track them: the second stage."""
        frame.lap('hand_over')
        segmentation = self.segmenter.postprocess(
            frame.inference, confidence=frame.camera.outputs.wants(CONFIDENCE))
        # Images of a camera come here in the order of their arrival, all in the same thread.
        tracked = frame.camera.tracker.update(
            segmentation, seconds_of(frame.message.header.stamp), frame.upright)
        frame.segmentation = segmentation_of_camera(tracked, frame.camera.config.rotate)
        frame.take(frame.segmentation.timings)

    def publish(self, frame: Frame) -> None:
        """Publish the results: the end of the second stage."""
        outputs, depth = frame.camera.outputs, frame.camera.depth
        frame.result = Result(frame.message.header, frame.image, frame.segmentation,
                              self.segmenter.model_info)
        outputs.publish(frame.result)
        if depth is None:
            outputs.publish_markers(frame.result)
        frame.lap('publish')
        if depth is not None:
            depth.submit(frame, wanted=outputs.wants(MARKERS_NAME))
