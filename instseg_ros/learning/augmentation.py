"""Random crops of labelled images: scale, flip, copy-paste of instances, and colour.

Pixels are moved crop by crop where the images are read. Changes of colour are chosen there and
applied to a whole batch at once, on the device that trains.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from instseg_ros.core.config import check_options, option
from instseg_ros.core.scaling import PADDING
from instseg_ros.core.types import NO_INSTANCE, UNLABELLED

GREY = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the luma of ITU-R BT.601."""

GREY_SHARE = 0.05
"""Share of crops without colour."""


@dataclass(frozen=True)
class AugmentationConfig:
    """How training crops are made."""

    crop_size: int = option(384, 'Side of the square crop, or its width where crop_height is '
                            'given', unit='px', minimum=64, maximum=4096)
    crop_height: int = option(0, 'Height of the crop; 0: that of a square', unit='px', minimum=0,
                              maximum=4096)
    long_side_min: int = option(384, 'Smallest long side of the scaled image', unit='px',
                                minimum=32, maximum=8192)
    long_side_max: int = option(1280, 'Largest long side of the scaled image', unit='px',
                                minimum=32, maximum=8192)
    thing_probability: float = option(0.8, 'Share of crops that are centered near a thing, or '
                                      'near the class that they are drawn for', minimum=0.0,
                                      maximum=1.0)
    paste_probability: float = option(0.7, 'Share of crops into which instances of another image '
                                      'are pasted', minimum=0.0, maximum=1.0)
    paste_max: int = option(4, 'At most this many pasted instances in a crop', minimum=0,
                            maximum=100)
    beside_probability: float = option(0.0, 'Share of crops into which further instances, each of '
                                       'another image, are pasted beside or behind one of their '
                                       'class, and about as large', minimum=0.0, maximum=1.0)
    beside_max: int = option(8, 'At most this many of these in a crop', minimum=1, maximum=100)
    color: float = option(0.4, 'Strength of the colour changes', minimum=0.0, maximum=1.0)

    def __post_init__(self) -> None:
        check_options(self, 'augmentation')
        if self.long_side_min > self.long_side_max:
            raise ValueError(f'augmentation.long_side_min: expected at most long_side_max '
                             f'({self.long_side_max}), got {self.long_side_min}')

    @property
    def crop_shape(self) -> tuple[int, int]:
        """Height and width of the crop."""
        return self.crop_height or self.crop_size, self.crop_size

    def check_crop(self, multiple: int) -> None:
        """Check that a network takes the crops.

        Raises
        ------
        ValueError
            A side is no multiple of `multiple`.
        """
        for name in ('crop_size', 'crop_height'):
            if getattr(self, name) % multiple:
                raise ValueError(f'augmentation.{name}: expected a multiple of {multiple}, got '
                                 f'{getattr(self, name)}')


@dataclass(frozen=True)
class Sample:
    """A labelled image.

    Attributes
    ----------
    image : (H, W, 3) uint8, RGB
    semantic_ids : (H, W) uint8
    instance_ids : (H, W) uint16
    candidates : tuple of int
        Classes that a pixel with label 0 may have.
    """

    image: np.ndarray
    semantic_ids: np.ndarray
    instance_ids: np.ndarray
    candidates: tuple[int, ...] = (0,)


def random_crop(sample: Sample, config: AugmentationConfig, rng: np.random.Generator,
                class_id: int | None = None) -> Sample:
    """Cut a randomly scaled, perhaps mirrored piece out of a labelled image.

    What lies outside the image is padded as at inference, and ignored. With a `class_id`, the
    crops of `config.thing_probability` are centered near a pixel of that class.
    """
    height, width = sample.semantic_ids.shape
    rows, columns = config.crop_shape
    long_side = np.exp(rng.uniform(np.log(config.long_side_min), np.log(config.long_side_max)))
    scale = long_side / max(height, width)
    focus_y, focus_x = _focus(sample, config, rng, class_id)
    shift_y, shift_x = rng.uniform(-0.35, 0.35, 2) * (rows, columns)
    left = _place(focus_x * scale - columns / 2 + shift_x, width * scale, columns, rng)
    top = _place(focus_y * scale - rows / 2 + shift_y, height * scale, rows, rng)
    # Pixel centers: crop pixel c shows image coordinate (c + 0.5 + left) / scale - 0.5.
    to_image = np.array([[1 / scale, 0, (0.5 + left) / scale - 0.5],
                         [0, 1 / scale, (0.5 + top) / scale - 0.5]], np.float64)
    if rng.random() < 0.5:
        to_image = to_image @ np.array([[-1, 0, columns - 1], [0, 1, 0], [0, 0, 1]], np.float64)
    image = sample.image
    if scale < 0.75:
        # warpAffine does not smooth: shrink by averaging first, or the crop would be aliased.
        image = cv2.resize(image, None, fx=max(scale, 1 / width), fy=max(scale, 1 / height),
                           interpolation=cv2.INTER_AREA)
        ratio_x, ratio_y = image.shape[1] / width, image.shape[0] / height
        to_small = np.array([[ratio_x, 0, 0.5 * ratio_x - 0.5],
                             [0, ratio_y, 0.5 * ratio_y - 0.5], [0, 0, 1]], np.float64)
        image_matrix = (to_small @ np.vstack([to_image, [0, 0, 1]]))[:2]
    else:
        image_matrix = to_image

    def warp(array: np.ndarray, matrix: np.ndarray, interpolation: int, fill: int) -> np.ndarray:
        return cv2.warpAffine(array, matrix, (columns, rows), flags=interpolation
                              | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT,
                              borderValue=(fill,) * 3)

    return Sample(
        warp(image, image_matrix, cv2.INTER_LINEAR, PADDING),
        warp(sample.semantic_ids, to_image, cv2.INTER_NEAREST, UNLABELLED),
        warp(sample.instance_ids, to_image, cv2.INTER_NEAREST, NO_INSTANCE),
        sample.candidates)


def _focus(sample: Sample, config: AugmentationConfig, rng: np.random.Generator,
           class_id: int | None) -> tuple[float, float]:
    """Return the (y, x) that the crop is placed around: mostly on an instance or on a class."""
    height, width = sample.semantic_ids.shape
    wanted = None if class_id is None else sample.semantic_ids == class_id
    ids = _instances(sample.instance_ids if wanted is None else sample.instance_ids[wanted])
    if rng.random() < config.thing_probability:
        if len(ids):
            wanted = sample.instance_ids == rng.choice(ids)
        if wanted is not None and wanted.any():
            ys, xs = np.nonzero(wanted)
            k = rng.integers(len(ys))
            return float(ys[k]), float(xs[k])
    return rng.uniform(0, height), rng.uniform(0, width)


def _instances(instance_ids: np.ndarray) -> np.ndarray:
    ids = np.flatnonzero(np.bincount(instance_ids.ravel()))  # faster than unique
    return ids[ids != NO_INSTANCE]


def _place(start: float, length: float, size: int, rng: np.random.Generator) -> float:
    """Keep a crop inside the image where the image is large enough."""
    if length <= size:
        return rng.uniform(length - size, 0)
    return float(np.clip(start, 0, length - size))


def paste_instances(onto: Sample, source: Sample, config: AugmentationConfig,
                    rng: np.random.Generator) -> Sample:
    """Paste some instances of one crop in front of another crop.

    After Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
    Segmentation", CVPR 2021.
    """
    ids = _instances(source.instance_ids)
    if not len(ids) or config.paste_max == 0:
        return onto
    count = rng.integers(1, min(config.paste_max, len(ids)) + 1)
    mask = np.isin(source.instance_ids, rng.choice(ids, count, replace=False))
    return blend(onto, source.image, soften(mask.astype(np.float32)), mask, source.semantic_ids,
                 source.instance_ids + int(onto.instance_ids.max()))


def soften(alpha: np.ndarray) -> np.ndarray:
    """Return a mask (H, W) float32 with soft edges, so that the network doesn't learn the cut."""
    return cv2.GaussianBlur(alpha, (3, 3), 0)


def blend(onto: Sample, image: np.ndarray, alpha: np.ndarray, mask: np.ndarray,
          semantic_ids: np.ndarray | int, instance_ids: np.ndarray | int) -> Sample:
    """Return `onto` with the share `alpha` (H, W) of an image, and with its labels in the mask."""
    alpha = alpha[..., None]
    return Sample(np.rint(image * alpha + onto.image * (1 - alpha)).astype(np.uint8),
                  np.where(mask, semantic_ids, onto.semantic_ids).astype(np.uint8),
                  np.where(mask, instance_ids, onto.instance_ids).astype(np.uint16),
                  onto.candidates)


def random_color_map(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Choose a change of brightness, contrast, saturation and white balance; sometimes to grey.

    Parameters
    ----------
    image : (H, W, 3) uint8, RGB
    strength : float
        In [0, 1]; 0 changes nothing.

    Returns
    -------
    (3, 4) float32
        A colour c becomes M c + b, where M are the first three columns and b is the last.
    """
    if strength == 0:
        return np.eye(3, 4, dtype=np.float32)
    matrix = np.eye(3)
    to_grey = np.tile(GREY, (3, 1))
    if rng.random() < GREY_SHARE:
        matrix = to_grey
    saturation, contrast, brightness = 1 + strength * rng.uniform(-1, 1, 3)
    matrix = (saturation * np.eye(3) + (1 - saturation) * to_grey) @ matrix
    mean = GREY @ cv2.mean(image)[:3]
    balance = 1 + 0.25 * strength * rng.uniform(-1, 1, 3)
    offset = balance * mean * (brightness - contrast)  # contrast is about the mean
    return np.column_stack([balance[:, None] * contrast * matrix, offset]).astype(np.float32)


def change_colors(images: Tensor, color_maps: Tensor) -> Tensor:
    """Change the colours of a batch on its device.

    Parameters
    ----------
    images : (N, 3, H, W) uint8
    color_maps : (N, 3, 4) float32
        See `random_color_map`.

    Returns
    -------
    (N, 3, H, W) float32, in [0, 255]
    """
    pixels = images.float().flatten(2)
    changed = torch.baddbmm(color_maps[..., 3:], color_maps[..., :3], pixels)
    return changed.clamp_(0, 255).view(images.shape)


def augment(sample: Sample, source: Sample | None, config: AugmentationConfig,
            rng: np.random.Generator, class_id: int | None = None,
            source_class_id: int | None = None) -> Sample:
    """Make one training crop of a sample, perhaps with instances of `source` pasted into it.

    Parameters
    ----------
    sample, source : Sample
    config : AugmentationConfig
    rng : Generator
    class_id, source_class_id : int, optional
        Class that the crop of each is to show.
    """
    crop = random_crop(sample, config, rng, class_id)
    if source is not None and rng.random() < config.paste_probability:
        other = random_crop(source, config, rng, source_class_id)
        crop = paste_instances(crop, other, config, rng)
    return crop
