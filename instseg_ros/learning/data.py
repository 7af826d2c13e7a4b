"""Training data: labelled images held in memory, cropped anew in every epoch."""
from __future__ import annotations

from typing import Callable, Iterable, Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from tqdm import tqdm

from instseg_ros.core.scaling import PADDING
from instseg_ros.core.types import NO_INSTANCE, UNLABELLED
from instseg_ros.evaluation.coco import CocoDataset
from instseg_ros.learning.augmentation import AugmentationConfig, Sample, augment
from instseg_ros.learning.targets import build_targets


def objects_shown(dataset: CocoDataset) -> list[bool]:
    """Tell for each image whether a pixel of it belongs to an instance of a class."""
    return [bool(dataset.load_ground_truth(index).instance_ids.any())
            for index in tqdm(range(len(dataset)), desc='looking for objects', unit='img')]


class CachedSamples:
    """Images and label maps of a part of a data set, decoded once.

    Attributes
    ----------
    samples : list of Sample
    with_instances, without_instances : list of int
        Indices of the samples that show at least one instance, and of the others.
    """

    def __init__(self, dataset: CocoDataset, indices: Iterable[int],
                 progress: Callable[[Iterable[int]], Iterable[int]] = iter) -> None:
        self.samples = []
        for index in progress(indices):
            truth = dataset.load_ground_truth(index)
            self.samples.append(Sample(dataset.load_image(index), truth.semantic_ids,
                                       truth.instance_ids))
        shows = [bool(sample.instance_ids.any()) for sample in self.samples]
        self.with_instances = [index for index, show in enumerate(shows) if show]
        self.without_instances = [index for index, show in enumerate(shows) if not show]

    def class_frequencies(self, classes: int) -> Tensor:
        """Share of each class in the labelled pixels, (C,) float32."""
        counts = sum(np.bincount(sample.semantic_ids.ravel(), minlength=256)[:classes]
                     for sample in self.samples)
        return torch.from_numpy(counts / max(counts.sum(), 1)).float()


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
        return len(self.samples.samples)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, number))
        samples = self.samples.samples
        pasted = self.samples.with_instances
        source = samples[rng.choice(pasted)] if pasted else None
        crop = augment(samples[number % len(samples)], source, self.config, rng)
        return to_tensors(crop, self.stride)


class EpochSampler(Sampler):
    """Numbers of the crops of an epoch, in random order; no number comes twice in a training.

    An epoch has every image with instances once, and as many of the others as make up
    `empty_share` of it (they show what is *no* object, but too many of them waste time).
    """

    def __init__(self, samples: CachedSamples, empty_share: float, seed: int) -> None:
        self.total = len(samples.samples)
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
    """Images scaled to one long side and padded to a square, with their targets."""

    def __init__(self, samples: CachedSamples, long_side: int, stride: int) -> None:
        self.samples = samples
        self.long_side = long_side
        self.stride = stride

    def __len__(self) -> int:
        return len(self.samples.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        sample = self.samples.samples[index]
        scale = self.long_side / max(sample.semantic_ids.shape)
        height, width = (max(1, round(side * scale)) for side in sample.semantic_ids.shape)
        square = Sample(np.full((self.long_side, self.long_side, 3), PADDING, np.uint8),
                        np.full((self.long_side, self.long_side), UNLABELLED, np.uint8),
                        np.full((self.long_side, self.long_side), NO_INSTANCE, np.uint16))
        for target, source, how in ((square.image, sample.image, cv2.INTER_LINEAR),
                                    (square.semantic_ids, sample.semantic_ids, cv2.INTER_NEAREST),
                                    (square.instance_ids, sample.instance_ids, cv2.INTER_NEAREST)):
            target[:height, :width] = cv2.resize(source, (width, height), interpolation=how)
        return to_tensors(square, self.stride)


def to_tensors(sample: Sample, stride: int) -> dict[str, Tensor]:
    """Return image (3, H, W) uint8 and the targets on the output grid."""
    targets = build_targets(sample.semantic_ids, sample.instance_ids, stride)
    return {'image': torch.from_numpy(sample.image.transpose(2, 0, 1).copy()),
            'semantic_ids': torch.from_numpy(targets.semantic_ids.astype(np.int64)),
            'instance_ids': torch.from_numpy(targets.instance_ids.astype(np.int64)),
            'center_mask': torch.from_numpy(targets.center_mask)}
