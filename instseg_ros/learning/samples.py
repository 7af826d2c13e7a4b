"""Training data: labelled images, held in memory as far as they fit, cropped anew each epoch."""
from __future__ import annotations

from typing import Callable, Iterable, Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from instseg_ros.core.scaling import scale_image
from instseg_ros.core.types import NO_INSTANCE, UNLABELLED
from instseg_ros.datasets.types import DatasetError, LabelledImages
from instseg_ros.learning.augmentation import (
    AugmentationConfig, Sample, augment, random_color_map)
from instseg_ros.learning.config import DataConfig
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
    """

    def __init__(self, dataset: LabelledImages, indices: Iterable[int],
                 progress: Callable[[Iterable[int]], Iterable[int]] = iter,
                 cache_gb: float = DataConfig.cache_gb) -> None:
        self.dataset = dataset
        self._indices: list[int] = []
        self._held: list[Sample | tuple[np.ndarray, np.ndarray]] = []
        self._counts = np.zeros(1 + UNLABELLED, np.int64)
        room = cache_gb * 1e9
        shows = []
        for index in progress(indices):
            maps = dataset.load_label_maps(index)
            self._indices.append(index)
            self._counts += np.bincount(maps[0].ravel(), minlength=len(self._counts))
            shows.append(bool(maps[1].any()))
            room -= SAMPLE_BYTES * maps[0].size
            self._held.append(self._sample(index, *maps) if room >= 0 else
                              tuple(cv2.imencode('.png', labels)[1] for labels in maps))
        self.with_instances = [k for k, show in enumerate(shows) if show]
        self.without_instances = [k for k, show in enumerate(shows) if not show]

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, number: int) -> Sample:
        held = self._held[number]
        if isinstance(held, Sample):
            return held
        return self._sample(self._indices[number], *(
            cv2.imdecode(labels, cv2.IMREAD_UNCHANGED) for labels in held))

    def class_frequencies(self, classes: int) -> Tensor:
        """Share of each class in the labelled pixels, (C,) float32."""
        counts = self._counts[:classes]
        return torch.from_numpy(counts / max(counts.sum(), 1)).float()

    def _sample(self, index: int, semantic_ids: np.ndarray, instance_ids: np.ndarray) -> Sample:
        image = self.dataset.load_image(index)
        if image.shape[:2] != semantic_ids.shape:
            (height, width), labels = image.shape[:2], semantic_ids.shape
            raise DatasetError(f'{self.dataset.image_name(index)}: the image has {width}x{height} '
                               f'pixels, its labels have {labels[1]}x{labels[0]}')
        return Sample(image, semantic_ids, instance_ids)


SAMPLE_BYTES = 6
"""For each pixel of a decoded sample: three colours, one semantic id, two of the instance id."""


class TrainingCrops(Dataset):
    """Augmented crops with their targets.

    A crop depends on `seed` and its number alone, and the numbers go on from epoch to epoch (see
    `EpochSampler`): a resumed training sees the crops that an uninterrupted one would have seen.
    """

    def __init__(self, samples: CachedSamples, config: AugmentationConfig, stride: int,
                 seed: int) -> None:
        self.samples = samples
        self.config = config
        self.stride = stride
        self.seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, number))
        samples = self.samples
        pasted = samples.with_instances
        source = samples[rng.choice(pasted)] if pasted else None
        crop = augment(samples[number % len(samples)], source, self.config, rng)
        color_map = random_color_map(crop.image, self.config.color, rng)
        return {**to_tensors(crop, self.stride), 'color_map': torch.from_numpy(color_map)}


class EpochSampler(Sampler):
    """Numbers of the crops of an epoch, in random order; no number comes twice in a training.

    An epoch has every image with instances once, and as many of the others as make up
    `empty_share` of it (they show what is *no* object, but too many of them waste time).
    """

    def __init__(self, samples: CachedSamples, empty_share: float, seed: int) -> None:
        self.total = len(samples)
        self.shown = samples.with_instances
        self.empty = samples.without_instances
        wanted = round(len(self.shown) * empty_share / (1 - empty_share)) if self.shown else 1
        self.empty_count = min(len(self.empty), max(wanted, 0))
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; called by the trainer before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.shown) + self.empty_count

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        chosen = np.array(self.shown + rng.permutation(self.empty).tolist()[:self.empty_count],
                          np.int64)
        return iter((self.epoch * self.total + rng.permutation(chosen)).tolist())


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
        maps = []
        for labels, outside in ((sample.semantic_ids, UNLABELLED),
                                (sample.instance_ids, NO_INSTANCE)):
            padded = np.full(scaled.pixels.shape[:2], outside, labels.dtype)
            padded[:height, :width] = cv2.resize(labels, (width, height),
                                                 interpolation=cv2.INTER_NEAREST_EXACT)
            maps.append(padded)
        return to_tensors(Sample(scaled.pixels, *maps), self.stride)


def to_tensors(sample: Sample, stride: int) -> dict[str, Tensor]:
    """Return image (3, H, W) uint8 and the targets on the output grid."""
    targets = build_targets(sample.semantic_ids, sample.instance_ids, stride)
    return {'image': torch.from_numpy(sample.image.transpose(2, 0, 1).copy()),
            'semantic_ids': torch.from_numpy(targets.semantic_ids.astype(np.int64)),
            'instance_ids': torch.from_numpy(targets.instance_ids.astype(np.int64)),
            'center_mask': torch.from_numpy(targets.center_mask)}
