"""Changes to a network before its export that leave its outputs as they are, and save time."""
from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from instseg_ros.learning.decoders import Decoder
from instseg_ros.learning.detector.assignment import AssignmentDecoder
from instseg_ros.learning.detector.semantics import DetectorSemanticDecoder
from instseg_ros.learning.encoders.nanodet_plus import ShuffleNetV2

BLOCK = 16
"""ONNX Runtime keeps maps in blocks of so many channels on CPUs with AVX-512, and of 8 on others.
Where channels don't fill them, some operators need maps in another layout, and copies of them."""


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every batch normalisation, in place, into the convolution that is defined before it.

    The exporter folds most, but not all; the others cost time, most of all in integers.
    """
    before, convolution = '', None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(convolution, nn.Conv2d):
            setattr(module, before, fuse_conv_bn_eval(convolution, child))
            setattr(module, name, nn.Identity())
        fold_batch_norms(child)
        before, convolution = name, child


def fill_up_channels(module: nn.Module) -> None:
    """Add channels of zeros, in place, where they save copies of large maps.

    Batch normalisation must be folded already. Only the convolutions that write and read such a
    map change; `instseg_ros.learning.detector.model_weights` leaves the zeros out again.
    """
    parts = list(module.modules())
    for part in parts:
        if isinstance(part, Decoder):
            for stride, skip in part.skips.items():
                more = -skip.out_channels % BLOCK
                _widen(skip, outputs=more)
                _widen(part.joins[stride][0], both=more)
                _widen(part.joins[stride][1], inputs=more)
    # Decoders on the detector's features read the maps of its first convolution, too.
    if not any(isinstance(part, DetectorSemanticDecoder) for part in parts):
        for part in parts:
            if isinstance(part, ShuffleNetV2):
                _fill_up_first(part)
            elif isinstance(part, AssignmentDecoder):
                _widen(part.from_4, inputs=-part.from_4.in_channels % BLOCK)


def _fill_up_first(backbone: ShuffleNetV2) -> None:
    first = backbone.conv1[0]
    more = -first.out_channels % BLOCK
    _widen(first, outputs=more)
    block = backbone.stage2[0]
    _widen(block.branch1[0], both=more)
    _widen(block.branch1[2], inputs=more)
    _widen(block.branch2[0], inputs=more)


def _widen(convolution: nn.Conv2d, inputs: int = 0, outputs: int = 0, both: int = 0) -> None:
    """Add inputs or outputs to a convolution; `both` to a depthwise one."""
    weight, bias = convolution.weight.data, convolution.bias
    filled = weight.new_zeros(len(weight) + outputs + both, weight.shape[1] + inputs,
                              *weight.shape[2:])
    filled[:weight.shape[0], :weight.shape[1]] = weight
    convolution.weight = nn.Parameter(filled)
    if bias is not None:
        convolution.bias = nn.Parameter(torch.cat([bias.data, bias.new_zeros(outputs + both)]))
    convolution.out_channels += outputs + both
    convolution.in_channels += inputs + both
    convolution.groups += both
