r"""Average the weights of trainings that started from the same checkpoint.

Between two trainings from the same start, or between a training and its start, quality on unseen
images is often better than at either end (Wortsman et al., "Model soups", ICML 2022, and "Robust
fine-tuning of zero-shot models", CVPR 2022). For example half of the start, and a quarter of each
of two trainings:

  python scripts/average_checkpoints.py build/street_start.ckpt runs/classes_1/last.ckpt \
      runs/classes_2/last.ckpt --shares 0.5 0.25 0.25 --out build/street_classes.ckpt

The result can be exported, and a training can start from it; it has the configuration and the
number of steps of the last checkpoint.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from instseg_ros.files import replacing
from instseg_ros.learning.checkpoints import load_checkpoint


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoints', nargs='+', type=Path)
    parser.add_argument('--shares', nargs='+', type=float, metavar='SHARE',
                        help='of each checkpoint, 1 in all (default: all the same)')
    parser.add_argument('--out', type=Path, required=True, help='checkpoint to write')
    args = parser.parse_args()
    count = len(args.checkpoints)
    shares = args.shares or [1 / count] * count
    if len(shares) != count or abs(sum(shares) - 1) > 1e-6:
        parser.error(f'--shares: expected {count} numbers with a sum of 1, got '
                     f'{" ".join(map(str, shares))}')
    states = []
    for path in args.checkpoints:
        try:
            network, config, metadata = load_checkpoint(path)
        except ValueError as error:
            parser.error(str(error))
        states.append(network.state_dict())
        ours, theirs = ({name: tuple(tensor.shape) for name, tensor in state.items()}
                        for state in (states[0], states[-1]))
        different = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        if different:
            name = different[0]
            parser.error(f'{path}: another network than {args.checkpoints[0]}: {len(different)} '
                         f'tensors differ in shape, {name} is {theirs.get(name, "missing")} '
                         f'instead of {ours.get(name, "missing")}')
    mean = {f'network.{name}': average([state[name] for state in states], shares)
            for name in states[0]}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(args.out) as temporary:
        torch.save({'state_dict': mean, 'epoch': metadata.epochs - 1,
                    'global_step': metadata.steps,
                    'hyper_parameters': {'config': config.to_dict()}}, temporary)
    print(f'checkpoint: {args.out}')


def average(tensors: list[Tensor], shares: list[float]) -> Tensor:
    """Return the weighted mean; of counters, the last one."""
    if not tensors[0].is_floating_point():
        return tensors[-1]
    return sum(share * tensor for share, tensor in zip(shares, tensors))


if __name__ == '__main__':
    main()
