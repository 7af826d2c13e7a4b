"""Which classes are reported: all others become background before pixels are grouped."""
from __future__ import annotations

import dataclasses
import difflib

import numpy as np

from instseg_ros.core.config import SelectionConfig
from instseg_ros.core.types import BACKGROUND, UNLABELLED, ModelInfo, NetworkOutput


def class_table(config: SelectionConfig, info: ModelInfo) -> np.ndarray:
    """Return the semantic id that takes the place of each.

    Parameters
    ----------
    config : SelectionConfig
    info : ModelInfo
        Has the names of the classes.

    Returns
    -------
    (256,) uint8
        A class that is not selected becomes the class "background" or, in a model without one,
        unlabelled.

    Raises
    ------
    ValueError
        The model has no class of a given name; names the most similar one.
    """
    table = np.arange(256, dtype=np.uint8)
    if not config.class_names:
        return table
    for name in config.class_names:
        if name not in info.class_names:
            raise ValueError(f'selection.classes: expected classes of the model, got {name!r}; '
                             f'{_hint(name, info.class_names)}')
    rest = info.class_names.index(BACKGROUND) if BACKGROUND in info.class_names else UNLABELLED
    for class_id, name in enumerate(info.class_names):
        if name not in config.class_names:
            table[class_id] = rest
    return table


def select_classes(output: NetworkOutput, config: SelectionConfig, info: ModelInfo
                   ) -> NetworkOutput:
    """Return the network's output with the selected classes only.

    Raises
    ------
    ValueError
        The model has no class of a given name.
    """
    if not config.class_names:
        return output
    return dataclasses.replace(
        output, semantic_ids=class_table(config, info)[output.semantic_ids])


def _hint(name: str, known: tuple[str, ...]) -> str:
    """Return the most similar of the known names in a question, or all of them."""
    by_small_letters = {other.lower(): other for other in known}
    similar = difflib.get_close_matches(name.lower(), by_small_letters, n=1)
    return (f'did you mean {by_small_letters[similar[0]]}?' if similar
            else f'it has {", ".join(known)}')
