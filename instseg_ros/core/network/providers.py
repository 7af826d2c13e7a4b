"""ONNX Runtime's execution providers: their choice, their options and their sessions."""
from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Iterator, NamedTuple

import onnxruntime

from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.model_info import ModelError
from instseg_ros.core.network.device_grouping import DeviceGrouping
from instseg_ros.core.network.model_file import ModelFile
from instseg_ros.core.parallel import thread_count
from instseg_ros.core.trusted_folders import is_trusted, user_cache_folder

EXECUTION_PROVIDERS = {'cpu': 'CPUExecutionProvider', 'cuda': 'CUDAExecutionProvider',
                       'tensorrt': 'TensorrtExecutionProvider'}

DEVICES = {'cuda': 'cuda', 'tensorrt': 'cuda'}
"""Device whose memory holds the outputs of a GPU's provider, by ONNX Runtime's name."""

REMINDER = 15.0
"""Seconds between two log messages while an engine is built."""

logger = logging.getLogger(__name__)


def available_providers() -> tuple[str, ...]:
    """Return the providers that the installed build of ONNX Runtime has, cpu first."""
    installed = onnxruntime.get_available_providers()
    return tuple(name for name, full in EXECUTION_PROVIDERS.items() if full in installed)


def choose_provider(requested: str, available: tuple[str, ...]) -> str:
    """Return the provider to use.

    Parameters
    ----------
    requested : str
        auto, cpu, cuda or tensorrt; auto takes cuda where it is available, else the CPU.
    available : tuple of str

    Raises
    ------
    ModelError
        The requested provider is unavailable; there is no fallback.
    """
    if requested == 'auto':
        return 'cuda' if 'cuda' in available else 'cpu'
    if requested not in available:
        raise ModelError(f'network.provider: expected one that the installed ONNX Runtime '
                         f'{onnxruntime.__version__} has ({", ".join(available)}), got '
                         f'{requested}; the package onnxruntime-gpu has the others')
    return requested


class OpenSession(NamedTuple):
    """A loaded model, and what runs it.

    Attributes
    ----------
    session : onnxruntime.InferenceSession
    provider : str
        cpu, cuda or tensorrt.
    fallback : str
        Why this is not the provider that `auto` stands for; else empty.
    """

    session: onnxruntime.InferenceSession
    provider: str
    fallback: str = ''


def open_session(file: ModelFile, config: NetworkConfig) -> OpenSession:
    """Load a model.

    Parameters
    ----------
    file : ModelFile
        Its contents are loaded as they were checked, not what its path leads to by now.
    config : NetworkConfig

    Raises
    ------
    ModelError
        ONNX Runtime can't load it, or the requested provider or precision is unavailable.
    """
    provider = choose_provider(config.provider, available_providers())
    if config.precision == 'fp16' and provider != 'tensorrt':
        raise ModelError(f'network.precision: fp16 needs the provider tensorrt, got {provider}; '
                         f'with other providers, use a model that was exported in fp16')
    requested = provider_options(provider, file, config)
    options = session_options(config)
    # Bytes can also be in ONNX Runtime's own format, which nothing here has checked.
    options.add_session_config_entry('session.load_model_format', 'ONNX')
    if provider in DEVICES:
        load_pip_libraries()
    try:
        session = onnxruntime.InferenceSession(file.data, options, providers=requested)
    except Exception as error:  # its exceptions have no common base, and differ by version
        raise ModelError(f'{file.path}: expected an ONNX model that ONNX Runtime '
                         f'{onnxruntime.__version__} can load, got an error: {error}') from error
    # ONNX Runtime leaves out a provider whose libraries don't load, with a log message only.
    active = session.get_providers()[0]
    if active == EXECUTION_PROVIDERS[provider]:
        return OpenSession(session, provider)
    problem = (f'{provider} is installed but did not start: {start_problem(provider)}; ONNX '
               f'Runtime {onnxruntime.__version__} needs a driver, CUDA, cuDNN and TensorRT of '
               'the versions that it was built for')
    if config.provider != 'auto':
        raise ModelError(f'network.provider: {problem}')
    logger.warning('%s. The network runs on the CPU.', problem)
    return OpenSession(session, 'cpu', problem)


def load_pip_libraries() -> None:
    """Load CUDA and cuDNN from NVIDIA's packages of pip, where they are installed.

    The system's loader does not search there. ONNX Runtime can do this from 1.21 on; it prints
    what does not load, which `start_problem` reports in its place.
    """
    preload = getattr(onnxruntime, 'preload_dlls', None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            preload()
        logger.debug('%s', output.getvalue())


def start_problem(provider: str) -> str:
    """Return why a provider of ONNX Runtime does not start, as far as its libraries tell.

    The name of a library that is missing holds the major version that is needed.
    """
    library = Path(onnxruntime.__file__).parent / f'capi/libonnxruntime_providers_{provider}.so'
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return str(error)
    return 'its libraries load, but no device answers'


def open_grouping(provider: str, config: NetworkConfig) -> DeviceGrouping | None:
    """Return the grouping for the GPU that runs the network; None if a CPU does.

    Raises
    ------
    ModelError
        The GPU's provider does not start.
    """
    if provider not in DEVICES:
        return None
    # By default, newer GPUs round the factors of matrix products to 10 bits (TF32). The nearest
    # center follows from small differences of large products, so neighbours would be mixed up.
    cuda = (EXECUTION_PROVIDERS['cuda'], {'use_tf32': 0})
    try:
        grouping = DeviceGrouping(DEVICES[provider], session_options(config),
                                  [cuda, EXECUTION_PROVIDERS['cpu']])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise ModelError(f'network.provider: {provider} runs the network, but not the grouping '
                         f'of pixels: {error}') from error
    if grouping.provider != EXECUTION_PROVIDERS['cuda']:
        raise ModelError(f'network.provider: {provider} runs the network, but did not start for '
                         'the grouping of pixels, which needs ONNX Runtime 1.18 or later; '
                         f'{onnxruntime.__version__} is installed')
    return grouping


def session_options(config: NetworkConfig) -> onnxruntime.SessionOptions:
    """Return the session options that don't depend on the provider."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors, which are raised as exceptions as well
    options.intra_op_num_threads = thread_count(config.threads)
    options.inter_op_num_threads = 1
    # Threads that spin between the operators of a run make it faster. After the run they would
    # take the cores from post-processing, other segmenters and the robot's other processes.
    options.add_session_config_entry('session.force_spinning_stop', '1')
    return options


def provider_options(provider: str, file: ModelFile, config: NetworkConfig) -> list[Any]:
    """Return the execution providers for a session, in the order in which they take operators."""
    cpu = EXECUTION_PROVIDERS['cpu']
    cuda = (EXECUTION_PROVIDERS['cuda'], {'cudnn_conv_algo_search': 'HEURISTIC'})
    if provider == 'cpu':
        return [cpu]
    if provider == 'cuda':
        return [cuda, cpu]
    engine = {'trt_engine_cache_enable': True, 'trt_engine_cache_path': str(engine_folder(file)),
              'trt_fp16_enable': config.precision == 'fp16'}
    return [(EXECUTION_PROVIDERS['tensorrt'], engine), cuda, cpu]


def engine_folder(file: ModelFile) -> Path:
    """Return the folder for TensorRT's engines: beside the model, else in the user's cache.

    An engine is code, so only this user and root may be able to write there. It is named after
    the model's contents: ONNX Runtime doesn't tell engines of similar networks apart.

    Raises
    ------
    ModelError
        Neither can be written, or other users can write to both.
    """
    problems = []
    for parent in filter(None, (file.path.resolve().parent, user_cache_folder())):
        folder = parent / f'tensorrt-{file.checksum[:16]}'
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            problems.append(f'{parent} ({error.strerror or error})')
            continue
        if os.access(folder, os.W_OK) and is_trusted(folder):
            return folder
        problems.append(f'{folder} (this user can not write there, or others can)')
    raise ModelError(f'{file.path}: TensorRT needs a folder for its engine that only this user '
                     f'can write to, and can use neither of {" and ".join(problems)}; set '
                     'XDG_CACHE_HOME to one')


@contextlib.contextmanager
def announced_engine(file: ModelFile) -> Iterator[None]:
    """Log that TensorRT builds an engine, and again at intervals, while the block runs."""
    logger.warning('TensorRT prepares its engine for %s, kept in %s: seconds if it is there '
                   'already, some minutes if it has to be built', file.path, engine_folder(file))
    done, start = threading.Event(), time.monotonic()

    def remind() -> None:
        while not done.wait(REMINDER):
            logger.warning('TensorRT is still building its engine, %.0f s so far',
                           time.monotonic() - start)

    reminder = threading.Thread(target=remind, name='instseg-engine', daemon=True)
    reminder.start()
    try:
        yield
    finally:
        done.set()
        reminder.join()
    logger.warning('TensorRT is ready after %.0f s', time.monotonic() - start)
