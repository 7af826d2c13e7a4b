"""What all encoders have in common: their interface, weights from files, frozen stages."""
from __future__ import annotations

from pathlib import Path
from typing import Sequence

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

TENSOR_FILES = ('.safetensors', '.pth', '.pt')
"""Suffixes of files of named tensors."""


class Encoder(nn.Module):
    """Interface of all encoders. A subclass defines the attributes, `forward` and `stages`.

    Attributes
    ----------
    channels : dict of int to int
        Stride of each feature map that `forward` returns, and its number of channels. Stride 1 is
        the normalised image itself.
    mean, std : tuple of 3 floats
        Normalisation of RGB values in [0, 255]: (x - mean) / std.
    optional : tuple of str
        Beginnings and ends of the names of tensors that a file of weights may lack.
    ignored : tuple of str or None
        Beginnings of the names of tensors that a file may have beyond those of the encoder, as a
        classifier's; None: any.
    """

    channels: dict[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    optional: tuple[str, ...] = ()
    ignored: tuple[str, ...] | None = None

    def __init__(self) -> None:
        super().__init__()
        self._frozen: list[nn.Module] = []

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Return the feature maps of normalised images (N, 3, H, W), by stride."""
        raise TypeError(f'{type(self).__name__} has to define forward')

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """Return the parts of every stage, from the image on, as `freeze` counts them."""
        raise TypeError(f'{type(self).__name__} has to define stages')

    def freeze(self, count: int) -> None:
        """Exclude the first `count` stages from training, with their batch statistics.

        Raises
        ------
        ValueError
            The encoder has fewer stages.
        """
        stages = self.stages()
        if not 0 <= count <= len(stages):
            raise ValueError(f'model.frozen_stages: expected 0 to {len(stages)}, the stages of '
                             f'this encoder, got {count}')
        self._frozen = [part for stage in stages[:count] for part in stage]
        for part in self._frozen:
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Encoder:
        """Set the mode; frozen stages keep that of inference."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def load_weights(self, path: str | Path) -> dict[str, Tensor]:
        """Load initial weights and return the tensors of the file that are no part of it.

        Parameters
        ----------
        path : path
            A file of named tensors: `.safetensors`, or `.pth` / `.pt` as `torch.save` writes a
            state dict. Files with pickled code are refused, not executed.

        Raises
        ------
        ValueError
            The file can't be read, or holds the weights of another network.
        """
        tensors = read_tensors(path)
        own, name_of_this = self.state_dict(), type(self).__name__
        mine = {name: tensors.pop(name) for name in list(tensors) if name in own}
        missing = [name for name in own if name not in mine and not (
            name.startswith(self.optional) or name.endswith(self.optional))]
        if missing:
            raise ValueError(f'{path}: no weights of this {name_of_this}, {len(missing)} of its '
                             f'{len(own)} tensors are missing, the first is {missing[0]}')
        for name, tensor in mine.items():
            if tensor.shape != own[name].shape:
                raise ValueError(f'{path}: no weights of this {name_of_this}, expected {name} of '
                                 f'shape {tuple(own[name].shape)}, got {tuple(tensor.shape)}')
        foreign = [name for name in tensors
                   if self.ignored is not None and not name.startswith(self.ignored)]
        if foreign:
            raise ValueError(f'{path}: no weights of this {name_of_this}, it has no place for '
                             f'{len(foreign)} tensors, the first is {foreign[0]}; are they of '
                             'another depth?')
        self.load_state_dict(mine, strict=False)
        return tensors


class EncoderConv2d(nn.Conv2d):
    """Convolution that keeps the size, or halves an even one and lets the caller choose the phase.

    Parameters
    ----------
    late : bool
        At stride 2, output pixel i is centered on input pixel 2 i + 1 if true (TensorFlow's SAME
        padding: more at the bottom and right) and on 2 i if false (more at the top and left, or,
        which is the same for even sizes, PyTorch's usual symmetric padding); the ideal is in
        between.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1,
                 dilation: int = 1, groups: int = 1, late: bool = True, bias: bool = True) -> None:
        padding = 0 if stride == 2 else dilation * (kernel - 1) // 2
        super().__init__(inputs, outputs, kernel, stride, padding, dilation, groups, bias)
        reach = (kernel - 1) // 2
        # At the side that has less, a 1x1 convolution leaves a row out.
        self.stride_padding = (reach - 1, reach) * 2 if late else (reach, reach - 1) * 2

    def forward(self, x: Tensor, phases_apart: bool = False) -> Tensor:
        if self.stride == (2, 2):
            return super().forward(F.pad(x, self.stride_padding))
        if phases_apart:  # see `space_to_batch`
            return F.conv2d(x, self.weight, self.bias, padding=1, groups=self.groups)
        return super().forward(x)


def space_to_batch(x: Tensor) -> Tensor:
    """Make four images of every image (N, C, 2 h, 2 w): one of each phase of its pixels.

    A convolution with dilation 2 is one without dilation there; 1x1 convolutions are the same.
    """
    n, c, height, width = x.shape
    x = x.reshape(n, c, height // 2, 2, width // 2, 2).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(4 * n, c, height // 2, width // 2).contiguous(
        memory_format=torch.channels_last)


def batch_to_space(x: Tensor) -> Tensor:
    """Undo `space_to_batch`."""
    n, c, height, width = x.shape
    x = x.reshape(n // 4, 2, 2, c, height, width).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n // 4, c, 2 * height, 2 * width).contiguous(
        memory_format=torch.channels_last)


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a file of named tensors without executing anything in it.

    Raises
    ------
    ValueError
        The file is missing, of another kind, or holds anything else than named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f'{path}: no such file of weights')
    if path.suffix not in TENSOR_FILES:
        raise ValueError(f'{path}: expected weights as {", ".join(TENSOR_FILES)}')
    if path.suffix == '.safetensors':
        try:
            return load_file(str(path))
        except Exception as error:  # safetensors raises its own exception, no public class
            raise ValueError(f'{path}: not a safetensors file ({error})') from error
    try:
        tensors = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # whatever torch finds in a file that is none of its own
        raise ValueError(f'{path}: not a file of plain tensors; files with pickled code are not '
                         f'read ({str(error).splitlines()[0]})') from error
    if not isinstance(tensors, dict) or not all(
            isinstance(name, str) and isinstance(tensor, Tensor)
            for name, tensor in tensors.items()):
        raise ValueError(f'{path}: expected a state dict, which is names and tensors, got '
                         f'{type(tensors).__name__}')
    return dict(tensors)
