"""Every message that can be made about an image, by the name of its topic."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Callable, NamedTuple

import numpy as np

from instseg_ros.core.types import ModelInfo, Segmentation
from instseg_ros.messages.detections import detections_message
from instseg_ros.messages.images import (
    image_message,
    indexed_png_message,
    jpeg_message,
    png_message,
)
from instseg_ros.messages.types import COMPRESSED_IMAGE, DETECTIONS, IMAGE, MessageTypes
from instseg_ros.visualization import MAX_INDEXED, LabelColors, overlay

OVERLAY_QUALITY = 90
"""Of the compressed overlay, in percent."""

CLASS_SHIFT = 16
"""Bits of the instance id in a panoptic id."""

CONFIDENCE = 'confidence_image'


@dataclass(frozen=True)
class Result:
    """An image and its segmentation, of which messages are made.

    Attributes
    ----------
    header : std_msgs/Header
        Of the image; every message has it.
    image : (H0, W0, 3) uint8, RGB
    segmentation : Segmentation
    info : ModelInfo
        For names and palette.
    """

    header: Any
    image: np.ndarray
    segmentation: Segmentation
    info: ModelInfo

    @cached_property
    def overlay(self) -> np.ndarray:
        """The image with its segmentation, (H0, W0, 3) uint8."""
        return overlay(self.image, self.segmentation, self.info, self.colors)

    @cached_property
    def colors(self) -> LabelColors:
        """The colours of the labels."""
        return LabelColors.of(self.segmentation, self.info)

    @property
    def panoptic_ids(self) -> np.ndarray:
        """Semantic id << 16 | instance id, (H0, W0) int32."""
        semantic_ids = self.segmentation.semantic_ids.astype(np.int32)
        return semantic_ids << CLASS_SHIFT | self.segmentation.instance_ids

    @property
    def confidence(self) -> np.ndarray:
        """Confidence of the semantic ids, (H0, W0) uint8.

        Raises
        ------
        ValueError
            It was not computed.
        """
        confidence = self.segmentation.semantic_confidence
        if confidence is None:
            raise ValueError('semantic_confidence: expected the confidence of the classes, got '
                             'none; segment with confidence=True')
        return confidence


class Output(NamedTuple):
    """One kind of message about a result: its type, and how it is made."""

    type: str
    make: Callable[[MessageTypes, Result], Any]


def _image(pixels: Callable[[Result], np.ndarray]) -> Output:
    return Output(IMAGE, lambda types, result: image_message(types, result.header,
                                                             pixels(result)))


def _png(pixels: Callable[[Result], np.ndarray]) -> Output:
    return Output(COMPRESSED_IMAGE, lambda types, result: png_message(types, result.header,
                                                                      pixels(result)))


def _color_labels_png(types: MessageTypes, result: Result) -> Any:
    colors = result.colors
    if len(colors.palette) > MAX_INDEXED:
        return png_message(types, result.header, colors.picture)
    return indexed_png_message(types, result.header, colors.index, colors.palette)


_PIXELS: dict[str, Callable[[Result], np.ndarray]] = {
    'semantic_image': lambda result: result.segmentation.semantic_ids,
    'instance_image': lambda result: result.segmentation.instance_ids,
    CONFIDENCE: lambda result: result.confidence,
    'panoptic_image': lambda result: result.panoptic_ids,
    'color_labels': lambda result: result.colors.picture,
    'overlay': lambda result: result.overlay}

# By the rule of image_transport, a compressed image is on the topic of the image with
# "/compressed" behind it.
OUTPUTS = MappingProxyType({
    **{name: _image(pixels) for name, pixels in _PIXELS.items()},
    **{f'{name}/compressed': _png(pixels) for name, pixels in _PIXELS.items()
       if name not in ('panoptic_image', 'color_labels', 'overlay')},  # PNG has no 32 bits
    'color_labels/compressed': Output(COMPRESSED_IMAGE, _color_labels_png),
    'overlay/compressed': Output(COMPRESSED_IMAGE, lambda types, result: jpeg_message(
        types, result.header, result.overlay, OVERLAY_QUALITY)),
    'instances': Output(DETECTIONS, lambda types, result: detections_message(
        types, result.header, result.segmentation.instances))})
"""Every output of a result by the name of its topic below the node's or the camera's."""
