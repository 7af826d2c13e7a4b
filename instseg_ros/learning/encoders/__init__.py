"""Encoders: networks that turn an image into feature maps at several strides.

Every encoder is an `Encoder`, chosen by name with `build_encoder`. The decoders only know its
`channels`, so another backbone needs no change anywhere else: a file in this folder, and a line
below.
"""
from __future__ import annotations

from typing import Callable, Mapping

from instseg_ros.learning.encoders.encoder import Encoder
from instseg_ros.learning.encoders.mobilenet_v2 import MobileNetV2
from instseg_ros.learning.encoders.nanodet_plus import nanodet_plus_m, nanodet_plus_m_15x
from instseg_ros.learning.encoders.resnet import resnet18, resnet34, resnet50

ENCODERS: Mapping[str, Callable[[], Encoder]] = {
    'mobilenet_v2': MobileNetV2, 'resnet18': resnet18, 'resnet34': resnet34, 'resnet50': resnet50,
    'nanodet_plus_m': nanodet_plus_m, 'nanodet_plus_m_15x': nanodet_plus_m_15x}

DETECTORS = ('nanodet_plus_m', 'nanodet_plus_m_15x')
"""Encoders that are parts of a detector: the network starts from its classes and boxes."""


def build_encoder(name: str) -> Encoder:
    """Return the encoder of that name, with random weights."""
    if name not in ENCODERS:
        raise ValueError(f'encoder: expected one of {", ".join(ENCODERS)}, got {name!r}')
    return ENCODERS[name]()
