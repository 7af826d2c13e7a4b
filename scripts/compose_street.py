r"""Put the street model together from a detector and the semantic branch of an older model.

Nothing is trained. The weights of the semantic branch are read from an ONNX file that "instseg
export" wrote, whose tensors have the names of the network's parameters. Of this repository's
history, models/street.onnx at commit 313812e is that file:

  git show 313812e:models/street.onnx > build/street_2026.onnx
  python scripts/compose_street.py --semantic build/street_2026.onnx \
      --class-weights config/training/street.yaml \
      --config config/training/street_composed.yaml --out build/street_composed.ckpt

Class weights in the loss of the semantic branch made rare classes more probable than they are.
With --class-weights, the logarithms of these weights are taken away from the class logits.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.data_module import TrainingData
from instseg_ros.learning.detector.model_weights import load_folded, read_weights
from instseg_ros.learning.losses import class_weights
from instseg_ros.learning.model import load_initial_weights
from instseg_ros.learning.module import TrainingModule


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', type=Path, required=True, help='what network it is')
    parser.add_argument('--semantic', type=Path, required=True,
                        help='ONNX file with the semantic branch')
    parser.add_argument('--class-weights', type=Path, metavar='CONFIG',
                        help='training configuration of the semantic branch, whose class weights '
                             'are taken back')
    parser.add_argument('--detector', type=Path,
                        help="weights of the detector (default: the configuration's)")
    parser.add_argument('--out', type=Path, required=True, help='checkpoint to write')
    args = parser.parse_args()
    config = TrainingConfig.from_yaml(args.config)
    torch.manual_seed(config.optimization.seed)  # for the parts that are to be trained
    module = TrainingModule(config)
    network = module.network
    load_initial_weights(network, args.detector or config.model.weights, config.data.classes)
    _, tensors = read_weights(args.semantic)
    load_folded(network.semantic_encoder, tensors, 'network.encoder.')
    load_folded(network.semantic, tensors, 'network.semantic.')
    if args.class_weights:
        weighted = TrainingConfig.from_yaml(args.class_weights)
        known = config.data.classes[:len(network.semantic.coarse.bias)]
        if weighted.data.classes != known:
            parser.error(f'{args.class_weights}: expected the classes {", ".join(known)}, got '
                         f'{", ".join(weighted.data.classes)}')
        with torch.no_grad():
            network.semantic.coarse.bias -= log_class_weights(weighted)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({'state_dict': module.state_dict(), 'epoch': -1, 'global_step': 0,
                'hyper_parameters': {'config': config.to_dict()}}, args.out)
    print(f'checkpoint: {args.out}')


def log_class_weights(config: TrainingConfig) -> Tensor:
    """Return the logarithms (C,) of the class weights in the loss of a training."""
    frequencies = TrainingData(config).frequencies
    return class_weights(frequencies, config.loss.class_weight_power).log()


if __name__ == '__main__':
    main()
