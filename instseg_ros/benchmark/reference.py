"""The vote in superpixels by scikit-image and NumPy: the reference for speed and quality."""
from __future__ import annotations

import inspect

import numpy as np
from skimage.segmentation import slic

from instseg_ros.core.config import RefinementConfig
from instseg_ros.core.refinement.pixels import nearest_index
from instseg_ros.core.refinement.slic import SUPPORT

_ITERATIONS = ('max_num_iter' if 'max_num_iter' in inspect.signature(slic).parameters
               else 'n_iter')  # renamed in scikit-image 0.19


def superpixels(image: np.ndarray, size: float, compactness: float,
                iterations: int) -> np.ndarray:
    """Return a superpixel id, from 0, for every pixel of an image.

    Parameters
    ----------
    image : (H0, W0, 3) uint8, RGB
    size : float
        Side of a superpixel in pixels.
    compactness : float
        Weight of distance against Lab colour.
    iterations : int

    Returns
    -------
    (H0, W0) int64
    """
    count = max(1, round(image.shape[0] * image.shape[1] / size**2))
    return slic(image, n_segments=count, compactness=compactness, start_label=0,
                enforce_connectivity=False, **{_ITERATIONS: iterations})


def reference_refine(image: np.ndarray, semantic_ids: np.ndarray, instance_ids: np.ndarray,
                     scale: tuple[float, float], config: RefinementConfig = RefinementConfig()
                     ) -> tuple[np.ndarray, np.ndarray]:
    """Refine label maps as `instseg_ros.core.refinement.refine` does with the method slic.

    Superpixels cover the whole image here, and are fitted to all of its pixels.
    """
    codes = semantic_ids.astype(np.uint32) << 16 | instance_ids
    rows, columns = (nearest_index(length, output, step)
                     for length, output, step in zip(image.shape, codes.shape, scale))
    nearest = codes[rows[:, None], columns]
    if min(scale) >= 1:
        return (nearest >> 16).astype(np.uint8), (nearest & 0xffff).astype(np.uint16)
    voted = vote(nearest, superpixels(image, config.superpixel_size / max(scale),
                                      config.compactness, config.iterations), config.purity)
    padded = np.pad(codes.astype(np.int64), 1, constant_values=-1)
    support = sum((padded[rows[:, None] + a, columns + b] == voted).astype(int)
                  for a in range(3) for b in range(3))
    result = np.where(support >= SUPPORT, voted, nearest)
    return (result >> 16).astype(np.uint8), (result & 0xffff).astype(np.uint16)


def vote(codes: np.ndarray, superpixel_ids: np.ndarray, purity: float) -> np.ndarray:
    """Give every pixel the majority of its superpixel, where that majority is clear.

    Parameters
    ----------
    codes : (H0, W0) uint32
        One code a pixel for its semantic and instance id together.
    superpixel_ids : (H0, W0) int
    purity : float
        A superpixel whose most frequent code has no larger share than this stays as it is.

    Returns
    -------
    (H0, W0) uint32
    """
    names, flat = np.unique(codes, return_inverse=True)
    members = superpixel_ids.ravel()
    pairs, counts = np.unique(members * len(names) + flat.ravel(), return_counts=True)
    winner_count = np.zeros(members.max() + 1, np.int64)
    np.maximum.at(winner_count, pairs // len(names), counts)
    clear = winner_count > purity * np.bincount(members)
    wins = counts == winner_count[pairs // len(names)]
    winner = np.zeros(len(winner_count), np.int64)
    winner[pairs[wins] // len(names)] = pairs[wins] % len(names)
    voted = np.where(clear[members], names[winner[members]], codes.ravel())
    return voted.reshape(codes.shape)
