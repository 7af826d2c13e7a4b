"""Refinement: from label maps on the output grid to label maps of the camera image."""
from __future__ import annotations

from instseg_ros.core.refinement.confidence import confidence_of_classes
from instseg_ros.core.refinement.refine import refine

__all__ = ['confidence_of_classes', 'refine']
