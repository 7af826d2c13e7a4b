"""The whole method: a camera image in, classes and objects of its pixels out."""
from __future__ import annotations

import dataclasses
import os
from typing import Sequence

import cv2
import numpy as np

from instseg_ros.core.config import (
    GroupingConfig,
    NetworkConfig,
    RefinementConfig,
    SelectionConfig,
)
from instseg_ros.core.network import Network
from instseg_ros.core.postprocessing import Postprocessor, example
from instseg_ros.core.scaling import ScaledImage, padded_size, scale_image
from instseg_ros.core.stopwatch import Stopwatch
from instseg_ros.core.types import Inference, ModelInfo, Segmentation, check_array


class Segmenter:
    """Segments images of any size; safe to be called from several threads.

    >>> segmenter = Segmenter.from_onnx('models/street.onnx')
    >>> result = segmenter.segment(image)

    Parameters
    ----------
    network : Network
    postprocessor : Postprocessor
    input_size : int
        Long side of the network's input in pixels; 0 takes the model's own.
    """

    def __init__(self, network: Network, postprocessor: Postprocessor,
                 input_size: int = 0) -> None:
        self.network = network
        self.postprocessor = postprocessor
        self.input_size = input_size or network.info.input_size

    @classmethod
    def from_onnx(cls, path: str | os.PathLike, provider: str | None = None, *,
                  network: NetworkConfig = NetworkConfig(),
                  grouping: GroupingConfig = GroupingConfig(),
                  refinement: RefinementConfig = RefinementConfig(),
                  selection: SelectionConfig = SelectionConfig()) -> Segmenter:
        """Load an exported model.

        If `network.threads` is not 0, it is also set for OpenCV, which has one number of threads
        for the whole process: the last model loaded decides.

        Parameters
        ----------
        path : path
            The ONNX file.
        provider : str, optional
            auto, cpu, cuda or tensorrt; a shorthand for `network.provider`.
        network, grouping, refinement, selection
            Options, see `instseg_ros.core.config`.

        Raises
        ------
        ModelError
            The file is no such model, or the provider is unavailable.
        ValueError
            The model lacks a selected class.
        """
        if provider is not None:
            network = dataclasses.replace(network, provider=provider)
        if network.threads:
            cv2.setNumThreads(network.threads)
        model = Network(path, network)
        return cls(model, Postprocessor(model.info, grouping, refinement, network.threads,
                                        selection), network.input_size)

    def with_options(self, *, grouping: GroupingConfig | None = None,
                     refinement: RefinementConfig | None = None,
                     selection: SelectionConfig | None = None) -> Segmenter:
        """Return a segmenter with other options that shares the network; all else is kept.

        Raises
        ------
        ValueError
            The model lacks a selected class.
        """
        postprocessor = dataclasses.replace(
            self.postprocessor, grouping=grouping or self.postprocessor.grouping,
            refinement=refinement or self.postprocessor.refinement,
            selection=selection or self.postprocessor.selection)
        return Segmenter(self.network, postprocessor, self.input_size)

    @property
    def model_info(self) -> ModelInfo:
        """The model's classes, strides and calibration, from its file."""
        return self.network.info

    @property
    def provider(self) -> str:
        """The provider that runs the network; one of cpu, cuda and tensorrt."""
        return self.network.provider

    @property
    def has_confidence(self) -> bool:
        """Whether the model file has the confidence of classes; older files don't."""
        return self.network.has_confidence

    @property
    def max_batch(self) -> int:
        """At most so many images run through the network together."""
        return self.network.max_batch

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the network's input for an image of this size."""
        return padded_size((height, width), self.input_size, self.model_info.size_multiple)

    def segment(self, image: np.ndarray, *, confidence: bool = False) -> Segmentation:
        """Find class and object of every pixel.

        Parameters
        ----------
        image : (H0, W0, 3) uint8, RGB
            At least one pixel.
        confidence : bool
            Whether to compute `Segmentation.semantic_confidence`.

        Returns
        -------
        Segmentation
            In the image's own pixels.

        Raises
        ------
        TypeError, ValueError
            The image has another dtype or shape, or is empty; or the confidence is requested, and
            the model file has none (see `has_confidence`).
        """
        return self.postprocess(self.infer(image), confidence=confidence)

    def infer(self, image: np.ndarray) -> Inference:
        """Scale an image and run the network: the first half of `segment`."""
        watch = Stopwatch()
        image, scaled = self._scale(image)
        watch.lap('scale')
        output = scaled.crop(self.network.run(scaled.pixels))
        watch.lap('network')
        return Inference(image, output, scaled.scale, watch.laps)

    def infer_batch(self, images: Sequence[np.ndarray]) -> list[Inference]:
        """Scale images and run the network, on up to `max_batch` images at once.

        Images run together if their scaled size is the same, see `network_size`.

        Returns
        -------
        list of Inference
            In the order of the images. They differ from those of `infer` by rounding at most. The
            timings are those of all images together.
        """
        if len(images) == 1 or self.max_batch == 1:
            return [self.infer(image) for image in images]
        watch = Stopwatch()
        scaled = [self._scale(image) for image in images]
        watch.lap('scale')
        outputs = self.network.run_batch([small.pixels for _, small in scaled])
        watch.lap('network')
        return [Inference(image, small.crop(output), small.scale, watch.laps)
                for (image, small), output in zip(scaled, outputs)]

    def _scale(self, image: np.ndarray) -> tuple[np.ndarray, ScaledImage]:
        """Return an image, contiguous, and the scaled one."""
        check_array('image', image, ('H0', 'W0', 3), np.uint8)
        if image.size == 0:
            raise ValueError(f'image: expected at least one pixel, got shape {image.shape}')
        info = self.model_info
        image = np.ascontiguousarray(image)
        return image, scale_image(image, self.input_size, info.size_multiple, info.output_stride)

    def postprocess(self, inference: Inference, *, confidence: bool = False) -> Segmentation:
        """Group pixels and refine the result: the second half of `segment`.

        It doesn't use the network, which may run on the next image meanwhile.
        """
        segmentation = self.postprocessor.run(inference.output, inference.image, inference.scale,
                                              confidence=confidence)
        return dataclasses.replace(segmentation, timings={**inference.timings,
                                                          **segmentation.timings})

    def warm_up(self) -> None:
        """Load or compile all that the first image, or a change of options, would wait for."""
        output, image = example(self.model_info)
        self.infer(image)
        self.postprocessor.warm_up(self.network.to_device(output), image)
