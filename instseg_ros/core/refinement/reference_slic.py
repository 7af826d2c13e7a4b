"""Superpixel vote the slow and obvious way: scikit-image and NumPy.

It is what the compiled refinement is compared with, and can be chosen in its place.
"""
from __future__ import annotations

import inspect

import numpy as np
from skimage.segmentation import slic

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


def vote_in_superpixels(image: np.ndarray, codes: np.ndarray, rows: np.ndarray,
                        columns: np.ndarray, size: float, compactness: float, iterations: int,
                        purity: float, semantic_ids: np.ndarray,
                        instance_ids: np.ndarray) -> None:
    """Do what `slic.vote_in_superpixels` does, with superpixels everywhere."""
    nearest = codes[rows[:, None], columns]
    voted = vote(nearest, superpixels(image, size, compactness, iterations), purity)
    padded = np.pad(codes.astype(np.int64), 1, constant_values=-1)
    support = sum((padded[rows[:, None] + a, columns + b] == voted).astype(int)
                  for a in range(3) for b in range(3))
    result = np.where(support >= SUPPORT, voted, nearest)
    semantic_ids[:] = result >> 16
    instance_ids[:] = result & 0xffff


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
