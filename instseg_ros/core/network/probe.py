"""A proof that a session computes what the model computes in 32-bit floats.

16-bit floats end at 65504, and 8-bit integers at the range that was measured: a network that needs
larger values then finds nothing, without any error. So a session that does not compute in 32-bit
floats on the CPU runs on a small image whose result in 32-bit floats is known. `instseg export`
stores both in the metadata entry `PROBE_KEY`.
"""
from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Mapping

import cv2
import numpy as np

from instseg_ros.core.types import DeviceArray, ModelInfo, NetworkOutput

PROBE_KEY = 'instseg_ros.probe'

EXACT = 'fp32'
"""Precision of a file whose results on the CPU need no proof."""

SIDE = 128
"""Pixels; the image's sides are the next multiple of `ModelInfo.size_multiple`."""

LEAST_AGREEMENT = 0.8
"""Least share of pixels of the same class."""

MOST_DIFFERENCE = 0.25
"""Largest mean difference of the embedding, as a share of its standard deviation."""

PEAK_DISTANCE = 2
"""Output pixels by which rounding may move a center."""

LEAST_SHARE = 0.5
"""Least share of the confidence of all centers that both results have."""

NOTHING = 0.1
"""Sum of confidences below which a result has no centers worth comparing."""


@dataclass(frozen=True)
class Probe:
    """An image and a model's result for it in 32-bit floats.

    Attributes
    ----------
    precision : str
        Of the file: fp32, fp16 or int8.
    image : (H, W, 3) uint8, RGB
        H and W are `probe_side`.
    output : NetworkOutput
        Its embedding is an array.
    """

    precision: str
    image: np.ndarray
    output: NetworkOutput

    def is_needed(self, provider: str) -> bool:
        """Return whether sessions of a provider have to prove themselves."""
        return provider != 'cpu' or self.precision != EXACT

    def check(self, found: NetworkOutput, what: str) -> None:
        """Compare a session's output for the image with the stored one.

        Parameters
        ----------
        found : NetworkOutput
        what : str
            The session in a message, such as "tensorrt in 16-bit floats".

        Raises
        ------
        ValueError
            They differ by more than reduced precision explains.
        """
        difference = compare(self.output, found)
        if not difference.is_accepted:
            raise ValueError(
                f'{what} gives other results than 32-bit floats on the CPU: on a test image, '
                f'{difference.same_class:.0%} of the pixels have the same class (expected at '
                f'least {LEAST_AGREEMENT:.0%}), {difference.same_centers:.0%} of the confidence '
                f'of centers is the same (at least {LEAST_SHARE:.0%}), and embeddings differ by '
                f'{difference.embedding:.2f} standard deviations (at most {MOST_DIFFERENCE:g}); '
                'the model needs a larger range of numbers, so use it in 32-bit floats')

    def to_metadata(self) -> dict[str, str]:
        """Return the entry for an ONNX file's metadata."""
        output = self.output
        data = b''.join([self.image.tobytes(), output.semantic_ids.tobytes(),
                         output.center_heatmap.astype('<f4').tobytes(),
                         np.asarray(output.embedding).astype('<f4').tobytes()])
        return {PROBE_KEY: json.dumps({
            'precision': self.precision,
            'data': base64.b64encode(zlib.compress(data, 9)).decode('ascii')})}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], info: ModelInfo) -> Probe | None:
        """Read the entry of an ONNX file's metadata; None if there is none.

        Raises
        ------
        ValueError
            The entry is damaged.
        """
        if PROBE_KEY not in metadata:
            return None
        side = probe_side(info)
        cells = side // info.output_stride
        sizes = np.array([3 * side ** 2, cells ** 2, 4 * cells ** 2,
                          4 * info.embedding_size * cells ** 2])
        try:
            values = json.loads(metadata[PROBE_KEY])
            precision = values['precision']
            unpack = zlib.decompressobj()
            data = unpack.decompress(base64.b64decode(values['data'], validate=True),
                                     int(sizes.sum()) + 1)
        except (KeyError, TypeError, RecursionError, zlib.error, binascii.Error,
                json.JSONDecodeError) as error:
            raise ValueError(f'the "{PROBE_KEY}" entry in the metadata of the model is '
                             f'damaged: {error}') from error
        if len(data) != sizes.sum() or not isinstance(precision, str):
            raise ValueError(f'the "{PROBE_KEY}" entry in the metadata of the model is damaged: '
                             f'expected a precision and {sizes.sum()} bytes')
        image, ids, heatmap, embedding = np.split(np.frombuffer(data, np.uint8),
                                                  np.cumsum(sizes)[:-1])
        return cls(precision, image.reshape(side, side, 3), NetworkOutput(
            ids.reshape(cells, cells),
            heatmap.view('<f4').astype(np.float32).reshape(cells, cells),
            embedding.view('<f4').astype(np.float32).reshape(cells, cells, -1)))


@dataclass(frozen=True)
class Difference:
    """How far two outputs for the same image differ.

    Attributes
    ----------
    same_class : float
        Share of pixels, in [0, 1].
    same_centers : float
        Share of the sum of center confidences that both have, in [0, 1]; 1 if there are no
        centers.
    embedding : float
        Mean difference, as a share of the standard deviation of the expected embedding.
    """

    same_class: float
    same_centers: float
    embedding: float

    @property
    def is_accepted(self) -> bool:
        """Whether the difference may come from rounding; not if a number is NaN."""
        return (self.same_class >= LEAST_AGREEMENT and self.same_centers >= LEAST_SHARE
                and self.embedding <= MOST_DIFFERENCE)


def compare(expected: NetworkOutput, found: NetworkOutput) -> Difference:
    """Return how far an output is from the expected one for the same image."""
    wanted, got = _array(expected.embedding), _array(found.embedding)
    spread = max(float(wanted.std(axis=(0, 1)).mean()), np.finfo(np.float32).tiny)
    with np.errstate(invalid='ignore', over='ignore'):
        distance = float(np.abs(got.astype(np.float64) - wanted).mean())
    return Difference(
        same_class=float(np.mean(expected.semantic_ids == found.semantic_ids)),
        same_centers=min(_shared(expected.center_heatmap, found.center_heatmap),
                         _shared(found.center_heatmap, expected.center_heatmap)),
        embedding=distance / spread)


def _shared(heatmap: np.ndarray, other: np.ndarray) -> float:
    """Return the share of the confidences of `heatmap` that centers of `other` near by have."""
    if not (np.isfinite(heatmap).all() and np.isfinite(other).all()):
        return 0.0
    width = 2 * PEAK_DISTANCE + 1
    near = cv2.dilate(other, np.ones((width, width), np.uint8))
    total = float(heatmap.sum())
    return float(np.minimum(heatmap, near).sum()) / total if total > NOTHING else 1.0


def _array(embedding: np.ndarray | DeviceArray) -> np.ndarray:
    """Return an embedding in the memory of the CPU."""
    if isinstance(embedding, np.ndarray):
        return embedding
    rows, columns, length = embedding.shape
    return embedding.take(np.arange(rows * columns)).reshape(rows, columns, length)


def probe_side(info: ModelInfo) -> int:
    """Return height and width of the image of a probe in pixels."""
    return -(-SIDE // info.size_multiple) * info.size_multiple
