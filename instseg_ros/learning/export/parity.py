"""Comparison of an exported file, run by ONNX Runtime, with the network in PyTorch."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Mapping, Sequence

import numpy as np
import onnxruntime
import torch
from torch.nn import functional as F

from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.network.network import INPUT, OUTPUTS
from instseg_ros.core.parallel import thread_count
from instseg_ros.core.types import NetworkOutput
from instseg_ros.learning.export.wrapper import ExportedNetwork
from instseg_ros.learning.peaks import peak_window

Predict = Callable[[np.ndarray], NetworkOutput]
"""From an image (H, W, 3) uint8 to the network's output."""

TOLERANCES: Mapping[str, Mapping[str, float]] = {
    'fp32': {'semantic_ids': 1e-3, 'center_heatmap': 1e-3, 'embedding': 1e-2,
             'semantic_confidence': 1},
    'fp16': {'semantic_ids': 0.02, 'center_heatmap': 0.1, 'embedding': 0.2,
             'semantic_confidence': 10}}
"""Largest accepted difference of each output: rounding through some 60 layers."""

LEAST_AGREEMENT = 0.9
"""Least share of pixels whose class is the same in 8-bit arithmetic. Ours: it only detects broken
files; `instseg evaluate` measures the loss of quality."""


BATCH_TOLERANCE = 1e-3
"""Largest accepted share of values that differ by more than this if images run together: rounding
decides between classes, and between neighbours for a peak."""


def open_model(path: str | Path, threads: int = 0) -> Predict:
    """Return a function that runs a model file, with or without metadata, on the CPU."""
    session = _open_session(path, threads)

    def predict(image: np.ndarray) -> NetworkOutput:
        arrays = session.run(list(OUTPUTS), {INPUT: image[np.newaxis]})
        return NetworkOutput(*(array[0] for array in arrays))

    return predict


def _open_session(path: str | Path, threads: int = 0) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = thread_count(threads)
    return onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])


def check_batch(path: str | Path, image: np.ndarray) -> None:
    """Check that a file has the same outputs for two images together as for each of them.

    Parameters
    ----------
    path : path
    image : (H, W, 3) uint8
        The other one is its mirror image.

    Raises
    ------
    ValueError
        More values differ than rounding explains.
    """
    session = _open_session(path)
    images = np.stack([image, image[:, ::-1]])
    together = session.run(list(OUTPUTS), {INPUT: images})
    alone = [np.concatenate(arrays) for arrays in zip(*(
        session.run(list(OUTPUTS), {INPUT: images[number:number + 1]}) for number in range(2)))]
    for name, got, want in zip(OUTPUTS, together, alone):
        share = np.mean(np.abs(got.astype(np.float32) - want.astype(np.float32))
                        > BATCH_TOLERANCE)
        if not share <= BATCH_TOLERANCE:
            raise ValueError(f'export: {share:.2%} of {name} differ if two images run together')


def smooth_images(size_multiple: int) -> list[np.ndarray]:
    """Return random images of two sizes; on noise, peaks would be ambiguous."""
    rng = np.random.default_rng(0)
    images = []
    for rows, columns in ((5, 4), (3, 7)):
        coarse = rng.integers(0, 256, (1, 3, rows, columns)).astype(np.float32)
        size = (rows * size_multiple, columns * size_multiple)
        smooth = F.interpolate(torch.from_numpy(coarse), size=size, mode='bicubic')
        images.append(np.ascontiguousarray(
            smooth[0].clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()))
    return images


def compare(network: ExportedNetwork, exported: Predict, images: Sequence[np.ndarray],
            precision: str) -> dict[str, float]:
    """Return the largest difference of each output; of `semantic_ids` the share of pixels.

    Raises
    ------
    ValueError
        A difference is larger than the precision explains.
    """
    worst = dict.fromkeys(OUTPUTS, 0.0)
    window = peak_window(network.network.output_stride)
    for image in images:
        wanted, got = network.predict(image), exported(image)
        if got.embedding.shape != wanted.embedding.shape:
            raise ValueError(f'export: embeddings became {got.embedding.shape}, expected '
                             f'{wanted.embedding.shape}')
        differences = {
            'semantic_ids': np.mean(got.semantic_ids != wanted.semantic_ids),
            'center_heatmap': peak_difference(
                network.all_confidences(image), got.center_heatmap, window),
            'embedding': np.quantile(np.abs(_embedding(got) - _embedding(wanted)).max(2), 0.99),
            'semantic_confidence': np.abs(_confidence(got) - _confidence(wanted)).max()}
        for name, difference in differences.items():
            worst[name] = max(worst[name], float(difference))
    for name, difference in worst.items():
        if not difference <= TOLERANCES[precision][name]:
            raise ValueError(f'export: {name} differs by {difference:.3g} between ONNX Runtime '
                             f'and PyTorch, accepted is {TOLERANCES[precision][name]:.3g}')
    return worst


def peak_difference(confidence: np.ndarray, heatmap: np.ndarray, window: int) -> float:
    """Return how far the peaks of a heatmap differ from those of a map of confidences.

    Between (nearly) equally strong neighbours rounding decides which is the peak. So a peak may
    be weaker than its neighbours, or a peak may be missing; the result is the largest difference
    in confidence of these cases.
    """
    padded = np.pad(confidence, window // 2, constant_values=-1.0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (window, window))
    others = np.delete(windows.reshape(*confidence.shape, -1), window ** 2 // 2, axis=2)
    lead = confidence - others.max(axis=2)
    peaks = heatmap > 0
    return float(max(np.abs(heatmap - confidence)[peaks].max(initial=0.0),
                     (-lead)[peaks].max(initial=0.0), lead[~peaks].max(initial=0.0)))


def _embedding(output: NetworkOutput) -> np.ndarray:
    assert isinstance(output.embedding, np.ndarray)  # not left on a device
    return output.embedding


def _confidence(output: NetworkOutput) -> np.ndarray:
    assert output.semantic_confidence is not None  # every exported file has it
    return output.semantic_confidence.astype(np.int16)


def agreement(expected: Predict, exported: Predict,
              images: Sequence[np.ndarray]) -> dict[str, float]:
    """Return how far a file in 8-bit arithmetic agrees with the network, over all images.

    Returns
    -------
    dict of str to float
        `same class`: share of pixels. `same centers`: of the network's centers at or above the
        threshold, the share that the file has too, at most one output pixel away; NaN without any.
        `embedding`: mean distance of a pixel's embedding from the network's.

    Raises
    ------
    ValueError
        So many pixels have another class that the file must be broken.
    """
    threshold = GroupingConfig.center_threshold
    same, distance = [], []
    centers = kept = 0
    for image in images:
        want, got = expected(image), exported(image)
        same.append(np.mean(want.semantic_ids == got.semantic_ids))
        distance.append(np.mean(np.linalg.norm(_embedding(want) - _embedding(got), axis=2)))
        near = np.pad(got.center_heatmap >= threshold, 1)
        for y, x in np.argwhere(want.center_heatmap >= threshold):
            centers += 1
            kept += bool(near[y:y + 3, x:x + 3].any())
    if not np.mean(same) >= LEAST_AGREEMENT:
        raise ValueError(f'export: ONNX Runtime and PyTorch agree on the class of '
                         f'{np.mean(same):.1%} of the pixels, expected {LEAST_AGREEMENT:.0%}')
    return {'same class': float(np.mean(same)),
            'same centers': kept / centers if centers else float('nan'),
            'embedding': float(np.mean(distance))}
