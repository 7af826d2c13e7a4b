"""Semantic and instance segmentation of camera images, live, on the robot's own computer.

>>> from instseg_ros import Segmenter
>>> segmenter = Segmenter.from_onnx('models/street.onnx')
>>> result = segmenter.segment(image)          # (H0, W0, 3) uint8, RGB
"""
from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    'GroupingConfig': 'config', 'NetworkConfig': 'config', 'RefinementConfig': 'config',
    'Instance': 'types', 'ModelError': 'network', 'ModelInfo': 'types', 'Segmentation': 'types',
    'Postprocessor': 'postprocessing', 'Segmenter': 'segmenter', 'SelectionConfig': 'config',
    'Tracker': 'tracking', 'TrackingConfig': 'config',
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the public names on first use: a command's help needs no ONNX Runtime."""
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.core.{_HOMES[name]}'), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
