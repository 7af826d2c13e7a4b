"""The exported network: model files, ONNX Runtime sessions and execution providers."""
from __future__ import annotations

from instseg_ros.core.network.network import Network
from instseg_ros.core.network.providers import ModelError

__all__ = ['ModelError', 'Network']
