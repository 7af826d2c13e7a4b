"""The exported network: an ONNX Runtime session and the contract of the model file.

A model file is ONNX with dynamic height and width. The graph normalises the image, takes the
arg-max over the classes, calibrates the center confidences and keeps only their local maxima.

======================= ======================== ==================================
`image`                 uint8 (1, H, W, 3)       the input, RGB; H and W multiples of
                                                 `ModelInfo.size_multiple`
`semantic_ids`          uint8 (1, h, w)          class of each output pixel, with
                                                 h = H / `ModelInfo.output_stride`
`semantic_confidence`   float32 (1, h, w)        probability of that class
`center_heatmap`        float32 (1, h, w)        confidence to be a center, else 0
`embedding`             float32 (1, h, w, E)     E = `ModelInfo.embedding_size`
======================= ======================== ==================================

Its metadata has the entry of `ModelInfo.to_metadata`.
"""
from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import onnxruntime

from instseg_ros.core.bands import thread_count
from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.types import ModelInfo, NetworkOutput, check_array

INPUT = 'image'
OUTPUTS = {'semantic_ids': ('tensor(uint8)', 3), 'semantic_confidence': ('tensor(float)', 3),
           'center_heatmap': ('tensor(float)', 3), 'embedding': ('tensor(float)', 4)}
"""Element type and number of axes of each output."""

EXECUTION_PROVIDERS = {'cpu': 'CPUExecutionProvider', 'cuda': 'CUDAExecutionProvider',
                       'tensorrt': 'TensorrtExecutionProvider'}

logger = logging.getLogger(__name__)


class ModelError(ValueError):
    """A model file that can't be used, or not in the way that was asked for."""


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
        What really runs the network: cpu, cuda or tensorrt.

    Raises
    ------
    ModelError
        The file is missing, damaged, not in the format above, or the provider can't be had.
    """

    def __init__(self, path: str | os.PathLike, config: NetworkConfig = NetworkConfig()) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise ModelError(f'{path}: expected a model file (.onnx), but there is no such file')
        self._session, self.provider = open_session(self.path, config)
        try:
            self.info = ModelInfo.from_metadata(
                self._session.get_modelmeta().custom_metadata_map)
            _check_signature(self._session, self.info)
            if self.provider != 'tensorrt':  # it builds an engine for minutes for every size
                # Only a run tells the true stride, and it's better told now than mid-drive.
                side = 2 * self.info.size_multiple
                self.run(np.zeros((side, side, 3), np.uint8))
        except ValueError as error:
            raise ModelError(f'{path}: {error}') from error

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
        ValueError
            The image has another shape, or the model breaks its contract.
        """
        check_array('image', image, ('H', 'W', 3), np.uint8)
        height, width = image.shape[:2]
        multiple, stride = self.info.size_multiple, self.info.output_stride
        if not height or not width or height % multiple or width % multiple:
            raise ValueError(f'image: expected height and width in multiples of {multiple}, '
                             f'got {height} and {width}')
        arrays = self._session.run(list(OUTPUTS), {INPUT: image[np.newaxis]})
        shape = (1, height // stride, width // stride)
        for name, array in zip(OUTPUTS, arrays):
            expected = (*shape, self.info.embedding_size) if name == 'embedding' else shape
            if array.shape != expected:
                raise ModelError(f'output {name}: expected shape {expected} for an image of '
                                 f'{height} x {width} pixels and output stride {stride}, '
                                 f'got {array.shape}')
        return NetworkOutput(**{name: array[0] for name, array in zip(OUTPUTS, arrays)})


def available_providers() -> tuple[str, ...]:
    """Return the providers that this build of ONNX Runtime was made with, cpu first."""
    there = onnxruntime.get_available_providers()
    return tuple(name for name, full in EXECUTION_PROVIDERS.items() if full in there)


def choose_provider(asked: str, available: tuple[str, ...]) -> str:
    """Return the provider to use.

    Parameters
    ----------
    asked : str
        auto, cpu, cuda or tensorrt; auto takes cuda where it is available, else the CPU.
    available : tuple of str

    Raises
    ------
    ModelError
        It isn't available. Nothing else is taken silently in its place.
    """
    if asked == 'auto':
        return 'cuda' if 'cuda' in available else 'cpu'
    if asked not in available:
        raise ModelError(f'network.provider: {asked} was asked for, but the installed ONNX '
                         f'Runtime {onnxruntime.__version__} offers only: '
                         f'{", ".join(available)} (the package onnxruntime-gpu has the others)')
    return asked


def open_session(path: Path, config: NetworkConfig) -> tuple[onnxruntime.InferenceSession, str]:
    """Return a session of any ONNX file, and the provider that really runs it.

    Raises
    ------
    ModelError
        The file can't be loaded, or the provider can't be had.
    """
    provider = choose_provider(config.provider, available_providers())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; they come as exceptions, too
    options.intra_op_num_threads = thread_count(config.threads)
    options.inter_op_num_threads = 1
    cpu = EXECUTION_PROVIDERS['cpu']
    cuda = (EXECUTION_PROVIDERS['cuda'], {'cudnn_conv_algo_search': 'HEURISTIC'})
    if provider == 'cpu':
        providers = [cpu]
    elif provider == 'cuda':
        providers = [cuda, cpu]
    else:
        logger.warning('TensorRT builds an engine for %s when it sees an image size for the '
                       'first time; that takes minutes, and the engine is kept beside the model',
                       path)
        engine = {'trt_engine_cache_enable': True,
                  'trt_engine_cache_path': str(path.resolve().parent)}
        providers = [(EXECUTION_PROVIDERS['tensorrt'], engine), cuda, cpu]
    try:
        session = onnxruntime.InferenceSession(os.fspath(path), options, providers=providers)
    except Exception as error:  # its exceptions have no common base, and differ by version
        raise ModelError(f'{path}: expected an ONNX model that ONNX Runtime '
                         f'{onnxruntime.__version__} can load; it says: {error}') from error
    # A provider whose libraries don't load is left out by ONNX Runtime with a mere log message.
    active = session.get_providers()[0]
    if active != EXECUTION_PROVIDERS[provider]:
        problem = (f'{provider} is installed but did not start; are its driver and libraries '
                   f'(CUDA, cuDNN, TensorRT) of the versions that ONNX Runtime '
                   f'{onnxruntime.__version__} needs?')
        if config.provider != 'auto':
            raise ModelError(f'network.provider: {problem}')
        logger.warning('%s The network runs on the CPU.', problem)
        provider = 'cpu'
    return session, provider


def _check_signature(session, info: ModelInfo) -> None:
    """Compare a session's inputs and outputs with the contract."""
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
            raise ValueError(f'expected the outputs {", ".join(OUTPUTS)}, got '
                             f'{", ".join(outputs)}')
        if outputs[name].type != kind or len(outputs[name].shape) != axes:
            raise ValueError(f'expected output "{name}" {kind} with {axes} axes, got '
                             f'{_describe(outputs[name])}')
    length = outputs['embedding'].shape[3]
    if isinstance(length, int) and length != info.embedding_size:
        raise ValueError(f'expected embeddings of length {info.embedding_size}, as the metadata '
                         f'says, got {_describe(outputs["embedding"])}')


def _describe(item) -> str:
    return f'"{item.name}" {item.type} {list(item.shape)}'
