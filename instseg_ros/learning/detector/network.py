"""The network that starts from a detector: one encoder, its heads, three decoders."""
from __future__ import annotations

import logging
from pathlib import Path
from typing import Mapping, Sequence

import torch
from torch import Tensor, nn

from instseg_ros.learning.decoders import SemanticDecoder
from instseg_ros.learning.detector.assignment import ASSIGNMENT_STRIDE, AssignmentDecoder
from instseg_ros.learning.detector.decoders import ResidualDecoder, at_pixels
from instseg_ros.learning.detector.evidence import BoxEvidence, strongest_boxes
from instseg_ros.learning.detector.heads import (
    BINS,
    SIDES,
    STRIDES,
    Detections,
    DetectorHeads,
    load_detector,
)
from instseg_ros.learning.detector.model_weights import (
    NEW_SCORE_LOGIT,
    PREFIX,
    Rows,
    load_folded,
    read_weights,
)
from instseg_ros.learning.detector.modes import embed_boxes, seek_modes
from instseg_ros.learning.detector.semantics import (
    SEMANTIC_STRIDE,
    BackgroundDecoder,
    DetectorSemanticDecoder,
    keep_background,
    to_output_stride,
)
from instseg_ros.learning.encoders import Encoder
from instseg_ros.learning.model import Prediction

logger = logging.getLogger(__name__)

BOX = 4
"""Length of the part of an embedding that is the predicted box."""

RESIDUALS = {'center', 'embedding', 'assignment'}
"""Parts that add to the detector's outputs, and may start from nothing."""

OPTIONAL = {'assignment'}
"""Parts of a model file that a network may do without: all others work as before."""


class DetectorNetwork(nn.Module):
    """Network whose center and embedding decoders start from a detector's class scores and boxes.

    Before any training, a pixel's center logit is the detector's logit of the pixel's class, and
    its embedding the box that the detector predicts there (`modes.embed_boxes`). Decoders add a
    learned residual to both, 0 at first.

    Parameters
    ----------
    encoder : Encoder
        One with the strides of `heads.STRIDES`.
    class_names : sequence of str
    thing_ids : sequence of int
        Classes with instances; the detector must know them by their names.
    embedding_size : int
        Length of a pixel's embedding, at least 4.
    output_stride : int
    residual_width : int
        Channels of the decoders that add to the detector's centers and boxes; 0: there are none.
    semantic_encoder : Encoder, optional
        An encoder of its own for the classes; without it, they share the detector's.
    semantic_classes : int
        So many of the first classes are known to the semantic encoder's decoder; the others are
        parts of its background, which a `BackgroundDecoder` divides. 0: all.
    background_width : int
        Channels of that decoder.
    assignment_width : int
        Channels of the decoder that corrects which center a pixel belongs to; 0: there is none.
    widths : dict of int to int
        Stride and channels of the semantic decoder's levels, down to stride 4.
    evidence : (float, float)
        Gain and loss of `BoxEvidence`, to start with.
    dropout : float
    """

    def __init__(self, *, encoder: Encoder, class_names: Sequence[str], thing_ids: Sequence[int],
                 embedding_size: int, output_stride: int, residual_width: int,
                 semantic_encoder: Encoder | None, widths: Mapping[int, int],
                 evidence: tuple[float, float], semantic_classes: int = 0,
                 background_width: int = 96, assignment_width: int = 0,
                 dropout: float = 0.0) -> None:
        super().__init__()
        if embedding_size < BOX or (embedding_size > BOX and not residual_width):
            raise ValueError(f'model.embedding_size: expected {BOX} for the predicted box, or '
                             f'more with model.residual_width, got {embedding_size}')
        if assignment_width and (embedding_size > BOX or output_stride != ASSIGNMENT_STRIDE):
            raise ValueError('model.assignment_width: only with model.embedding_size '
                             f'{BOX} and model.output_stride {ASSIGNMENT_STRIDE}, got '
                             f'{embedding_size} and {output_stride}')
        if not thing_ids:
            raise ValueError('data.stuff: expected at least one other class, as the network '
                             f'starts from a detector, got all: {", ".join(class_names)}')
        if semantic_classes > len(class_names):
            raise ValueError('model.semantic_classes: expected at most the number of classes, '
                             f'{len(class_names)}, got {semantic_classes}')
        self.encoder = encoder
        self.output_stride = output_stride
        self.size_multiple = 32
        self.thing_ids, self.thing_names = tuple(thing_ids), [class_names[k] for k in thing_ids]
        self.embedding_size = embedding_size
        channels, classes = encoder.channels, len(class_names)
        self.heads = DetectorHeads(channels[STRIDES[0]], len(self.thing_ids))
        self.semantic_encoder = semantic_encoder
        self.background: BackgroundDecoder | None = None
        if semantic_encoder is None:
            self.semantic = DetectorSemanticDecoder(
                channels=channels, detector_classes=len(self.thing_ids), width=widths[16],
                fine_width=widths[4], classes=classes, dropout=dropout)
        else:
            self.semantic = SemanticDecoder(channels=semantic_encoder.channels, widths=widths,
                                            classes=semantic_classes or classes,
                                            dropout=dropout)
            if semantic_classes:
                self.background = BackgroundDecoder(
                    channels=channels, semantic_channels=semantic_encoder.channels,
                    detector_classes=len(self.thing_ids), known=semantic_classes,
                    parts=1 + classes - semantic_classes, width=background_width,
                    dropout=dropout)
            self.register_buffer('semantic_mean', _color(semantic_encoder.mean))
            self.register_buffer('semantic_std', _color(semantic_encoder.std))
        self.evidence = BoxEvidence(self.thing_ids, classes, SEMANTIC_STRIDE, *evidence)
        inputs = channels[STRIDES[0]] + len(self.thing_ids)
        self.center: nn.Module | None = None
        self.embedding: nn.Module | None = None
        if residual_width:
            self.center = ResidualDecoder(inputs, residual_width, 1, output_stride)
            self.embedding = ResidualDecoder(inputs, residual_width, embedding_size, output_stride)
        self.assignment = (AssignmentDecoder(channels, classes, assignment_width, dropout)
                           if assignment_width else None)
        self.register_buffer('mean', _color(encoder.mean))
        self.register_buffer('std', _color(encoder.std))

    @property
    def pretrained(self) -> tuple[nn.Module, ...]:
        """The parts that start from trained weights."""
        return self.encoder, self.heads, *filter(None, [self.semantic_encoder])

    def forward(self, image: Tensor) -> Prediction:
        """Predict from RGB images (N, 3, H, W) with values in [0, 255]."""
        features = self.encoder((image - self.mean) / self.std)
        detections = self.heads(features)
        semantic = to_output_stride(self.class_logits(image, features, detections),
                                    self.output_stride)
        class_ids = semantic.argmax(1)
        logits, boxes = at_pixels(detections, class_ids, self.thing_ids, self.output_stride)
        embedding = embed_boxes(boxes)
        if self.center is not None and self.embedding is not None:
            size = tuple(class_ids.shape[1:])
            finest = torch.cat([features[STRIDES[0]], detections[STRIDES[0]].classes.sigmoid()], 1)
            logits = logits + self.center(finest, size)[:, 0]
            # A len() would fix the number of images in the exported graph.
            free = embedding.new_zeros(embedding.shape[0], self.embedding_size - BOX, *size)
            embedding = torch.cat([embedding, free], 1) + self.embedding(finest, size)
        corrected = (None if self.assignment is None else
                     self.assignment(features, semantic, logits, embedding))
        return Prediction(semantic, logits, embedding, detections, corrected)

    def finish_embedding(self, prediction: Prediction, peaks: Tensor) -> Tensor:
        """Return the embedding as it is exported, given where centers may be (N, H, W)."""
        class_ids = prediction.semantic.argmax(1)
        is_thing = self.evidence.class_of.sum(0)[class_ids] > 0
        return seek_modes(class_ids, prediction.center, peaks & is_thing, prediction.embedding,
                          prediction.semantic.shape[1], self.output_stride,
                          prediction.corrected)

    def load_initial_weights(self, path: str | Path, class_names: Sequence[str]) -> list[str]:
        """Load encoder and heads of a detector, or all that a model file has (.onnx).

        Returns
        -------
        list of str
            Names of the classes that the file has.

        Raises
        ------
        ValueError
            It is no such file, or one of another network.
        """
        if Path(path).suffix == '.onnx':
            return self._load_model_file(path, class_names)
        load_detector(self.encoder, self.heads, path, self.thing_names)
        return self.thing_names

    def _load_model_file(self, path: str | Path, class_names: Sequence[str]) -> list[str]:
        info, tensors = read_weights(path)
        parts = dict(self.named_children())
        held = {name.split('.')[1] for name in tensors
                if name.startswith(PREFIX) and name.count('.') > 1}
        takes_scores = (self.semantic_encoder is None or self.background is not None
                        or (RESIDUALS - OPTIONAL) & held & set(parts))
        if takes_scores and tuple(class_names) != info.class_names:
            raise ValueError(f'{path}: expected the classes {", ".join(class_names)}, as '
                             'decoders of this network take class scores as inputs, got '
                             f'{", ".join(info.class_names)}')
        things = [info.class_names[k] for k in info.thing_ids], self.thing_names
        rows: dict[str, Rows] = {'heads': {
            f'{stride}.output': ([*things[0], *range(SIDES * BINS)],
                                 [*things[1], *range(SIDES * BINS)]) for stride in STRIDES}}
        if self.background is None:
            rows['semantic'] = dict.fromkeys(self.semantic.class_layers,
                                             (info.class_names, class_names))
        columns: dict[str, Rows] = {}
        if self.assignment is not None:
            columns['assignment'] = {'from_pixels': (
                self.assignment.pixel_inputs(info.class_names),
                self.assignment.pixel_inputs(class_names))}
        try:
            unknown = held - set(parts) - OPTIONAL
            if unknown:
                raise ValueError('expected a model of the same network, got one with the part '
                                 f'"{min(unknown)}", too')
            for part in sorted(held - set(parts)):
                logger.warning('%s: its part "%s" is left out, as model.%s_width is 0',
                               path, part, part)
            for part, module in parts.items():
                if part in held or part not in RESIDUALS:
                    load_folded(module, tensors, f'{PREFIX}{part}.', rows.get(part, {}),
                                NEW_SCORE_LOGIT if part == 'heads' else 0.0,
                                columns.get(part, {}))
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        return [name for name in class_names if name in info.class_names]

    def class_logits(self, image: Tensor, features: Mapping[int, Tensor],
                     detections: Mapping[int, Detections]) -> Tensor:
        """Return the class logits (N, C, H / 4, W / 4)."""
        with torch.no_grad():
            boxes = strongest_boxes(detections)
        if self.semantic_encoder is None:
            return self.evidence(self.semantic(features, detections), boxes)
        own = self.semantic_encoder((image - self.semantic_mean) / self.semantic_std)
        known = self.semantic(own)
        if self.background is None:
            return self.evidence(known, boxes)
        logits = self.evidence(self.background(features, own, detections, known), boxes)
        return keep_background(logits, known[:, :1], known.shape[1])


def _color(values: Sequence[float]) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
