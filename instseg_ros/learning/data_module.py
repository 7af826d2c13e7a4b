"""The images of a training and of its validation, as Lightning loads them."""
from __future__ import annotations

import dataclasses
import sys
from typing import Iterable, Iterator, Sequence

import lightning
import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, Subset
from tqdm import tqdm

from instseg_ros.core.types import ModelInfo
from instseg_ros.datasets.opening import open_training_data, open_validation_data
from instseg_ros.datasets.types import LabelledImages
from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.data_record import DataRecord, label_fingerprints
from instseg_ros.learning.samples import CachedSamples, WholeImages
from instseg_ros.learning.sampling import EpochSampler, TrainingCrops, plan_of
from instseg_ros.learning.targets import Targets


class TrainingData(lightning.LightningDataModule):
    """Reads the images and hands each process its share of them.

    Parameters
    ----------
    config : TrainingConfig

    Attributes
    ----------
    config : TrainingConfig
        With the classes, also where they were left to the data.
    samples, validation : CachedSamples
    plan : Plan
        Which of the samples the crops are taken from.
    frequencies : (C,) float32 tensor
        Share of each class in the labelled pixels, as the plan draws them.
    record : DataRecord
        What checkpoints record about the data.
    """

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        dataset, data = open_training_data(config.data)
        config = self.config = dataclasses.replace(config, data=data)
        validation_set, training, validation = split(dataset, config)

        def read(dataset: LabelledImages, indices: list[int], what: str) -> CachedSamples:
            return CachedSamples(dataset, tqdm(indices, desc=f'reading {what} images', unit='img',
                                               disable=rank_zero_only.rank != 0),
                                 cache_gb=data.cache_gb)

        self.samples = read(dataset, training, 'training')
        self.validation = read(validation_set, validation, 'validation')
        for remark in dict.fromkeys([*dataset.remarks(), *validation_set.remarks()]):
            rank_zero_only(print)(f'note: {remark}', file=sys.stderr)
        self.plan = plan_of(self.samples, data)
        self.frequencies = self.plan.class_frequencies()
        self.record = DataRecord(len(self.samples), tuple(self.frequencies.tolist()),
                                 label_fingerprints(validation_set, validation))

    def check_shares(self, processes: int) -> None:
        """Check that every process gets crops, and validation images if there are any.

        Raises
        ------
        ValueError
            There are too few of them.
        """
        if self.plan.crops < processes:
            raise ValueError(f'an epoch has {self.plan.crops} crops, expected at least one for '
                             f'each of the {processes} processes')
        if 0 < len(self.validation) < processes:
            raise ValueError(f'there are {len(self.validation)} validation images, expected at '
                             f'least one for each of the {processes} processes, or none; '
                             'data.validation_images is their number, at most a quarter of the '
                             'images with objects')

    def train_dataloader(self) -> DataLoader:
        """Return the loader of this process's crops."""
        options = self.config.optimization
        sampler = EpochSampler(self.plan, options.seed)
        share = Share(sampler, self.trainer.global_rank, self.trainer.world_size)
        crops = TrainingCrops(self.plan, self.config.augmentation, self._stride, options.seed)
        return DataLoader(crops, options.batch_size, sampler=share, num_workers=options.workers,
                          drop_last=len(share) > options.batch_size,
                          persistent_workers=options.workers > 0)

    def val_dataloader(self) -> DataLoader:
        """Return the loader of this process's validation images."""
        images = WholeImages(self.validation, self.config.model.input_size,
                             self.trainer.lightning_module.network.size_multiple, self._stride)
        mine = range(self.trainer.global_rank, len(images), self.trainer.world_size)
        return DataLoader(Subset(images, mine), 1)

    @property
    def _stride(self) -> int:
        return self.trainer.lightning_module.network.output_stride


class Share(Sampler):
    """A process's share of the numbers of a sampler.

    The sampler has to give the same numbers in the same order in every process. No number is in
    two shares and all shares are equally long: up to `processes` - 1 of the last numbers are left
    out, different ones in every epoch.
    """

    def __init__(self, sampler: EpochSampler, rank: int, processes: int) -> None:
        self.sampler = sampler
        self.rank = rank
        self.processes = processes

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; called by the trainer before each one."""
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler) // self.processes

    def __iter__(self) -> Iterator[int]:
        numbers = list(self.sampler)
        return iter(numbers[self.rank:len(self) * self.processes:self.processes])


def split(dataset: LabelledImages, config: TrainingConfig
          ) -> tuple[LabelledImages, list[int], list[int]]:
    """Return the data set of the validation images, and indices of training and validation images.

    The validation images are the data set `data.validation`, or a part of the training data.
    """
    everything = list(range(len(dataset)))
    if config.data.validation is not None:
        validation = open_validation_data(config.data)
        return validation, everything, list(range(len(validation)))
    shown = [dataset.shows_object(index)
             for index in tqdm(everything, desc='looking for objects', unit='img',
                               disable=rank_zero_only.rank != 0)]
    return dataset, *split_images(shown, config.data.validation_images,
                                  config.optimization.seed)


def split_images(shows_object: Sequence[bool], validation_images: int,
                 seed: int) -> tuple[list[int], list[int]]:
    """Split image indices into those trained on and those held out for validation.

    Parameters
    ----------
    shows_object : sequence of bool
        For each image of the data set, whether it shows an instance.
    validation_images : int
        Number of held-out images. All of them show an object, since calibration needs right
        centers. At most a quarter of the images with objects are taken.
    seed : int
        Of the random choice.
    """
    candidates = np.flatnonzero(shows_object)
    count = min(validation_images, len(candidates) // 4)
    validation = sorted(np.random.default_rng(seed).permutation(candidates)[:count].tolist())
    return sorted(set(range(len(shows_object))) - set(validation)), validation


def validation_images(config: TrainingConfig, record: DataRecord
                      ) -> tuple[LabelledImages, list[int]]:
    """Open the validation data of a training and return it with the indices of its images.

    Raises
    ------
    DatasetError
        The data can't be opened, or doesn't hold the images of the record.
    """
    if config.data.validation is not None:
        dataset = open_validation_data(config.data)
    else:
        dataset, _ = open_training_data(config.data)
    return dataset, record.find_validation_images(dataset)


def scaled_images(dataset: LabelledImages, indices: Iterable[int],
                  info: ModelInfo) -> tuple[list[np.ndarray], list[Targets]]:
    """Return images as the network takes them, (H, W, 3) uint8, and their targets."""
    samples = CachedSamples(dataset, indices, cache_gb=0)  # each image is needed once
    batches = list(WholeImages(samples, info.input_size, info.size_multiple, info.output_stride))
    return ([batch['image'].permute(1, 2, 0).contiguous().numpy() for batch in batches],
            [targets_of(batch) for batch in batches])


def targets_of(sample: dict[str, Tensor]) -> Targets:
    """Return the targets of one image, from the tensors of `samples.to_tensors`."""
    arrays = {name: tensor.cpu().numpy() for name, tensor in sample.items()}
    return Targets(arrays['semantic_ids'].astype(np.uint8),
                   arrays['instance_ids'].astype(np.uint16), arrays['center_mask'],
                   tuple(np.flatnonzero(arrays['candidates']).tolist()))
