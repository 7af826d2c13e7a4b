"""Crops to train on, and which images they are taken from.

A crop has a number that never returns in a training. What is drawn for it depends on that number
and the seed alone: a resumed training goes on with the crops of an uninterrupted one.
"""
from __future__ import annotations

from typing import Iterator, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from instseg_ros.datasets.config import DataConfig
from instseg_ros.learning.augmentation import AugmentationConfig, augment, random_color_map
from instseg_ros.learning.crowds import paste_beside
from instseg_ros.learning.samples import CachedSamples, to_tensors


class Draw(NamedTuple):
    """A sample, and the class that the crop is to show; None: any."""

    sample: int
    class_id: int | None = None


class Plan(Protocol):
    """Chooses the samples of a training."""

    samples: CachedSamples
    crops: int

    def numbers(self, epoch: int, rng: np.random.Generator) -> np.ndarray:
        """Return the numbers of the crops of an epoch, `crops` int64, in their order."""

    def draw(self, number: int, rng: np.random.Generator) -> Draw:
        """Return what crop `number` is taken from."""

    def draw_source(self, rng: np.random.Generator) -> Draw | None:
        """Return a sample whose instances may be pasted into a crop; None: there is none."""

    def class_frequencies(self) -> Tensor:
        """Return the share of each class in the labelled pixels, (C,) float32."""


class EveryImage:
    """Every image with instances once an epoch, and as many others as make up a share of it.

    The others teach the background, but too many of them waste time.

    Parameters
    ----------
    samples : CachedSamples
    empty_share : float
        Share of the crops from images without instances.
    """

    def __init__(self, samples: CachedSamples, empty_share: float) -> None:
        self.samples = samples
        shown, empty = len(samples.with_instances), len(samples.without_instances)
        wanted = round(shown * empty_share / (1 - empty_share)) if shown else 1
        self._empty_count = min(empty, max(wanted, 0))
        self.crops = shown + self._empty_count

    def numbers(self, epoch: int, rng: np.random.Generator) -> np.ndarray:
        """Return numbers that are the sample modulo the number of samples."""
        empty = rng.permutation(self.samples.without_instances).tolist()[:self._empty_count]
        chosen = np.array(self.samples.with_instances + empty, np.int64)
        return epoch * len(self.samples) + rng.permutation(chosen)

    def draw(self, number: int, rng: np.random.Generator) -> Draw:
        """Return the sample that belongs to the number."""
        return Draw(number % len(self.samples))

    def draw_source(self, rng: np.random.Generator) -> Draw | None:
        """Return a random sample with instances."""
        shown = self.samples.with_instances
        return Draw(int(rng.choice(shown))) if shown else None

    def class_frequencies(self) -> Tensor:
        """Return the share of each class in the labelled pixels of all samples."""
        return self.samples.class_frequencies()


class ByClass:
    """First a data set by its share, then a class, then a sample that shows it.

    Rare classes are drawn more often this way, and no data set more often than its share, however
    many images it has. Within a data set, a class is drawn in proportion to its share times the
    square root of the number of samples that show it: without the root, rare classes would
    hardly be drawn; with equal numbers, the same few images would return again and again.

    Parameters
    ----------
    samples : CachedSamples
    config : DataConfig
        Shares of data sets and classes, share of samples without any class, crops in an epoch.

    Raises
    ------
    ValueError
        The shares leave no sample to draw.
    """

    def __init__(self, samples: CachedSamples, config: DataConfig) -> None:
        self.samples = samples
        self.crops = config.crops or len(samples)
        shares = dict(config.class_shares)
        class_shares = np.array([0.0, *(shares.get(name, 1.0) for name in config.classes[1:])])
        shows, parts = samples.shows_class, samples.part_numbers
        shown = [[np.flatnonzero(shows[:, k] & (parts == part)) for k in range(len(class_shares))]
                 for part in range(len(config.parts))]
        self._shown = shown
        self._empty = [np.flatnonzero(~shows[:, 1:].any(1) & (parts == part))
                       for part in range(len(config.parts))]
        class_weights = class_shares * np.sqrt([[len(numbers) for numbers in of_part]
                                                for of_part in shown])
        has_class = class_weights.any(1)
        has_empty = np.array([len(numbers) > 0 for numbers in self._empty])
        self._empty_shares = np.where(has_class, config.empty_share * has_empty, 1.0)
        self._part_shares = _normalized(np.array([part.share for part in config.parts])
                                        * (has_class | has_empty))
        if not self._part_shares.any():
            raise ValueError('data.class_shares: expected a share above 0 for a class that an '
                             'image shows, got none (in data sets whose own share is above 0)')
        self._class_shares = np.array([_normalized(row) for row in class_weights])
        # Sources of pasted instances are drawn alike, among samples with instances.
        has_instances = np.isin(np.arange(len(samples)), samples.with_instances)
        self._sources = [[numbers[has_instances[numbers]] if k in config.thing_ids
                          else numbers[:0] for k, numbers in enumerate(of_part)]
                         for of_part in shown]
        weights = self._part_shares[:, None] * class_weights
        weights = weights * [[len(numbers) > 0 for numbers in of_part]
                             for of_part in self._sources]
        self._source_shares = _normalized(weights.ravel())

    def numbers(self, epoch: int, rng: np.random.Generator) -> np.ndarray:
        """Return the numbers that follow those of the epoch before."""
        return np.arange(epoch * self.crops, (epoch + 1) * self.crops)

    def draw(self, number: int, rng: np.random.Generator) -> Draw:
        """Return a random sample, whatever the number."""
        part = rng.choice(len(self._part_shares), p=self._part_shares)
        if rng.random() < self._empty_shares[part]:
            return Draw(int(rng.choice(self._empty[part])))
        class_id = int(rng.choice(self._class_shares.shape[1], p=self._class_shares[part]))
        return Draw(int(rng.choice(self._shown[part][class_id])), class_id)

    def draw_source(self, rng: np.random.Generator) -> Draw | None:
        """Return a random sample with instances of a random class."""
        if not self._source_shares.any():
            return None
        choice = rng.choice(len(self._source_shares), p=self._source_shares)
        part, class_id = divmod(int(choice), self._class_shares.shape[1])
        return Draw(int(rng.choice(self._sources[part][class_id])), class_id)

    def sample_shares(self) -> np.ndarray:
        """Return how probable each sample is for a crop, (n,) float64."""
        result = np.zeros(len(self.samples))
        for part, share in enumerate(self._part_shares):
            empty_share = self._empty_shares[part]
            if len(self._empty[part]):
                result[self._empty[part]] += share * empty_share / len(self._empty[part])
            for numbers, class_share in zip(self._shown[part], self._class_shares[part]):
                if len(numbers):
                    result[numbers] += share * (1 - empty_share) * class_share / len(numbers)
        return result

    def class_frequencies(self) -> Tensor:
        """Return the share of each class in the labelled pixels of samples as they are drawn."""
        return self.samples.class_frequencies(self.sample_shares())


def plan_of(samples: CachedSamples, config: DataConfig) -> Plan:
    """Return the plan of a configuration."""
    return ByClass(samples, config) if config.by_class else EveryImage(samples,
                                                                       config.empty_share)


class TrainingCrops(Dataset):
    """Augmented crops with their targets.

    Parameters
    ----------
    plan : Plan
    config : AugmentationConfig
    stride : int
        Output stride of the network.
    seed : int
    """

    def __init__(self, plan: Plan, config: AugmentationConfig, stride: int, seed: int) -> None:
        self.plan = plan
        self.config = config
        self.stride = stride
        self.seed = seed

    def __len__(self) -> int:
        return self.plan.crops

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, number))
        samples = self.plan.samples
        pasted, drawn = self.plan.draw_source(rng), self.plan.draw(number, rng)
        crop = augment(samples[drawn.sample], samples[pasted.sample] if pasted else None,
                       self.config, rng, drawn.class_id, pasted.class_id if pasted else None)
        if self.config.beside_probability and rng.random() < self.config.beside_probability:
            for _ in range(rng.integers(1, self.config.beside_max + 1)):
                beside = self.plan.draw_source(rng)
                if beside:
                    crop = paste_beside(crop, samples[beside.sample], rng, beside.class_id)
        color_map = random_color_map(crop.image, self.config.color, rng)
        return {**to_tensors(crop, samples.dataset, self.stride),
                'color_map': torch.from_numpy(color_map)}


class EpochSampler(Sampler):
    """Numbers of the crops of an epoch; no number comes twice in a training."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; called by the trainer before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.plan.crops

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        return iter(self.plan.numbers(self.epoch, rng).tolist())


def _normalized(weights: np.ndarray) -> np.ndarray:
    total = weights.sum()
    return weights / total if total else weights
