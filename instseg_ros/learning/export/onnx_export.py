"""Writing the ONNX file of a trained network, and checking it."""
from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import onnx
import torch

from instseg_ros.core.network.model_file import read_model_file, seal
from instseg_ros.core.network.network import INPUT, OUTPUTS
from instseg_ros.core.network.probe import EXACT, Probe, probe_side
from instseg_ros.core.types import BACKGROUND, ModelInfo, NetworkOutput
from instseg_ros.datasets.scenes import make_scene
from instseg_ros.files import replacing
from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.export.layout import fill_up_channels, fold_batch_norms
from instseg_ros.learning.export.parity import (
    Predict,
    agreement,
    check_batch,
    compare,
    open_model,
    smooth_images,
)
from instseg_ros.learning.export.precision import PRECISIONS, to_half, to_int8
from instseg_ros.learning.export.wrapper import ExportedNetwork
from instseg_ros.learning.model import InstanceSegmentationNetwork
from instseg_ros.visualization import instance_color

OPSET = 18
IR_VERSION = 8
"""Old enough for the ONNX Runtime releases of the oldest supported distribution."""

PROBE_SCENES = 128
"""So many made-up streets are tried for the probe. Centers and classes of low confidence change
with the precision, so it takes the one with the most confidence in both."""

PROBE_TRIES = 8
"""So many of the surest streets are tried for a file in 8 bits, until it finds in one what 32-bit
floats find: a center that 8 bits move or lose says nothing about the arithmetic of a machine."""


def export_onnx(network: InstanceSegmentationNetwork, calibration: Calibration, info: ModelInfo,
                path: str | Path, precision: str = 'fp32',
                images: Sequence[np.ndarray] = ()) -> Mapping[str, float]:
    """Write the ONNX file, checked against the network it was made from.

    Parameters
    ----------
    network, calibration, info
        The contents of the file.
    path : path
    precision : str
        fp32, fp16 or int8.
    images : sequence of (H, W, 3) uint8
        For int8: images of the training's kind, to measure the ranges of the activations. Their
        sides are multiples of `info.size_multiple`.

    Returns
    -------
    dict of str to float
        For fp32 and fp16 the largest difference of each output to PyTorch on random images of two
        sizes (`parity.compare`); for int8 how far they agree on `images`
        (`parity.agreement`).

    Raises
    ------
    ValueError
        The output of the exported file differs too much from that of the network.
    """
    if precision not in PRECISIONS:
        raise ValueError(f'precision: expected one of {", ".join(PRECISIONS)}, got {precision!r}')
    if precision == 'int8' and not len(images):
        raise ValueError('precision int8: expected images to measure the ranges of the '
                         'activations on, got none; the training has to hold some out '
                         '(data.validation_images), or name others')
    module = ExportedNetwork(copy.deepcopy(network).float().cpu(), calibration).eval()
    with replacing(path) as temporary:
        whole = temporary.with_name('whole.onnx')
        onnx.save(_trace(module, info.size_multiple), whole)
        finished = None
        if precision == 'int8':
            to_int8(whole, temporary, images)
            model, finished = onnx.load(temporary), open_model(temporary)
        else:
            model = onnx.load(whole)
            model = to_half(model) if precision == 'fp16' else model
        finish(model, info, make_probe(info, precision, open_model(whole), finished), temporary)
        exported = open_model(temporary)
        check_batch(temporary, smooth_images(info.size_multiple)[0])
        if precision == 'int8':
            return agreement(module.predict, exported, images)
        return compare(module, exported, smooth_images(info.size_multiple), precision)


def quantize(source: str | Path, target: str | Path, images: Sequence[np.ndarray],
             detector: bool = False) -> None:
    """Write the int8 version of a file that `export_onnx` wrote in fp32.

    Parameters
    ----------
    source, target : path
    images : sequence of (H, W, 3) uint8
        As for `export_onnx`.
    detector : bool
        See `to_int8`.

    Raises
    ------
    ModelError
        The source is no model file.
    ValueError
        It is not in fp32, or the result would be refused where it is loaded.
    """
    file = read_model_file(Path(source))
    info = ModelInfo.from_metadata(file.metadata)
    probe = Probe.from_metadata(file.metadata, info)
    if probe is None or probe.precision != EXACT:
        raise ValueError(f'{source}: expected a model that was exported in {EXACT}, got one '
                         + ('without a probe' if probe is None else f'in {probe.precision}'))
    info = dataclasses.replace(info, training={**info.training, 'precision': 'int8'})
    with replacing(target) as temporary:
        to_int8(Path(source), temporary, images, detector=detector)
        probe = make_probe(info, 'int8', open_model(source), open_model(temporary))
        finish(onnx.load(temporary), info, probe, temporary)
        check_batch(temporary, smooth_images(info.size_multiple)[0])


def finish(model: onnx.ModelProto, info: ModelInfo, probe: Probe, path: Path) -> None:
    """Write a graph with its metadata, checked and sealed."""
    del model.metadata_props[:]
    for key, value in {**info.to_metadata(), **probe.to_metadata()}.items():
        model.metadata_props.add(key=key, value=value)
    model.ir_version = min(model.ir_version, IR_VERSION)
    onnx.checker.check_model(model)
    path.write_bytes(seal(model.SerializeToString()))


def make_probe(info: ModelInfo, precision: str, predict: Predict,
               finished: Predict | None = None) -> Probe:
    """Return the probe of a model.

    Parameters
    ----------
    info : ModelInfo
    precision : str
        Of the file that gets the probe.
    predict : callable
        Runs the model in 32-bit floats.
    finished : callable, optional
        Runs the file that gets the probe, if it computes otherwise.

    Raises
    ------
    ValueError
        The file fails each probe that is tried.
    """
    side = probe_side(info)
    images = [make_scene(np.random.default_rng(seed), side, side).image
              for seed in range(PROBE_SCENES)]
    outputs = [predict(image) for image in images]
    surest = np.argsort([-_certainty(output) for output in outputs], kind='stable')
    probes = [Probe(precision, images[k], outputs[k]) for k in surest[:PROBE_TRIES]]
    if finished is None:
        return probes[0]
    refusals = []
    for probe in probes:
        try:
            probe.check(finished(probe.image), f'export: the file in {precision}')
        except ValueError as error:
            refusals.append(error)
        else:
            return probe
    raise refusals[0]


def _certainty(output: NetworkOutput) -> float:
    """Return a measure of how certain centers and, where the model has it, classes are."""
    classes = output.semantic_confidence
    # Classes count also where no image has centers.
    return (1.0 + output.center_heatmap.sum()) * (1.0 if classes is None else classes.mean())


def _trace(module: ExportedNetwork, multiple: int) -> onnx.ModelProto:
    """Return the graph in float32, without metadata."""
    module = copy.deepcopy(module)
    fold_batch_norms(module)
    fill_up_channels(module)
    # Two images: the exporter takes a length of 1 for a constant.
    example = torch.zeros(2, 4 * multiple, 5 * multiple, 3, dtype=torch.uint8)
    images = torch.export.Dim('images', max=256)
    rows, columns = torch.export.Dim('rows', max=256), torch.export.Dim('columns', max=256)
    program = torch.onnx.export(
        module, (example,), input_names=[INPUT], output_names=list(OUTPUTS),
        opset_version=OPSET, dynamo=True, verbose=False,
        dynamic_shapes={'image': {0: images, 1: multiple * rows, 2: multiple * columns}})
    model = program.model_proto
    # The exporter records the source file of every node, with paths of this machine.
    graph = model.graph
    for item in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input,
                 *graph.output):
        del item.metadata_props[:]
    return model


def model_info(network: InstanceSegmentationNetwork, class_names: tuple[str, ...],
               thing_ids: tuple[int, ...], input_size: int, training: Mapping[str, Any], *,
               duplicate_distance: float) -> ModelInfo:
    """Return the metadata of a network."""
    return ModelInfo(
        class_names=tuple(class_names), thing_ids=tuple(thing_ids),
        palette=class_colors(class_names), output_stride=network.output_stride,
        size_multiple=network.size_multiple,
        embedding_size=network.embedding_size, input_size=input_size,
        duplicate_distance=duplicate_distance, training=training)


def class_colors(class_names: tuple[str, ...]) -> tuple[tuple[int, int, int], ...]:
    """Return an RGB colour for each class; only a first class "background" is black."""
    skipped = 0 if class_names[0] == BACKGROUND else 1
    return tuple(PALETTE[k] if k < len(PALETTE) else instance_color(k)
                 for k in range(skipped, len(class_names) + skipped))


PALETTE = ((0, 0, 0), (230, 60, 70), (60, 180, 75), (0, 130, 200), (245, 130, 48), (145, 30, 180),
           (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212), (0, 128, 128),
           (220, 190, 255), (170, 110, 40), (255, 250, 200), (128, 0, 0), (170, 255, 195),
           (128, 128, 0), (255, 215, 180), (0, 0, 128), (128, 128, 128))
"""The first colours of classes."""
