"""The weights in a model file of `instseg export`, to start a network from."""
from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Hashable, Mapping, Sequence

import onnx
import torch
from torch import Tensor, nn

from instseg_ros.core.network.model_file import read_model_file
from instseg_ros.core.types import ModelInfo
from instseg_ros.learning.encoders.nanodet_plus import BgrConv2d

PREFIX = 'network.'
"""Before the names of the network's parameters in a model file."""

KERNEL = '.kernel'
"""After the name of a convolution: its kernel as the graph applies it."""

NEW_SCORE_LOGIT = -4.6
"""Logit of the detector's score for a class that it doesn't know, 0.01: as in Lin et al., "Focal
Loss for Dense Object Detection", ICCV 2017, section 4.1."""

Rows = Mapping[str, tuple[Sequence[Hashable], Sequence[Hashable]]]
"""By the name of a convolution: what each of its outputs is for, in the file and in the network.
Outputs are matched by it."""


def read_weights(path: str | Path) -> tuple[ModelInfo, dict[str, Tensor]]:
    """Return the description of a model file, and its weights by the names of the parameters.

    Batch normalisation is folded into the convolution before it, which then has a bias.

    Raises
    ------
    ValueError
        The file can't be used, or was not exported with `--precision fp32`.
    """
    file = read_model_file(Path(path))
    info = ModelInfo.from_metadata(file.metadata)
    graph = onnx.load_from_string(file.data).graph
    tensors = {item.name: torch.from_numpy(onnx.numpy_helper.to_array(item).copy())
               for item in graph.initializer}
    for node in graph.node:
        if node.op_type == 'Conv' and len(node.input) == 3 and node.input[1] in tensors:
            # The exporter gives a kernel another name where it has changed it.
            tensors[node.input[2].replace('.bias', KERNEL)] = tensors[node.input[1]]
    first = next((name for name, tensor in tensors.items()
                  if name.startswith(PREFIX) and tensor.dtype != torch.float32), None)
    if first is not None or not any(name.startswith(PREFIX) for name in tensors):
        raise ValueError(f'{path}: expected a model that "instseg export" wrote with '
                         '--precision fp32, to start a training from')
    return info, tensors


def load_folded(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str,
                rows: Rows = MappingProxyType({}), new_bias: float = 0.0,
                columns: Rows = MappingProxyType({})) -> None:
    """Load convolutions into which batch normalisation was folded.

    A normalisation becomes the identity, with the bias of the convolution before it. Training must
    keep its statistics (`is_folded`): those of a batch would undo that.

    Parameters
    ----------
    module : nn.Module
    tensors : dict of str to Tensor
    prefix : str
        Before the names of the module's parameters in `tensors`.
    rows : dict
        See `Rows`; convolutions without an entry have the same outputs in both.
    new_bias : float
        Bias of outputs that the file doesn't have; their kernels are 0.
    columns : dict
        As `rows`, what each input of a convolution is; kernels of those that the file doesn't have
        are 0.

    Raises
    ------
    ValueError
        A tensor is missing or has another shape.
    """
    before = ''
    with torch.no_grad():
        for name, child in module.named_modules():
            if isinstance(child, nn.Conv2d):
                before = prefix + name
                match = rows.get(name)
                weight = (_taken(tensors, before + KERNEL).flip(1) if isinstance(child, BgrConv2d)
                          else _taken(tensors, f'{before}.weight'))
                if name in columns:
                    weight = _with_columns(weight, *columns[name], f'{before}.weight')
                _copy(child.weight, weight, match, 0.0, f'{before}.weight')
                if child.bias is not None:
                    _copy(child.bias, _taken(tensors, f'{before}.bias'), match, new_bias,
                          f'{before}.bias')
            elif isinstance(child, nn.BatchNorm2d):
                child.weight.fill_(1.0)
                _copy(child.bias, _taken(tensors, f'{before}.bias'), None, 0.0, f'{before}.bias')
                child.running_mean.zero_()
                child.running_var.fill_(_identity_variance(child))


def is_folded(layer: nn.Module) -> bool:
    """Return whether a layer is a normalisation that `load_folded` has made the identity.

    The statistics themselves are the mark, as they are in every checkpoint. Those of a new layer
    differ: its variance is 1.
    """
    return (isinstance(layer, (nn.BatchNorm2d, nn.SyncBatchNorm))
            and not bool(layer.running_mean.any())
            and bool((layer.running_var == _identity_variance(layer)).all()))


def _identity_variance(layer: nn.BatchNorm2d | nn.SyncBatchNorm) -> float:
    return 1.0 - layer.eps


def _taken(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise ValueError(f'expected a model of the same network, {name} is missing')
    return tensors[name]


def _copy(parameter: Tensor, tensor: Tensor,
          match: tuple[Sequence[Hashable], Sequence[Hashable]] | None, new: float,
          name: str) -> None:
    """Copy a tensor, output by output where there is a match for them."""
    if match is None:
        tensor = _without_filling(tensor, parameter.shape)
    theirs, ours = match or (range(len(tensor)), range(len(parameter)))
    if (tensor.shape[1:] != parameter.shape[1:] or len(theirs) != len(tensor)
            or (match is None and len(tensor) != len(parameter))):
        raise ValueError(f'expected a model of the same network, with {name} of shape '
                         f'{tuple(parameter.shape)}, got {tuple(tensor.shape)}')
    place = {label: row for row, label in enumerate(theirs)}
    for row, label in enumerate(ours):
        if label in place:
            parameter[row] = tensor[place[label]]
        else:
            parameter[row] = new


def _with_columns(tensor: Tensor, theirs: Sequence[Hashable], ours: Sequence[Hashable], name: str
                  ) -> Tensor:
    """Return a kernel for other inputs."""
    tensor = _without_filling(tensor, (len(tensor), len(theirs), *tensor.shape[2:]))
    if tensor.shape[1] != len(theirs):
        raise ValueError(f'expected a model of the same network, with {name} for {len(theirs)} '
                         f'inputs, got {tensor.shape[1]}')
    place = {label: column for column, label in enumerate(theirs)}
    kernel = tensor.new_zeros(len(tensor), len(ours), *tensor.shape[2:])
    for column, label in enumerate(ours):
        if label in place:
            kernel[:, column] = tensor[:, place[label]]
    return kernel


def _without_filling(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Leave out what is beyond a shape, if it is nothing but zeros: the exporter added them."""
    kept = tensor[tuple(slice(count) for count in shape)]
    return kept if kept.count_nonzero() == tensor.count_nonzero() else tensor
