"""Names of the node's outputs, as they are found in recordings."""
from __future__ import annotations

from typing import Collection

LABEL_IMAGES = ('semantic_image', 'instance_image')
OUTPUTS = (*LABEL_IMAGES, 'instances', 'confidence_image', 'panoptic_image', 'overlay',
           'color_labels', 'label_info')
"""Last part of the name of each topic of the node."""


def is_output(name: str, names: Collection[str]) -> bool:
    """Return whether a topic is an output of the node.

    Parameters
    ----------
    name : str
        Of the topic, perhaps with `/compressed` behind it.
    names : collection of str
        Of all topics: `/front/overlay` alone may be of anybody, beside `/front/instances` not.
    """
    prefix, slash, last = name.removesuffix('/compressed').rpartition('/')
    if last not in OUTPUTS:
        return False
    return last in LABEL_IMAGES or any(
        prefix + slash + other in names for other in OUTPUTS if other != last)
