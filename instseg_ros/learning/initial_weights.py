"""The weights that a training starts from: a file for the encoder, a checkpoint, or a mixture."""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Sequence

import torch

from instseg_ros.learning.checkpoints import differences, load_checkpoint
from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.detector.network import RESIDUALS
from instseg_ros.learning.encoders import DETECTORS
from instseg_ros.learning.model import InstanceSegmentationNetwork, load_initial_weights


def load_weights(network: InstanceSegmentationNetwork, config: TrainingConfig) -> str:
    """Load the initial weights that the configuration names; return what was loaded, for people.

    Raises
    ------
    ValueError
        The file is no such weights, or a checkpoint of other classes or another network.
    """
    path, classes = config.model.weights, config.data.classes
    if not path.endswith('.ckpt'):
        known = load_initial_weights(network, path, classes)
        return (f'initial weights: {path}; classifier taken over for: '
                f'{", ".join(known) or "no class"}')
    start_from(network, path, config)
    loaded = f'initial weights: {path}, the whole network'
    if config.model.blend_with:
        blend_with_initial(network, config.model.blend_with, classes, config.model.blend)
        loaded += (f'\n{1 - config.model.blend:.0%} of encoder and classifier from '
                   f'{config.model.blend_with}')
    return loaded


def start_from(network: InstanceSegmentationNetwork, path: str | Path,
               config: TrainingConfig) -> None:
    """Load the whole network of a checkpoint into that of a new training.

    Decoders that add to a detector's outputs may be missing in the checkpoint; they add nothing at
    first.

    Raises
    ------
    ValueError
        The checkpoint is one of other classes or of another network; saying what differs.
    """
    source, theirs, _ = load_checkpoint(path)
    if theirs.data.classes != config.data.classes:
        raise ValueError(f'{path}: trained for the classes {", ".join(theirs.data.classes)}, the '
                         f'configuration has {", ".join(config.data.classes)}')
    if config.model.encoder in DETECTORS and theirs.data.thing_ids != config.data.thing_ids:
        raise ValueError(f'{path}: a detector trained with data.stuff '
                         f'{", ".join(theirs.data.stuff)}, the configuration has '
                         f'{", ".join(config.data.stuff)}')
    added = RESIDUALS - dict(source.named_children()).keys()
    initial = {name: tensor for name, tensor in network.state_dict().items()
               if name.partition('.')[0] in added}
    try:
        network.load_state_dict({**source.state_dict(), **initial})
    except RuntimeError as error:
        found = differences({'model': theirs.to_dict()['model']},
                            {'model': config.to_dict()['model']})
        raise ValueError(f'{path}: a checkpoint of another network: '
                         + ('; '.join(found) or str(error))) from error


def blend_with_initial(network: InstanceSegmentationNetwork, path: str | Path,
                       class_names: Sequence[str], share: float) -> None:
    """Move the weights that decide on classes back towards those that they started from.

    share * trained + (1 - share) * initial, for the weights of the encoder, of the coarse
    classifier, and of the last layer of the semantic decoder's residual, which started from 0.

    Training on few images fits the classes to these images at the cost of others. Between initial
    and trained weights, quality on unseen images is better than at either end:
    M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, equation 1. The
    center and embedding decoders need further training, since the encoder changes under them.

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
