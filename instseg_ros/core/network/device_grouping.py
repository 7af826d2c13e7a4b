"""Grouping on the GPU: the embedding stays there, and only small results are copied back.

The embedding is most of a network's output: 128 of 133 bytes for each output pixel at a length
of 32. Grouping needs two operations on it, for each of which a small ONNX graph runs on the same
device: take the embeddings of the pixels that may be centers (`graphs/take.onnx`), and assign each
pixel to the nearest center of its class (`graphs/assign.onnx`). `scripts/build_graphs.py` writes
both.

As |e - c|^2 = |e|^2 - 2 (e c - |c|^2 / 2), the nearest center to an embedding e is the center c of
the pixel's class with the largest

    e c - |c|^2 / 2,

and one product of matrices gives these for all pixels and centers. Rounding differs from
`instseg_ros.core.grouping`, so a pixel (nearly) halfway between two centers may get the other one.
"""
from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
import onnxruntime

from instseg_ros.core.types import Centers, check_array

DEVICE_ID = 0
"""Number of the GPU; the default of ONNX Runtime's providers."""

OTHER_CLASS, NO_CENTER = np.float32(-2e30), np.float32(-1e30)
"""Scores of a center of another class, and of no center: below all products."""


class DeviceGrouping:
    """The two graphs, ready to run on a device; safe to be called from several threads.

    Parameters
    ----------
    device : str
        Name of the device in ONNX Runtime, such as cuda.
    options : onnxruntime.SessionOptions
    providers : list
        Execution providers, see `instseg_ros.core.network.providers`. They must multiply in single
        precision.

    Attributes
    ----------
    device : str
    provider : str
        Execution provider that runs the graphs, by ONNX Runtime's name.
    """

    def __init__(self, device: str, options: onnxruntime.SessionOptions,
                 providers: list[Any]) -> None:
        self.device = device
        folder = resources.files('instseg_ros.core.network') / 'graphs'
        self._take, self._assign = (
            onnxruntime.InferenceSession((folder / f'{name}.onnx').read_bytes(), options,
                                         providers=providers)
            for name in ('take', 'assign'))
        self.provider = self._assign.get_providers()[0]

    def upload(self, embedding: np.ndarray) -> DeviceEmbedding:
        """Copy an embedding (H, W, E) float32 to the device."""
        check_array('embedding', embedding, ('H', 'W', 'E'), np.float32)
        value = onnxruntime.OrtValue.ortvalue_from_numpy(embedding[np.newaxis], self.device,
                                                         DEVICE_ID)
        height, width, length = embedding.shape
        return DeviceEmbedding(self, value, (height, width, length))

    def take(self, embedding: onnxruntime.OrtValue, pixels: np.ndarray) -> np.ndarray:
        """Return the embeddings (K, E) float32 of pixels (K, 3) int64: number of image, y, x."""
        return self._run(self._take, embedding, pixels=pixels)

    def assign(self, embedding: onnxruntime.OrtValue, number: int, semantic_ids: np.ndarray,
               centers: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return for each pixel of an image the number of the center with the highest score.

        Parameters
        ----------
        embedding : OrtValue
            (N, H, W, E) float32.
        number : int
            Of the image, from 0.
        semantic_ids : (h, w) uint8
            Of the first rows and columns.
        centers : (E, K) float32
        offsets : (C, K) float32
            What to add to the score of a pixel of each class.

        Returns
        -------
        (h, w) uint16
        """
        return self._run(self._assign, embedding, semantic_ids=semantic_ids[np.newaxis],
                         start=np.array((number, 0, 0), np.int64),
                         end=np.array((number + 1, *semantic_ids.shape), np.int64),
                         centers=centers, offsets=offsets)[0]

    @staticmethod
    def _run(session: onnxruntime.InferenceSession, embedding: onnxruntime.OrtValue,
             **others: np.ndarray) -> np.ndarray:
        binding = session.io_binding()
        binding.bind_ortvalue_input('embedding', embedding)
        for name, array in others.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        binding.bind_output(session.get_outputs()[0].name)
        session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()[0]


class DeviceEmbedding:
    """The embedding of every pixel of an image in the memory of the device; a `DeviceArray`.

    Parameters
    ----------
    grouping : DeviceGrouping
    value : OrtValue
        (N, H, W, E) float32, on the device; the images of a batch share it.
    shape : (int, int, int)
        Rows and columns from the upper left that belong to the image, and the length E.
    number : int
        Of the image in the batch, from 0.

    Attributes
    ----------
    shape : (int, int, int)
    """

    def __init__(self, grouping: DeviceGrouping, value: onnxruntime.OrtValue,
                 shape: tuple[int, int, int], number: int = 0) -> None:
        self._grouping = grouping
        self._value = value
        self._number = number
        self.shape = shape

    def crop(self, rows: int, columns: int) -> DeviceEmbedding:
        """Return the first rows and columns, without a copy."""
        return DeviceEmbedding(self._grouping, self._value, (rows, columns, self.shape[2]),
                               self._number)

    def take(self, pixels: np.ndarray) -> np.ndarray:
        """Return the embeddings (K, E) float32 of pixels (K,), flat indices in raster order."""
        if not len(pixels):
            return np.empty((0, self.shape[2]), np.float32)
        y, x = np.unravel_index(pixels, self.shape[:2])
        places = np.stack([np.full_like(y, self._number), y, x], axis=1)
        return self._grouping.take(self._value, places)

    def assign(self, semantic_ids: np.ndarray, centers: Centers) -> np.ndarray:
        """Assign every pixel to the nearest center of its class.

        As `instseg_ros.core.grouping.assign_pixels`, which calls it.
        """
        if not len(centers):
            return np.zeros(semantic_ids.shape, np.uint16)
        # Column 0 is for no center; the last row is for all classes without a center.
        classes = int(centers.class_ids.max()) + 2
        halves = np.float32(0.5) * np.square(centers.embeddings).sum(axis=1)
        offsets = np.full((classes, len(centers) + 1), OTHER_CLASS, np.float32)
        offsets[:, 0] = NO_CENTER
        offsets[centers.class_ids, np.arange(len(centers)) + 1] = -halves
        columns = np.zeros((self.shape[2], len(centers) + 1), np.float32)
        columns[:, 1:] = centers.embeddings.T
        return self._grouping.assign(
            self._value, self._number, np.minimum(semantic_ids, np.uint8(classes - 1)), columns,
            offsets)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """Return a copy in the memory of the CPU."""
        rows, columns, _ = self.shape
        return self._value.numpy()[self._number, :rows, :columns].astype(dtype or np.float32)
