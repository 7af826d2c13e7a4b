"""Labelled images, held in memory as far as they fit, and as tensors with their targets."""
from __future__ import annotations

from typing import Callable, Iterable

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from instseg_ros.core.scaling import scale_image
from instseg_ros.core.types import NO_INSTANCE, UNLABELLED
from instseg_ros.datasets.config import DataConfig
from instseg_ros.datasets.mixture import MixedImages
from instseg_ros.datasets.types import DatasetError, LabelledImages
from instseg_ros.learning.augmentation import Sample
from instseg_ros.learning.targets import build_targets


class CachedSamples:
    """Images and label maps of a part of a data set, decoded once where memory suffices.

    Label maps are always held, as PNGs where they aren't decoded: making them of annotations
    takes longer than reading an image. Which images are decoded doesn't matter, as a training
    takes them at random.

    Parameters
    ----------
    dataset : LabelledImages
    indices : iterable of int
    progress : callable
        Wraps the indices, for example `tqdm.tqdm`.
    cache_gb : float
        Memory for decoded samples.

    Attributes
    ----------
    with_instances, without_instances : list of int
        Indices of the samples that show at least one instance, and of the others.
    shows_class : (n, C) bool
        Which classes a sample has pixels of.
    part_numbers : (n,) int64
        Which data set of a mixture a sample is from.
    """

    def __init__(self, dataset: LabelledImages, indices: Iterable[int],
                 progress: Callable[[Iterable[int]], Iterable[int]] = iter,
                 cache_gb: float = DataConfig.cache_gb) -> None:
        self.dataset = dataset
        self._indices: list[int] = []
        self._held: list[Sample | tuple[np.ndarray, np.ndarray]] = []
        room = cache_gb * 1e9
        shows, counts, parts = [], [], []
        for index in progress(indices):
            maps = dataset.load_label_maps(index)
            self._indices.append(index)
            counts.append(np.bincount(maps[0].ravel(), minlength=1 + UNLABELLED))
            parts.append(dataset.part_of(index)[0] if isinstance(dataset, MixedImages) else 0)
            shows.append(bool(maps[1].any()))
            room -= SAMPLE_BYTES * maps[0].size
            self._held.append(self._sample(index, *maps) if room >= 0 else
                              tuple(cv2.imencode('.png', labels)[1] for labels in maps))
        self.with_instances = [k for k, show in enumerate(shows) if show]
        self.without_instances = [k for k, show in enumerate(shows) if not show]
        self._counts = np.reshape(counts, (-1, 1 + UNLABELLED))[:, :len(dataset.class_names)]
        self.shows_class = self._counts > 0
        self.part_numbers = np.array(parts, np.int64)

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, number: int) -> Sample:
        held = self._held[number]
        if isinstance(held, Sample):
            return held
        return self._sample(self._indices[number], *(
            cv2.imdecode(labels, cv2.IMREAD_UNCHANGED) for labels in held))

    def class_frequencies(self, sample_shares: np.ndarray | None = None) -> Tensor:
        """Return the share of each class in the labelled pixels, (C,) float32.

        Parameters
        ----------
        sample_shares : (n,) float, optional
            Weights of the samples; default: all pixels of all samples count the same.
        """
        if sample_shares is None:
            counts = self._counts.sum(0)
        else:
            pixels = self._counts.sum(1, keepdims=True).clip(1)
            counts = sample_shares @ (self._counts / pixels)
        total = counts.sum()
        return torch.from_numpy(counts / (total if total else 1)).float()

    def _sample(self, index: int, semantic_ids: np.ndarray, instance_ids: np.ndarray) -> Sample:
        image = self.dataset.load_image(index)
        if image.shape[:2] != semantic_ids.shape:
            (height, width), labels = image.shape[:2], semantic_ids.shape
            raise DatasetError(f'{self.dataset.image_name(index)}: the image has {width}x{height} '
                               f'pixels, its labels have {labels[1]}x{labels[0]}')
        return Sample(image, semantic_ids, instance_ids, self.dataset.candidates(index))


SAMPLE_BYTES = 6
"""For each pixel of a decoded sample: three colours, one semantic id, two of the instance id."""


class WholeImages(Dataset):
    """Images scaled and padded as for inference, with their targets; padding is unlabelled.

    Parameters
    ----------
    samples : CachedSamples
    long_side, size_multiple : int
        See `instseg_ros.core.scaling.scale_image`.
    stride : int
        Output stride.
    """

    def __init__(self, samples: CachedSamples, long_side: int, size_multiple: int,
                 stride: int) -> None:
        self.samples = samples
        self.long_side = long_side
        self.size_multiple = size_multiple
        self.stride = stride

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        sample = self.samples[index]
        # At output stride 1 the grid is the scaled image without its padding.
        scaled = scale_image(sample.image, self.long_side, self.size_multiple, output_stride=1)
        height, width = scaled.grid

        def padded(labels: np.ndarray, outside: int) -> np.ndarray:
            result = np.full(scaled.pixels.shape[:2], outside, labels.dtype)
            result[:height, :width] = cv2.resize(labels, (width, height),
                                                 interpolation=cv2.INTER_NEAREST_EXACT)
            return result

        return to_tensors(
            Sample(scaled.pixels, padded(sample.semantic_ids, UNLABELLED),
                   padded(sample.instance_ids, NO_INSTANCE), sample.candidates),
            self.samples.dataset, self.stride)


def to_tensors(sample: Sample, dataset: LabelledImages, stride: int) -> dict[str, Tensor]:
    """Return the image (3, H, W) uint8, the targets on the output grid, and candidates (C,) bool.

    The candidates are the classes that a pixel with label 0 may have.
    """
    targets = build_targets(sample.semantic_ids, sample.instance_ids, stride, dataset.thing_ids)
    candidates = torch.zeros(len(dataset.class_names), dtype=torch.bool)
    candidates[list(sample.candidates)] = True
    return {'image': torch.from_numpy(sample.image.transpose(2, 0, 1).copy()),
            'semantic_ids': torch.from_numpy(targets.semantic_ids.astype(np.int64)),
            'instance_ids': torch.from_numpy(targets.instance_ids.astype(np.int64)),
            'center_mask': torch.from_numpy(targets.center_mask),
            'candidates': candidates}
