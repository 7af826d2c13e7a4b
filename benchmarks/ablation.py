"""Train, export and evaluate variations of a configuration, and write a table of their metrics.

The variations are a YAML file: for each name, the options that differ from the base. Options of
training (augmentation.paste_probability: 0) stand beside options of evaluation
(refinement.method: nearest); variations that differ only in the latter share their trainings.
`weights` says which ones are exported:

  average   the moving average of the training's weights (default)
  last      the weights after the last step of the same training
  initial   those that the training starts from, with uncalibrated confidences

Everything is done by the commands train, export and evaluate. Finished results stay in the output
folder and are not made again, and an interrupted training is resumed: call it again with the same
arguments. The table is rewritten after every result: table.md (mean and standard deviation over
the seeds) and table.json (all metrics).

For example:

  python benchmarks/ablation.py --config config/training/street.yaml --out runs/ablation \
      --images val/images --annotations val/instances.json
  python benchmarks/ablation.py --config config/training/street.yaml --out runs/short \
      --images val/images --annotations val/instances.json \
      --seeds 1 2 3 --set optimization.epochs=8 --only base 'no copy-paste'
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Mapping

import numpy as np
import yaml

from instseg_ros.commands.options import CONFIGS, flag_of
from instseg_ros.commands.train import parse_override
from instseg_ros.core.config import options_of
from instseg_ros.files import replacing
from instseg_ros.learning.config import TrainingConfig

ROOT = Path(__file__).resolve().parents[1]
METRICS = {'mIoU': ('semantic', 'miou'), 'AP': ('instance', 'ap'), 'AP50': ('instance', 'ap50'),
           'PQ': ('panoptic', 'pq'), 'PQ things': ('panoptic', 'pq_things'),
           'boundary F': ('boundary', 'panoptic', 'f')}
"""Columns of the table, and where `instseg evaluate --json` has them."""

WEIGHTS = ('average', 'last', 'initial')
FLAGS = {f'{part}.{option.name}': flag_of(part, option)
         for part, config in CONFIGS.items() for option in options_of(config)}
"""The flag of each option of evaluation."""


def main() -> int:
    """Fill the output folder; the exit code is 1 where a step of a variation failed."""
    args = parse_arguments()
    base = with_options(TrainingConfig.from_yaml(args.config).to_dict(),
                        dict(args.set))
    variations = read_variations(args.variations, base)
    if set(args.only or ()) - set(variations):
        raise SystemExit(f'--only: expected some of {", ".join(variations)}')
    keep_or_compare(args.out / 'base.yaml', {
        'training': base, 'images': str(args.images), 'annotations': str(args.annotations)})
    results: dict[str, dict[int, Any]] = defaultdict(dict)
    failures = []
    for seed in args.seeds:  # the outer loop: a table of all variations comes early
        for name in args.only or variations:
            try:
                results[name][seed] = result(args, base, variations[name], seed)
            except subprocess.CalledProcessError as error:
                failures.append(f'{name}, seed {seed}: exit code {error.returncode} of '
                                f'{" ".join(error.cmd)}')
                continue
            write_table(args.out, results)
    print((args.out / 'table.md').read_text() if results else 'no result')
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', type=Path, required=True, help='training file of the base')
    parser.add_argument('--variations', type=Path, default=ROOT / 'benchmarks' / 'ablation.yaml',
                        help='YAML file of the variations (default: benchmarks/ablation.yaml)')
    parser.add_argument('--out', type=Path, required=True, help='folder of all that is made')
    parser.add_argument('--seeds', type=int, nargs='+', default=[1])
    parser.add_argument('--set', action='append', default=[], metavar='SECTION.KEY=VALUE',
                        type=parse_override,
                        help='an option of training for all variations; repeatable')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='only these variations')
    parser.add_argument('--images', type=Path, required=True, metavar='DIR',
                        help='images to evaluate on')
    parser.add_argument('--annotations', type=Path, required=True, metavar='FILE',
                        help='their COCO file (JSON)')
    return parser.parse_args()


def read_variations(path: Path, base: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Read the variations and check all of their options before the first training."""
    variations = {name: dict(options or {})
                  for name, options in yaml.safe_load(path.read_text()).items()}
    for name, options in variations.items():
        try:
            if options.get('weights', WEIGHTS[0]) not in WEIGHTS:
                raise ValueError(f'weights: expected one of {", ".join(WEIGHTS)}, got '
                                 f'{options["weights"]!r}')
            with_options(base, training_options(options))
        except ValueError as error:
            raise SystemExit(f'{path}: variation "{name}": {error}') from error
    return variations


def training_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a variation that change the training."""
    return {key: value for key, value in options.items() if key not in FLAGS and key != 'weights'}


def with_options(config: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked training configuration in which some options are others."""
    sections = {name: dict(section) for name, section in config.items()}
    for key, value in options.items():
        section, _, name = key.partition('.')
        sections.setdefault(section, {})[name] = value
    return json.loads(json.dumps(TrainingConfig.from_dict(sections).to_dict()))


def keep_or_compare(path: Path, values: Mapping[str, Any]) -> None:
    """Keep what all results in a folder depend on; refuse to mix them with others."""
    if path.exists() and yaml.safe_load(path.read_text()) != values:
        raise SystemExit(f'{path}: the results in this folder were made with another '
                         'configuration or other labels; choose another folder')
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(values, sort_keys=False))


def result(args: argparse.Namespace, base: Mapping[str, Any], options: Mapping[str, Any],
           seed: int) -> dict[str, Any]:
    """Return the report of a variation; train, export and evaluate what is not there yet."""
    weights, changes = options.get('weights', WEIGHTS[0]), training_options(options)
    config = with_options(base, {**changes, 'optimization.seed': seed})
    folder = args.out / file_name(changes or {'base': ''}) / f'seed{seed}'
    flags = {FLAGS[key]: value for key, value in options.items() if key in FLAGS}
    report = folder / f'{file_name({weights: "", **flags})}.json'
    if not report.exists():
        model = folder / f'{weights}.onnx'
        if not model.exists():
            checkpoint = checkpoint_of(config, folder, weights)
            uncalibrated = ['--no-calibration'] if weights == 'initial' else []
            instseg('export', checkpoint, '--out', model, *uncalibrated)
        instseg('evaluate', '--model', model, '--images', args.images, '--annotations',
                args.annotations, '--json', report, '--compare-thresholds',
                *(item for flag in flags.items() for item in flag))
    return json.loads(report.read_text())


def file_name(options: Mapping[str, Any]) -> str:
    """Return a name for files made with these options."""
    text = ' '.join(f'{key}={value}' if value != '' else key for key, value in options.items())
    return re.sub(r'[^\w.=-]+', '_', text)


def checkpoint_of(config: Mapping[str, Any], folder: Path, weights: str) -> Path:
    """Return a checkpoint with the wanted weights, trained if need be."""
    import torch

    path = folder / f'{weights}.ckpt'
    if path.exists():
        return path
    if weights == 'initial':
        from instseg_ros.datasets.opening import open_training_data
        from instseg_ros.learning.initial_weights import load_weights
        from instseg_ros.learning.module import TrainingModule

        parsed = TrainingConfig.from_dict(config)
        # The data may say itself which classes and things there are.
        parsed = dataclasses.replace(parsed, data=open_training_data(parsed.data)[1])
        torch.manual_seed(parsed.optimization.seed)
        module = TrainingModule(parsed)
        if parsed.model.weights:
            load_weights(module.network, parsed)
        content = {'state_dict': module.state_dict(), 'epoch': -1, 'global_step': 0,
                   'hyper_parameters': {'config': parsed.to_dict()}}
    else:
        content = torch.load(trained(config, folder / 'training'), map_location='cpu',
                             weights_only=True)
        if weights == 'last':
            content['state_dict'] = content['current_model_state']
    with replacing(path) as temporary:
        torch.save(content, temporary)
    return path


def trained(config: Mapping[str, Any], folder: Path) -> Path:
    """Return the checkpoint of a whole training; go on with one that was interrupted."""
    unfinished = folder.with_name(f'unfinished {folder.name}')
    if not folder.exists():
        settings = unfinished / 'training.yaml'
        with replacing(settings) as temporary:
            temporary.write_text(yaml.safe_dump(config, sort_keys=False))
        begun = (unfinished / 'last.ckpt').exists()
        instseg('train', '--config', settings, '--out', unfinished, *['--resume'] * begun)
        unfinished.rename(folder)
    return folder / 'last.ckpt'


def instseg(*arguments: object) -> None:
    """Run a command of `instseg`."""
    command = [sys.executable, '-m', 'instseg_ros.cli', *map(str, arguments)]
    print('instseg', *command[3:], flush=True)
    subprocess.run(command, check=True)


def write_table(folder: Path, results: Mapping[str, Mapping[int, Any]]) -> None:
    """Write what is known so far."""
    figures = {name: {figure: [look_up(report, path) for report in reports.values()]
                      for figure, path in METRICS.items()} for name, reports in results.items()}
    lines = [f'| | seeds | {" | ".join(METRICS)} |', f'|{" --- |" * (len(METRICS) + 2)}']
    for name, row in figures.items():
        cells = [mean_and_spread(values) for values in row.values()]
        lines.append(f'| {name} | {len(results[name])} | {" | ".join(cells)} |')
    with replacing(folder / 'table.md') as temporary:
        temporary.write_text('\n'.join(lines) + '\n')
    with replacing(folder / 'table.json') as temporary:
        temporary.write_text(json.dumps({
            name: {'seeds': list(results[name]), **row} for name, row in figures.items()},
            indent=2) + '\n')


def look_up(report: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    """Return a figure of a report; None where it doesn't exist."""
    for key in path:
        report = report[key]
    return report


def mean_and_spread(values: list[float | None]) -> str:
    """Return mean and standard deviation of the seeds."""
    known = [value for value in values if value is not None]
    if not known:
        return '-'
    mean = f'{np.mean(known):.3f}'
    return mean if len(known) == 1 else f'{mean} ± {np.std(known, ddof=1):.3f}'


if __name__ == '__main__':
    raise SystemExit(main())
