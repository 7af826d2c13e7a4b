"""The time of a model end to end, and of other networks in turns with it."""
from __future__ import annotations

import dataclasses
from pathlib import Path
from statistics import median
from typing import Any, Mapping, Sequence

import numpy as np

from instseg_ros.benchmark.measurement import Call, Progress, measure, peak_memory_of
from instseg_ros.benchmark.scene import Scene, street_scene
from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.model_info import ModelError
from instseg_ros.core.network.model_file import read_model_file
from instseg_ros.core.network.providers import open_session
from instseg_ros.core.scaling import scale_image
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.core.types import NetworkOutput, Segmentation

ELEMENT_TYPES = {'tensor(float)': np.float32, 'tensor(float16)': np.float16,
                 'tensor(uint8)': np.uint8}


class OtherNetwork:
    """A network of any kind with one image as input, to be timed only.

    Parameters
    ----------
    path : Path
        An ONNX file.
    config : NetworkConfig
        Provider and threads, as for ours.
    shape : sequence of int, optional
        Of the input; needed where the file leaves it open.

    Attributes
    ----------
    name : str
    shape : tuple of int

    Raises
    ------
    ModelError
        The file can't be loaded, has several inputs, or leaves the shape open.
    """

    def __init__(self, path: Path, config: NetworkConfig,
                 shape: Sequence[int] | None = None) -> None:
        self.name = path.name
        self._session = open_session(read_model_file(path), config).session
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in ELEMENT_TYPES:
            found = ', '.join(f'"{item.name}" {item.type}' for item in inputs)
            raise ModelError(f'{path}: expected a network with one input of '
                             f'{", ".join(ELEMENT_TYPES)}, got {found}')
        declared = list(inputs[0].shape)
        if all(isinstance(length, int) for length in declared):
            shape = declared
        elif shape is None:
            raise ModelError(f'{path}: its input {declared} has no fixed shape; give one, for '
                             'example --compare-shape 1x3x640x640')
        self.shape = tuple(shape)
        values = np.random.default_rng(0).integers(0, 256, self.shape)
        kind = ELEMENT_TYPES[inputs[0].type]
        # As images are fed: bytes as they are, floats from 0 to 1.
        array = values.astype(kind) if kind == np.uint8 else (values / 255).astype(kind)
        self._feed = {inputs[0].name: array}

    def run(self) -> None:
        """Run the network on its random image.

        Raises
        ------
        ModelError
            It doesn't take the given shape.
        """
        try:
            self._session.run(None, self._feed)
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise ModelError(f'{self.name}: it does not run on an input of '
                             f'{"x".join(map(str, self.shape))}: {error}') from error


def measure_model(path: Path, configs: Mapping[str, Any], size: tuple[int, int], instances: int,
                  rounds: int, progress: Progress = iter, *,
                  others: Sequence[OtherNetwork] = ()) -> dict[str, Any]:
    """Time a model end to end, from the image to the objects in it.

    A real network finds next to nothing in a made-up image, which would favour the stages after
    it. So the network runs on the image, and they run on the scene's simulated output.

    Parameters
    ----------
    path : Path
        The model.
    configs : mapping of str
        `network`, `grouping`, `refinement` and `selection`, as for `Segmenter.from_onnx`.
    size : (int, int)
        Height and width of the camera image.
    instances : int
        Objects in the scene.
    rounds : int
        Calls of everything.
    progress : callable
        Wraps the sequence of rounds.
    others : sequence of OtherNetwork
        Called in turns with ours.

    Returns
    -------
    dict
        Ready for JSON: `model`, `provider`, `size`, `network_size` (height and width of the
        network's input), `instances`; `network` and `segment` (`wall_ms`, `cpu_ms`, `fps`);
        `stages_ms`, medians on the clock of each stage of `segment`; `peak_memory_mib` of a
        process of its own; `others`, a list of `network`, `shape`, `wall_ms`,
        `cpu_ms` and `ratio`, our `segment`'s time over theirs by both clocks.
    """
    segmenter = Segmenter.from_onnx(path, **configs)
    scene = model_scene(segmenter, size, instances)
    image, output = scene.inference.image, segmenter.network.to_device(scene.inference.output)
    info = segmenter.model_info
    pixels = scale_image(image, segmenter.input_size, info.size_multiple,
                         info.output_stride).pixels
    laps: list[Mapping[str, float]] = []
    calls: dict[str, Call] = {
        'network': lambda: segmenter.network.run(pixels),
        'segment': lambda: laps.append(segment_scene(segmenter, image, output).timings),
        **{f'other {index}': other.run for index, other in enumerate(others)}}
    times = measure(calls, rounds, progress)
    segment = times['segment']
    return {
        'model': path.name, 'provider': segmenter.provider,
        'size': list(size), 'network_size': list(pixels.shape[:2]), 'instances': instances,
        **{name: {**dataclasses.asdict(times[name]), 'fps': 1e3 / times[name].wall_ms}
           for name in ('network', 'segment')},
        'stages_ms': {stage: 1e3 * median(lap[stage] for lap in laps[1:]) for stage in laps[0]},
        'peak_memory_mib': peak_memory_of(segment_once, path, configs, image,
                                          scene.inference.output),
        'others': [{'network': other.name, 'shape': list(other.shape),
                    **dataclasses.asdict(times[f'other {index}']),
                    'ratio': times[f'other {index}'].ratios_to(segment)}
                   for index, other in enumerate(others)]}


def model_scene(segmenter: Segmenter, size: tuple[int, int], instances: int) -> Scene:
    """Return a scene in the model's own classes and on its own output grid."""
    blank = np.zeros((*size, 3), np.uint8)
    grid = segmenter.infer(blank).output.semantic_ids.shape
    return street_scene(size, instances, segmenter.model_info, grid)


def segment_scene(segmenter: Segmenter, image: np.ndarray,
                  output: NetworkOutput) -> Segmentation:
    """Segment an image with `output`, from `Network.to_device`, in place of the network's own."""
    inference = segmenter.infer(image)
    return segmenter.postprocess(dataclasses.replace(inference, output=output))


def segment_once(path: Path, configs: Mapping[str, Any], image: np.ndarray,
                 output: NetworkOutput) -> None:
    """Load a model and segment one image with it."""
    segmenter = Segmenter.from_onnx(path, **configs)
    segment_scene(segmenter, image, segmenter.network.to_device(output))
