"""The result for an image as serialized messages, the same that the node publishes."""
from __future__ import annotations

from instseg_ros.bags.messages import MESSAGE_TYPES, make_header, typestore
from instseg_ros.core.types import ModelInfo
from instseg_ros.messages.detections import label_info_message
from instseg_ros.messages.images import EncodingError
from instseg_ros.messages.results import CONFIDENCE, OUTPUTS, Result
from instseg_ros.messages.types import LABEL_INFO

LABELS = ('png', 'raw')
"""How label images are stored: compressed without loss, or as they are published."""

PICTURES = ('overlay/compressed', 'color_labels/compressed')
"""Outputs for the eye, which a result can do without."""

LAST = 'instances'
"""The output that is written last: a frame with it is complete."""


def output_types(labels: str, *, confidence: bool = False) -> dict[str, str]:
    """Return the type of each output of a frame by its name below the prefix, in written order.

    Parameters
    ----------
    labels : str
        One of `LABELS`.
    confidence : bool
        Whether the segmentations have the confidence of their classes.
    """
    suffix = '' if labels == 'raw' else '/compressed'
    images = ['semantic_image', 'instance_image', *([CONFIDENCE] if confidence else [])]
    return {name: OUTPUTS[name].type
            for name in (*(f'{name}{suffix}' for name in images), *PICTURES, LAST)}


def encode_result(result: Result, labels: str) -> dict[str, bytes]:
    """Return the serialized messages about an image by the names of `output_types`.

    Parameters
    ----------
    result : Result
        Its confidence is left out if it was not computed.
    labels : str
        One of `LABELS`.

    Returns
    -------
    dict of str to bytes
        Without a picture that cannot be encoded: JPEG ends at 65,500 pixels.

    Raises
    ------
    EncodingError
        A label image cannot be encoded.
    """
    has_confidence = result.segmentation.semantic_confidence is not None
    encoded = {}
    for name in output_types(labels, confidence=has_confidence):
        try:
            encoded[name] = encode(result, name)
        except EncodingError:
            if name not in PICTURES:
                raise
    return encoded


def encode(result: Result, name: str) -> bytes:
    """Return one of the serialized messages about an image.

    Parameters
    ----------
    result : Result
    name : str
        One of `OUTPUTS`.

    Raises
    ------
    EncodingError
        The image cannot be encoded.
    """
    output = OUTPUTS[name]
    return bytes(typestore().serialize_cdr(output.make(MESSAGE_TYPES, result), output.type))


def encode_label_info(stamp: int, info: ModelInfo) -> bytes:
    """Return the serialized `vision_msgs/LabelInfo`; `stamp` is in nanoseconds."""
    message = label_info_message(MESSAGE_TYPES, make_header(stamp, ''), info)
    return bytes(typestore().serialize_cdr(message, LABEL_INFO))
