"""Weights between those that a training started from and those that it ended with."""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Sequence

import torch

from instseg_ros.learning.model import InstanceSegmentationNetwork, load_initial_weights


def blend_with_initial(network: InstanceSegmentationNetwork, path: str | Path,
                       class_names: Sequence[str], share: float) -> None:
    """Move what tells the classes back towards the weights that it started from.

    share * trained + (1 - share) * initial, for the weights of the encoder, of the coarse
    classifier, and of the last layer of what the decoder adds to it, which started from 0.

    A network that is trained on few images learns their classes and forgets others of the same
    class. In between, it does better on images that it has not seen than at either end:
    M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, equation 1. The
    center and embedding decoders have to be trained on, as they see another encoder than before.

    Parameters
    ----------
    network : InstanceSegmentationNetwork
        Trained; changed in place.
    path : path
        File of the encoder's initial weights.
    class_names : sequence of str
    share : float
        Of the trained weights, in [0, 1].

    Raises
    ------
    ValueError
        The file holds no such weights.
    """
    initial = copy.deepcopy(network)
    load_initial_weights(initial, path, class_names)
    last = initial.semantic.residual.head[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    for trained, start in ((network.encoder, initial.encoder),
                           (network.semantic.coarse, initial.semantic.coarse),
                           (network.semantic.residual.head[-1], last)):
        with torch.no_grad():
            for tensor, origin in zip(trained.parameters(), start.parameters()):
                tensor.copy_(torch.lerp(origin, tensor, share))
