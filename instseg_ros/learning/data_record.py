"""The record of a training's data in its checkpoints, to find the validation images again."""
from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Mapping, Sequence

import numpy as np

from instseg_ros.datasets.types import DatasetError, LabelledImages

NAMES_SHOWN = 3
"""Names of images that a message lists."""


@dataclass(frozen=True)
class DataRecord:
    """Identifies the data of a training without any path.

    Attributes
    ----------
    training_images : int
    class_frequencies : tuple of float
        Share of each class in the labelled pixels of the training images.
    validation : dict of str to str
        Name and label fingerprint of each validation image.
    """

    training_images: int
    class_frequencies: tuple[float, ...]
    validation: Mapping[str, str]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataRecord:
        """Return the record that `to_dict` made these plain values of."""
        return cls(int(values['training_images']), tuple(values['class_frequencies']),
                   dict(values['validation']))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as a checkpoint holds them."""
        return {**asdict(self), 'class_frequencies': list(self.class_frequencies)}

    def find_validation_images(self, dataset: LabelledImages) -> list[int]:
        """Return the indices of the validation images in a data set.

        Other images may have been added to it since the training.

        Raises
        ------
        DatasetError
            An image is missing or has other labels than at the time of the training.
        """
        indices = {dataset.image_name(index): index for index in range(len(dataset))}
        now = label_fingerprints(dataset, [indices[name] for name in self.validation
                                           if name in indices])
        found = self.validation_differences(now)
        if found:
            raise DatasetError('this is not the data that the checkpoint was trained with; of '
                               f'its {len(self.validation)} validation images {found}')
        return [indices[name] for name in self.validation]

    def validation_differences(self, now: Mapping[str, str]) -> str:
        """Return how other validation images differ from these; an empty text if they don't."""
        groups = {
            'missing': [name for name in self.validation if name not in now],
            'with other labels': [name for name, digest in self.validation.items()
                                  if now.get(name, digest) != digest],
            'new': [name for name in now if name not in self.validation]}
        return ', '.join(f'{len(names)} {what} ({_shortened(names)})'
                         for what, names in groups.items() if names)


def label_fingerprints(dataset: LabelledImages, indices: Sequence[int]) -> dict[str, str]:
    """Return the name of each image with a digest of its label maps.

    Labels and not pixels, since decoders of JPEG may differ between machines.
    """
    return {dataset.image_name(index): fingerprint(*dataset.load_label_maps(index))
            for index in indices}


def fingerprint(semantic_ids: np.ndarray, instance_ids: np.ndarray) -> str:
    """Return a digest of label maps, each (H0, W0): 16 hexadecimal digits."""
    digest = hashlib.sha256(repr(semantic_ids.shape).encode())
    for labels in (semantic_ids.astype(np.uint8), instance_ids.astype('<u2')):
        digest.update(labels.tobytes())
    return digest.hexdigest()[:16]


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ', '.join(names[:NAMES_SHOWN]) + (f' and {more} more' if more > 0 else '')
