"""From a training's configuration to its network."""
from __future__ import annotations

from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.detector.network import DetectorNetwork
from instseg_ros.learning.encoders import DETECTORS, build_encoder
from instseg_ros.learning.model import InstanceSegmentationNetwork


def build_network(config: TrainingConfig) -> InstanceSegmentationNetwork | DetectorNetwork:
    """Return the network of a configuration, with random weights."""
    if config.model.encoder in DETECTORS:
        own = config.model.semantic_encoder
        return DetectorNetwork(
            encoder=build_encoder(config.model.encoder), class_names=config.data.classes,
            thing_ids=config.data.thing_ids, embedding_size=config.model.embedding_size,
            output_stride=config.model.output_stride,
            widths={16: config.model.width_16, 8: config.model.width_8, 4: config.model.width_4},
            residual_width=config.model.residual_width,
            semantic_encoder=build_encoder(own) if own else None,
            semantic_classes=config.model.semantic_classes,
            background_width=config.model.background_width,
            assignment_width=config.model.assignment_width,
            evidence=(config.model.evidence_gain, config.model.evidence_loss),
            dropout=config.model.dropout)
    return InstanceSegmentationNetwork(
        encoder=build_encoder(config.model.encoder), classes=len(config.data.classes),
        embedding_size=config.model.embedding_size, widths=config.model.widths,
        dropout=config.model.dropout, position=config.model.position)
