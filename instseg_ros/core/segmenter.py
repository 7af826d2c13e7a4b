"""The whole method: a camera image in, classes and objects of its pixels out."""
from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass, field

import cv2
import numpy as np

from instseg_ros.core.parallel import thread_count
from instseg_ros.core.config import (
    REFINEMENT_METHODS, GroupingConfig, NetworkConfig, RefinementConfig)
from instseg_ros.core.grouping import assign_pixels, find_centers
from instseg_ros.core.instances import instance_table
from instseg_ros.core.network import Network
from instseg_ros.core.refinement import refine
from instseg_ros.core.scaling import scale_image, to_image
from instseg_ros.core.types import (Centers, Instance, ModelInfo, NetworkOutput, Segmentation,
                                    check_array)


@dataclass(frozen=True)
class Inference:
    """What is known of an image once the network has seen it.

    Attributes
    ----------
    image : (H0, W0, 3) uint8, RGB
    output : NetworkOutput
        The part of the output grid that shows the image.
    scale : (float, float)
        Output pixels per image pixel in y and x, see `instseg_ros.core.scaling`.
    timings : dict of str to float
        Seconds spent so far in each stage.
    """

    image: np.ndarray
    output: NetworkOutput
    scale: tuple[float, float]
    timings: dict[str, float] = field(default_factory=dict)


class Segmenter:
    """Segments images of any size; safe to be called from several threads.

    >>> segmenter = Segmenter.from_onnx('models/street.onnx')
    >>> result = segmenter.segment(image)

    Parameters
    ----------
    network : Network
    input_size : int
        Long side of the network's input in pixels; 0 takes the model's own.
    grouping : GroupingConfig
    refinement : RefinementConfig
    threads : int
        Threads of grouping and refinement; 0 takes one for each core. A number is also set for
        OpenCV, which has one for the whole process: the last segmenter made decides.

    Attributes
    ----------
    grouping, refinement
        May be replaced at any time, and hold from the next image on.
    """

    def __init__(self, network: Network, *, input_size: int = 0,
                 grouping: GroupingConfig = GroupingConfig(),
                 refinement: RefinementConfig = RefinementConfig(), threads: int = 0) -> None:
        self.network = network
        self.input_size = input_size or network.info.input_size
        self.grouping = grouping
        self.refinement = refinement
        self.threads = thread_count(threads)
        if threads:
            cv2.setNumThreads(threads)

    @classmethod
    def from_onnx(cls, path: str | os.PathLike, provider: str | None = None, *,
                  network: NetworkConfig = NetworkConfig(),
                  grouping: GroupingConfig = GroupingConfig(),
                  refinement: RefinementConfig = RefinementConfig()) -> Segmenter:
        """Load an exported model.

        Parameters
        ----------
        path : path
            The ONNX file.
        provider : str, optional
            auto, cpu, cuda or tensorrt; a shorthand for `network.provider`.
        network, grouping, refinement
            Options, see `instseg_ros.core.config`.

        Raises
        ------
        ModelError
            The file is no such model, or the provider can't be had.
        """
        if provider is not None:
            network = dataclasses.replace(network, provider=provider)
        return cls(Network(path, network), input_size=network.input_size, grouping=grouping,
                   refinement=refinement, threads=network.threads)

    @property
    def model_info(self) -> ModelInfo:
        """What the model knows about itself."""
        return self.network.info

    @property
    def provider(self) -> str:
        """What really runs the network: cpu, cuda or tensorrt."""
        return self.network.provider

    def segment(self, image: np.ndarray) -> Segmentation:
        """Find class and object of every pixel.

        Parameters
        ----------
        image : (H0, W0, 3) uint8, RGB
            At least one pixel.

        Returns
        -------
        Segmentation
            In the image's own pixels.

        Raises
        ------
        TypeError, ValueError
            The image has another dtype or shape, or is empty.
        """
        return self.postprocess(self.infer(image))

    def infer(self, image: np.ndarray) -> Inference:
        """Run the network: the first half of `segment`."""
        check_array('image', image, ('H0', 'W0', 3), np.uint8)
        if image.size == 0:
            raise ValueError(f'image: expected at least one pixel, got shape {image.shape}')
        watch = Stopwatch()
        info = self.model_info
        image = np.ascontiguousarray(image)
        scaled = scale_image(image, self.input_size, info.size_multiple, info.output_stride,
                             self.network.empty_image)
        watch.lap('scale')
        output = scaled.crop(self.network.run(scaled.pixels))
        watch.lap('network')
        return Inference(image, output, scaled.scale, watch.laps)

    def postprocess(self, inference: Inference) -> Segmentation:
        """Make objects of what the network said: the second half of `segment`.

        It doesn't touch the network: the next image may be in `infer` meanwhile.
        """
        watch = Stopwatch(inference.timings)
        output = inference.output
        centers, cut = find_centers(output, self.model_info, self.grouping)
        grouped = assign_pixels(output, centers, self.threads)
        watch.lap('grouping')
        semantic_ids, instance_ids = refine(inference.image, output.semantic_ids, grouped,
                                            inference.scale, self.refinement, self.threads)
        watch.lap('refinement')
        instances = describe_instances(instance_ids, centers,
                                       instance_scores(centers.scores, self.model_info),
                                       inference.scale, self.model_info)
        watch.lap('instances')
        return Segmentation(semantic_ids, instance_ids, instances, cut, watch.laps)

    def warm_up(self) -> None:
        """Load or compile all that the first image would have to wait for.

        Segments a made-up image through every stage, in the given configuration, and refines it
        with every method: a change of parameters shall not have to wait either.
        """
        rows = columns = 4 * self.model_info.size_multiple // self.model_info.output_stride
        stride, length = self.model_info.output_stride, self.model_info.embedding_size
        image = np.zeros((rows * stride, columns * stride, 3), np.uint8)
        image[:, image.shape[1] // 2:] = 255
        self.infer(image)
        things = self.model_info.thing_ids
        ids = np.zeros((rows, columns), np.uint8)
        heatmap = np.zeros((rows, columns), np.float32)
        embedding = np.zeros((rows, columns, length), np.float32)
        if things:
            ids[:, columns // 2:] = things[-1]
        heatmap[rows // 2, [columns // 2, -1]] = 1
        embedding[:, columns * 3 // 4:] = 2 * self.grouping.duplicate_distance + 1
        output = self.network.place(NetworkOutput(ids, heatmap, embedding))
        frozen = image.copy()
        frozen.flags.writeable = False  # as images made from a message's bytes; another kernel
        scale = 1 / stride, 1 / stride
        for picture in (image, frozen):
            self.postprocess(Inference(picture, output, scale))
            for method in REFINEMENT_METHODS:
                refine(picture, ids, ids.astype(np.uint16), scale, RefinementConfig(method=method))


def describe_instances(instance_ids: np.ndarray, centers: Centers, scores: np.ndarray,
                       scale: tuple[float, float], info: ModelInfo) -> tuple[Instance, ...]:
    """Describe the instances that have at least one pixel, strongest first.

    Parameters
    ----------
    instance_ids : (H0, W0) uint16
        Index in `centers` + 1, or 0.
    centers : Centers
    scores : (K,) float
        Score of each instance, in [0, 1].
    scale : (float, float)
        Output pixels per image pixel in y and x.
    info : ModelInfo
    """
    table = instance_table(instance_ids, len(centers))
    order = np.argsort(-scores, kind='stable')
    order = order[table.areas[order] > 0]
    # The last output pixel may stick out of the image.
    middles = np.minimum(to_image(centers.points[order].astype(np.float64), np.array(scale)),
                         np.array(instance_ids.shape) - 1.0)
    # Python's own numbers, all at once: one by one they would take most of the time.
    return tuple(
        Instance(instance_id=k + 1, class_id=class_id, class_name=info.class_names[class_id],
                 score=score, center_yx=tuple(middle), box_xyxy=tuple(box), area=area)
        for k, class_id, score, middle, box, area in zip(
            order.tolist(), centers.class_ids[order].tolist(), scores[order].tolist(),
            middles.tolist(), table.boxes_xyxy[order].tolist(), table.areas[order].tolist()))


def instance_scores(confidences: np.ndarray, info: ModelInfo) -> np.ndarray:
    """Return the scores of instances: sigmoid(scale * logit(confidence) + shift).

    The confidence of a center says how sure the network is of it; the score, how often such an
    instance is right, mask included, on images that the network was not trained on. (Ours, not
    the paper's; Platt scaling, see `instseg_ros.learning.calibration`.)

    Parameters
    ----------
    confidences : (K,) float32
        Of the centers, in (0, 1].
    info : ModelInfo
        Holds scale and shift.

    Returns
    -------
    (K,) float64
        In the order of the confidences, as the map is monotone.
    """
    confidences = confidences.astype(np.float64)
    odds_against = ((1 - confidences) / confidences) ** info.score_scale
    return 1 / (1 + odds_against * np.exp(-info.score_shift))


class Stopwatch:
    """Measures stages one after the other.

    Parameters
    ----------
    laps : dict of str to float
        Earlier laps in seconds; copied.
    """

    def __init__(self, laps: dict[str, float] | None = None) -> None:
        self.laps = dict(laps or {})
        self._start = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a stage and begin the next one."""
        now = time.perf_counter()
        self.laps[name] = now - self._start
        self._start = now
