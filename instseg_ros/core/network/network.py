"""The exported network: an ONNX Runtime session and the format of the model file.

A model file is ONNX with dynamic height and width. The graph normalises the image, takes the
arg-max over the classes, calibrates the center confidences and keeps only their local maxima.

======================= ======================== ==================================
`image`                 uint8 (1, H, W, 3)       the input, RGB; H and W multiples of
                                                 `ModelInfo.size_multiple`
`semantic_ids`          uint8 (1, h, w)          class of each output pixel, with
                                                 h = H / `ModelInfo.output_stride`
`center_heatmap`        float32 (1, h, w)        confidence to be a center, else 0
`embedding`             float32 (1, h, w, E)     E = `ModelInfo.embedding_size`
`semantic_confidence`   uint8 (1, h, w)          softmax probability of the class, times
                                                 255; optional, older files lack it
======================= ======================== ==================================

Its metadata has the entry of `ModelInfo.to_metadata`, and a checksum of the whole file, see
`instseg_ros.core.network.model_file`. All weights are in the file itself.

On the CPU, ONNX Runtime reads and writes NumPy's memory directly (IO binding). From a GPU, classes
and confidences are copied back, 6 bytes for each pixel of the output grid; the embedding stays
there, see `instseg_ros.core.network.device_grouping`.
"""
from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.model_info import ModelError, ModelInfo
from instseg_ros.core.network.device_grouping import DEVICE_ID, DeviceEmbedding
from instseg_ros.core.network.model_file import ModelFile, read_model_file
from instseg_ros.core.network.providers import announced_engine, open_grouping, open_session
from instseg_ros.core.network.trial_run import run_limited, trial_image
from instseg_ros.core.output_values import check_embedding, check_values
from instseg_ros.core.types import NetworkOutput, check_array

INPUT, EMBEDDING, CONFIDENCE = 'image', 'embedding', 'semantic_confidence'
OUTPUTS = {'semantic_ids': ('tensor(uint8)', 3), 'center_heatmap': ('tensor(float)', 3),
           EMBEDDING: ('tensor(float)', 4), CONFIDENCE: ('tensor(uint8)', 3)}
"""ONNX type and number of axes of each output; `CONFIDENCE` is optional."""

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
        self._session, self.provider = open_session(file, config)
        self._grouping = open_grouping(self.provider, config)
        try:
            _check_signature(self._session, self.info)
            self.has_confidence = CONFIDENCE in _names(self._session)
            if self.provider == 'tensorrt':
                self._build_engine(file, config.input_size or self.info.input_size)
            self._check_outputs()
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
        check_array('image', image, ('H', 'W', 3), np.uint8)
        height, width = image.shape[:2]
        multiple = self.info.size_multiple
        if not height or not width or height % multiple or width % multiple:
            raise ValueError(f'image: expected height and width in multiples of {multiple}, '
                             f'got {height} and {width}')
        shapes = self._output_shapes(height, width)
        binding = self._session.io_binding()
        binding.bind_cpu_input(INPUT, np.ascontiguousarray(image)[np.newaxis])
        outputs: dict[str, Any] = {}
        for name, shape in shapes.items():
            if name == EMBEDDING and self._grouping:
                binding.bind_output(name, self._grouping.device, DEVICE_ID)
                continue
            array = np.empty(shape, DTYPES[OUTPUTS[name][0]])
            binding.bind_output(name, 'cpu', 0, array.dtype.type, shape, array.ctypes.data)
            outputs[name] = array[0]
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise ModelError(f'{self.path}: the network failed on an image of {height} x {width} '
                             f'pixels: {error}') from error
        if self._grouping:
            value = binding.get_outputs()[list(shapes).index(EMBEDDING)]
            _, rows, columns, length = shapes[EMBEDDING]
            outputs[EMBEDDING] = DeviceEmbedding(self._grouping, value, (rows, columns, length))
        return NetworkOutput(**outputs)

    def to_device(self, output: NetworkOutput) -> NetworkOutput:
        """Return an output of arrays with its embedding where `run` leaves it: a GPU, if any."""
        if self._grouping is None:
            return output
        embedding = self._grouping.upload(np.asarray(output.embedding))
        return dataclasses.replace(output, embedding=embedding)

    def _output_shapes(self, height: int, width: int) -> dict[str, tuple[int, ...]]:
        shape = (1, height // self.info.output_stride, width // self.info.output_stride)
        return {name: shape if axes == 3 else (*shape, self.info.embedding_size)
                for name, (_, axes) in OUTPUTS.items()
                if name != CONFIDENCE or self.has_confidence}

    def _check_outputs(self) -> None:
        """Compare the outputs for one image with the documented format.

        Only a run shows the true stride and values; wrong ones have to fail here, not on the
        first image.
        """
        side = 2 * self.info.size_multiple
        shapes = self._output_shapes(side, side)
        arrays = dict(zip(shapes, run_limited(self._session, list(shapes),
                                              {INPUT: trial_image(side)}, self.provider)))
        for name, expected in shapes.items():
            if arrays[name].shape != expected:
                raise ModelError(f'output {name}: expected shape {expected} for an image of '
                                 f'{side} x {side} pixels and output stride '
                                 f'{self.info.output_stride}, got {arrays[name].shape}')
        check_values(NetworkOutput(**{name: array[0] for name, array in arrays.items()}),
                     self.info)
        check_embedding(arrays[EMBEDDING])

    def _build_engine(self, file: ModelFile, long_side: int) -> None:
        """Run TensorRT on the smallest and the largest possible image.

        It builds its engine for the range of sizes so far, and again, for minutes, whenever that
        range grows. After this, it does not in the middle of a video.
        """
        multiple = self.info.size_multiple
        with announced_engine(file):
            for side in (multiple, -(-long_side // multiple) * multiple):
                self._session.run(None, {INPUT: np.zeros((1, side, side, 3), np.uint8)})


def _check_signature(session, info: ModelInfo) -> None:
    """Compare a session's inputs and outputs with the documented format."""
    inputs = session.get_inputs()
    found = ', '.join(_describe(item) for item in inputs)
    if (len(inputs) != 1 or inputs[0].name != INPUT or inputs[0].type != 'tensor(uint8)'
            or len(inputs[0].shape) != 4 or inputs[0].shape[3] != 3
            or any(isinstance(length, int) for length in inputs[0].shape[1:3])):
        raise ValueError(f'expected one input "{INPUT}" tensor(uint8) [1, H, W, 3] with '
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


def _describe(item) -> str:
    return f'"{item.name}" {item.type} {list(item.shape)}'
