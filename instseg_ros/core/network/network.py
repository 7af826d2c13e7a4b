"""The exported network: an ONNX Runtime session and the format of the model file.

A model file is ONNX with dynamic height and width, and with a dynamic number N of images or, in
older files, with N = 1. The graph normalises the image, takes the
arg-max over the classes, calibrates the center confidences and keeps only their local maxima.

======================= ======================== ==================================
`image`                 uint8 (N, H, W, 3)       the input, RGB; H and W multiples of
                                                 `ModelInfo.size_multiple`
`semantic_ids`          uint8 (N, h, w)          class of each output pixel, with
                                                 h = H / `ModelInfo.output_stride`
`center_heatmap`        float32 (N, h, w)        confidence to be a center, else 0
`embedding`             float32 (N, h, w, E)     E = `ModelInfo.embedding_size`
`semantic_confidence`   uint8 (N, h, w)          softmax probability of the class, times
                                                 255; optional, older files lack it
======================= ======================== ==================================

Its metadata has the entry of `ModelInfo.to_metadata`, and a checksum of the whole file, see
`instseg_ros.core.network.model_file`. All weights are in the file itself. By the entry of
`Probe.to_metadata` sessions in reduced precision, and those on a GPU, prove themselves.

On the CPU, ONNX Runtime reads and writes NumPy's memory directly (IO binding). From a GPU, classes
and confidences are copied back, 6 bytes for each pixel of the output grid; the embedding stays
there, see `instseg_ros.core.network.device_grouping`.
"""
from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.model_info import ModelError, ModelInfo
from instseg_ros.core.network.device_grouping import DEVICE_ID, DeviceEmbedding
from instseg_ros.core.network.model_file import ModelFile, read_model_file
from instseg_ros.core.network.probe import Probe
from instseg_ros.core.network.providers import announced_engine, open_grouping, open_session
from instseg_ros.core.network.trial_run import run_limited, trial_image
from instseg_ros.core.output_values import check_embedding, check_values
from instseg_ros.core.types import NetworkOutput, check_array

INPUT, EMBEDDING, CONFIDENCE = 'image', 'embedding', 'semantic_confidence'
OUTPUTS = {'semantic_ids': ('tensor(uint8)', 3), 'center_heatmap': ('tensor(float)', 3),
           EMBEDDING: ('tensor(float)', 4), CONFIDENCE: ('tensor(uint8)', 3)}
"""ONNX type and number of axes of each output; `CONFIDENCE` is optional."""

BATCHES = {'cpu': 1, 'cuda': 8, 'tensorrt': 8}
"""Default of `network.max_batch` by provider. On a CPU, images are as fast one by one."""

DTYPES = {'tensor(uint8)': np.uint8, 'tensor(float)': np.float32}

logger = logging.getLogger(__name__)


class Network:
    """A model file, ready to run; safe to be called from several threads.

    Parameters
    ----------
    path : path
        The ONNX file.
    config : NetworkConfig

    Attributes
    ----------
    info : ModelInfo
    provider : str
        The provider that runs the network: cpu, cuda or tensorrt.
    fallback : str
        Why the CPU runs the network although `auto` stands for CUDA here; else empty.
    max_batch : int
        Images that run together, at most; 1 if the model takes only one.
    is_batchable : bool
        Whether the model takes several images at once.
    checksum : str
        SHA-256 of the file's contents, see `instseg_ros.core.network.model_file`.
    has_checksum : bool
        Whether the file names it: then the contents are those that were exported.
    has_confidence : bool
        Whether the file has the output `semantic_confidence`.

    Raises
    ------
    ModelError
        The file is missing, damaged or not in the format above, or the provider is unavailable.
    """

    def __init__(self, path: str | os.PathLike, config: NetworkConfig = NetworkConfig()) -> None:
        self.path = Path(path)
        file = read_model_file(self.path)
        self.checksum, self.has_checksum = file.checksum, file.has_checksum
        try:
            self.info = ModelInfo.from_metadata(file.metadata)
        except ValueError as error:
            raise ModelError(f'{path}: {error}') from error
        if not self.has_checksum:
            logger.warning('%s: names no checksum, so damage to it would go unnoticed; export it '
                           'again, or see scripts/seal_model.py', path)
        self._session, self.provider, self.fallback = open_session(file, config)
        self._grouping = open_grouping(self.provider, config)
        try:
            _check_signature(self._session, self.info)
            self.has_confidence = CONFIDENCE in _names(self._session)
            self.is_batchable = not isinstance(self._session.get_inputs()[0].shape[0], int)
            self.max_batch = (config.max_batch or BATCHES[self.provider]
                              if self.is_batchable else 1)
            if self.provider == 'tensorrt':
                self._build_engine(file, config.input_size or self.info.input_size)
            self._check_outputs()
            self._check_precision(file, config.precision)
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise ModelError(f'{path}: {error or type(error).__name__}') from error

    def run(self, image: np.ndarray) -> NetworkOutput:
        """Run the network.

        Parameters
        ----------
        image : (H, W, 3) uint8, RGB
            H and W are multiples of `info.size_multiple`; see `instseg_ros.core.scaling`.

        Returns
        -------
        NetworkOutput
            On the output grid (H / output_stride, W / output_stride).

        Raises
        ------
        TypeError, ValueError
            The image has another dtype or shape.
        ModelError
            The network fails, or its outputs don't have the documented shapes.
        """
        self._check_image(image)
        return self._run(np.ascontiguousarray(image)[np.newaxis])[0]

    def run_batch(self, images: Sequence[np.ndarray]) -> list[NetworkOutput]:
        """Run the network on several images, up to `max_batch` of one size together.

        Parameters and errors are those of `run`, for each image.

        Returns
        -------
        list of NetworkOutput
            In the order of the images.
        """
        by_size: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(images):
            self._check_image(image)
            by_size.setdefault(image.shape, []).append(number)
        outputs: dict[int, NetworkOutput] = {}
        for numbers in by_size.values():
            for start in range(0, len(numbers), self.max_batch):
                batch = numbers[start:start + self.max_batch]
                outputs.update(zip(batch, self._run(np.stack([images[n] for n in batch]))))
        return [outputs[number] for number in range(len(images))]

    def _check_image(self, image: np.ndarray) -> None:
        check_array('image', image, ('H', 'W', 3), np.uint8)
        height, width = image.shape[:2]
        multiple = self.info.size_multiple
        if not height or not width or height % multiple or width % multiple:
            raise ValueError(f'image: expected height and width in multiples of {multiple}, '
                             f'got {height} and {width}')

    def _run(self, images: np.ndarray) -> list[NetworkOutput]:
        """Return the outputs of images (N, H, W, 3), which are contiguous."""
        count, height, width = images.shape[:3]
        shapes = self._output_shapes(count, height, width)
        binding = self._session.io_binding()
        binding.bind_cpu_input(INPUT, images)
        outputs: dict[str, Any] = {}
        for name, shape in shapes.items():
            if name == EMBEDDING and self._grouping:
                binding.bind_output(name, self._grouping.device, DEVICE_ID)
                continue
            array = np.empty(shape, DTYPES[OUTPUTS[name][0]])
            binding.bind_output(name, 'cpu', 0, array.dtype.type, shape, array.ctypes.data)
            outputs[name] = array
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise ModelError(f'{self.path}: the network failed on {_images(count)} of {height} x '
                             f'{width} pixels: {error}') from error
        if self._grouping:
            value = binding.get_outputs()[list(shapes).index(EMBEDDING)]
            _, rows, columns, length = shapes[EMBEDDING]
            outputs[EMBEDDING] = [
                DeviceEmbedding(self._grouping, value, (rows, columns, length), number)
                for number in range(count)]
        return [NetworkOutput(**{name: each[number] for name, each in outputs.items()})
                for number in range(count)]

    def to_device(self, output: NetworkOutput) -> NetworkOutput:
        """Return an output of arrays with its embedding where `run` leaves it: a GPU, if any."""
        if self._grouping is None:
            return output
        embedding = self._grouping.upload(np.asarray(output.embedding))
        return dataclasses.replace(output, embedding=embedding)

    def _output_shapes(self, count: int, height: int, width: int) -> dict[str, tuple[int, ...]]:
        shape = (count, height // self.info.output_stride, width // self.info.output_stride)
        return {name: shape if axes == 3 else (*shape, self.info.embedding_size)
                for name, (_, axes) in OUTPUTS.items()
                if name != CONFIDENCE or self.has_confidence}

    def _check_outputs(self) -> None:
        """Compare the outputs for a small image with the documented format.

        Only a run shows the true stride and values; wrong ones have to fail here, not on the
        first image.
        """
        side, count = 2 * self.info.size_multiple, min(2, self.max_batch)
        shapes = self._output_shapes(count, side, side)
        images = np.repeat(trial_image(side), count, axis=0)
        arrays = dict(zip(shapes, run_limited(self._session, list(shapes), {INPUT: images},
                                              self.provider)))
        for name, expected in shapes.items():
            if arrays[name].shape != expected:
                raise ModelError(f'output {name}: expected shape {expected} for {_images(count)} '
                                 f'of {side} x {side} pixels and output stride '
                                 f'{self.info.output_stride}, got {arrays[name].shape}')
        check_values(NetworkOutput(**{name: array[0] for name, array in arrays.items()}),
                     self.info)
        check_embedding(arrays[EMBEDDING])

    def _check_precision(self, file: ModelFile, precision: str) -> None:
        """Compare the result for the probe, if one is needed, with that in 32-bit floats."""
        probe = Probe.from_metadata(file.metadata, self.info)
        if probe is None:
            if self.provider != 'cpu':
                logger.warning('%s holds no test image, so the results of %s are not verified; '
                               'export the model again', self.path, self.provider)
        elif probe.is_needed(self.provider):
            probe.check(self.run(probe.image), f'{self.provider} in the precision '
                        f'{probe.precision if precision == "model" else precision}')

    def _build_engine(self, file: ModelFile, long_side: int) -> None:
        """Run TensorRT on the smallest image and on the largest possible batch.

        It builds its engine for the range of sizes so far, and again, for minutes, whenever that
        range grows. After this, it does not in the middle of a video.
        """
        multiple = self.info.size_multiple
        with announced_engine(file):
            for count, side in ((1, multiple),
                                (self.max_batch, -(-long_side // multiple) * multiple)):
                self._session.run(None, {INPUT: np.zeros((count, side, side, 3), np.uint8)})


def _check_signature(session, info: ModelInfo) -> None:
    """Compare a session's inputs and outputs with the documented format."""
    inputs = session.get_inputs()
    found = ', '.join(_describe(item) for item in inputs)
    if (len(inputs) != 1 or inputs[0].name != INPUT or inputs[0].type != 'tensor(uint8)'
            or len(inputs[0].shape) != 4 or inputs[0].shape[3] != 3
            or any(isinstance(length, int) for length in inputs[0].shape[1:3])):
        raise ValueError(f'expected one input "{INPUT}" tensor(uint8) [N, H, W, 3] with '
                         f'dynamic H and W, got {found}')
    outputs = {item.name: item for item in session.get_outputs()}
    for name, (kind, axes) in OUTPUTS.items():
        if name not in outputs:
            if name == CONFIDENCE:
                continue
            raise ValueError(f'expected the outputs {", ".join(list(OUTPUTS)[:-1])} and perhaps '
                             f'{CONFIDENCE}, got {", ".join(outputs)}')
        if outputs[name].type != kind or len(outputs[name].shape) != axes:
            raise ValueError(f'expected output "{name}" {kind} with {axes} axes, got '
                             f'{_describe(outputs[name])}')
    length = outputs[EMBEDDING].shape[3]
    if isinstance(length, int) and length != info.embedding_size:
        raise ValueError(f'expected embeddings of length {info.embedding_size}, as in the '
                         f'metadata, got {_describe(outputs[EMBEDDING])}')


def _names(session) -> list[str]:
    return [item.name for item in session.get_outputs()]


def _images(count: int) -> str:
    return 'an image' if count == 1 else f'{count} images'


def _describe(item) -> str:
    return f'"{item.name}" {item.type} {list(item.shape)}'
