"""The exported network: model files, ONNX Runtime sessions and execution providers."""
from __future__ import annotations

from instseg_ros.core.model_info import ModelError
from instseg_ros.core.network.network import Network

__all__ = ['ModelError', 'Network']
