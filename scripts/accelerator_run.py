#!/usr/bin/env python3
"""Train, export, evaluate and time in one go, from an archive of `scripts/pack_training.py`.

Made for ten minutes on a machine with an accelerator and without network:

    python3 scripts/accelerator_run.py street.tar --out results --seconds 560 \
        --set optimization.workers=14 --set optimization.batch_size=64

or, to time models that are there already, without a training:

    python3 scripts/accelerator_run.py --model models/street.onnx --out results --seconds 200

Every step has its own process. If one fails or runs out of time, the next one runs all the same.
Results are written after each: `summary.json`, `log.txt`, models, and a checkpoint without the
optimizer's state. What the machine doesn't have (CUDA or TensorRT in ONNX Runtime) is left out and
named in the summary.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROVIDERS = {'CUDAExecutionProvider': 'cuda', 'TensorrtExecutionProvider': 'tensorrt'}
RESERVE = 0.45
"""Share of the time that is kept for what follows the training."""

THREADS = 4
"""Of the CPU, also beside an accelerator: the same number on every machine."""


class Run:
    """Runs commands one after the other within a time, and keeps their results.

    Parameters
    ----------
    out : Path
        Gets `summary.json` and `log.txt`.
    seconds : float
        For all commands together.
    environment : dict
        Of the commands.
    """

    def __init__(self, out: Path, seconds: float, environment: dict[str, str]) -> None:
        self.out = out
        self.deadline = time.monotonic() + seconds
        self.environment = environment
        self.summary: dict[str, Any] = {'steps': {}}

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.deadline - time.monotonic()

    def step(self, name: str, command: list[str], share: float = 1.0) -> bool:
        """Run a command in a share of the time that is left; return whether it succeeded."""
        start, limit = time.monotonic(), share * self.left()
        print(f'{name}: {" ".join(command)}', flush=True)
        with open(self.out / 'log.txt', 'a') as log:
            print(f'\n== {name}: {" ".join(command)}', file=log, flush=True)
            try:
                code: int | str = subprocess.run(
                    [sys.executable, *command], cwd=ROOT, env=self.environment, stdout=log,
                    stderr=subprocess.STDOUT, timeout=max(limit, 1)).returncode
            except subprocess.TimeoutExpired:
                code = f'stopped after {limit:.0f} s'
        self.summary['steps'][name] = {'result': code,
                                       'seconds': round(time.monotonic() - start, 1)}
        print(f'{name}: {code}, {self.left():.0f} s left', flush=True)
        self.save()
        return code == 0

    def add(self, name: str, path: Path) -> None:
        """Put the content of a JSON file into the summary."""
        if path.is_file():
            self.summary[name] = json.loads(path.read_text())
            self.save()

    def code(self) -> int:
        """Return the exit code: 0 if all steps succeeded."""
        return int(any(step['result'] != 0 for step in self.summary['steps'].values()))

    def save(self) -> None:
        """Write the summary."""
        (self.out / 'summary.json').write_text(json.dumps(self.summary, indent=2) + '\n')


def main(argv: list[str] | None = None) -> int:
    """Run all steps; return 0 if all succeeded."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('archive', type=Path, nargs='?')
    parser.add_argument('--model', action='append', dest='models', type=Path, metavar='FILE',
                        help='ONNX file to time in place of a training; repeatable')
    parser.add_argument('--out', required=True, type=Path, help='folder for the results')
    parser.add_argument('--work', type=Path, default=None, metavar='DIR',
                        help='folder for what is not kept (default: OUT/work)')
    parser.add_argument('--seconds', type=float, default=560, help='for all steps (default 560)')
    parser.add_argument('--wheels', type=Path, metavar='DIR',
                        help='wheels to install first, for a machine that lacks some packages')
    parser.add_argument('--set', action='append', default=[], metavar='SECTION.KEY=VALUE',
                        help='option of the training; repeatable')
    parser.add_argument('--size', action='append', dest='sizes', metavar='HxW',
                        help='of the timings; repeatable (default 480x640 and 1024x2048)')
    parser.add_argument('--rounds', type=int, default=20, help='of the timings (default 20)')
    parser.add_argument('--no-calibration', action='store_true',
                        help='export raw confidences, after a training too short to calibrate')
    parser.add_argument('--precision', action='append', dest='precisions',
                        choices=('fp32', 'fp16'),
                        help='of models and timings; repeatable (default both)')
    args = parser.parse_args(argv)
    if (args.archive is None) == (args.models is None):
        parser.error('expected either an archive or --model')
    out = args.out.resolve()
    work = (args.work or out / 'work').resolve()
    for folder in (out, work):
        folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(
        filter(None, (str(work / 'site'), str(ROOT), os.environ.get('PYTHONPATH'))))}
    run = Run(out, args.seconds, environment)
    if args.wheels:
        run.step('install', ['-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps',
                             '--target', str(work / 'site'),
                             *map(str, sorted(args.wheels.resolve().glob('*.whl')))])
    describe_machine(run)
    if args.models:
        time_models(run, {path.stem: path.resolve() for path in args.models}, args, work)
        return run.code()
    # Python before 3.10.12 and 3.11.4 has no filters.
    options: dict[str, Any] = {'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}
    with tarfile.open(args.archive) as archive:
        archive.extractall(work / 'packed', **options)
    all_steps(run, args, work)
    return run.code()


def describe_machine(run: Run) -> None:
    """Note the accelerator and what ONNX Runtime can use."""
    code = ('import json, onnxruntime, torch; print(json.dumps({"torch": torch.__version__, '
            '"cuda": torch.cuda.is_available() and torch.cuda.get_device_name(), '
            '"onnxruntime": onnxruntime.__version__, '
            '"providers": onnxruntime.get_available_providers()}))')
    result = subprocess.run([sys.executable, '-c', code], env=run.environment,
                            capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f'torch or onnxruntime is missing here: {result.stderr.strip()}')
    run.summary['machine'] = {**json.loads(result.stdout.strip().splitlines()[-1]),
                              'processors': os.cpu_count()}
    run.save()


def all_steps(run: Run, args: argparse.Namespace, work: Path) -> None:
    """Train, export, evaluate, and time with all that the machine has."""
    out, config = run.out, work / 'packed' / 'training.yaml'
    instseg = ['-m', 'instseg_ros.cli']
    overrides = [text for item in args.set for text in ('--set', item)]
    run.step('train', [*instseg, 'train', '--config', str(config), '--out', str(work / 'training'),
                       *overrides], share=1 - RESERVE)
    last = work / 'training' / 'last.ckpt'
    if not last.is_file():
        return
    checkpoint = out / 'weights.ckpt'
    run.step('keep_weights', ['-c', 'import sys; from instseg_ros.learning.checkpoints import '
                              'write_weights; write_weights(*sys.argv[1:])', str(last),
                              str(checkpoint)])
    metrics = work / 'training' / 'metrics.csv'
    if metrics.is_file():
        shutil.copy(metrics, out)
    models = {}
    precisions = args.precisions or ['fp32', 'fp16']
    for precision in precisions:
        path = out / f'model_{precision}.onnx'
        if run.step(f'export_{precision}', [
                *instseg, 'export', str(checkpoint), '--precision', precision, '--out', str(path),
                *(['--no-calibration'] if args.no_calibration else [])]):
            models[precision] = path
    if 'fp32' in models:
        evaluate(run, models['fp32'], config, work)
    sizes = [text for size in args.sizes or ('480x640', '1024x2048') for text in ('--size', size)]
    times = work / 'torch.json'
    run.step('time_torch', ['scripts/time_network.py', str(checkpoint), *sizes, '--rounds',
                            str(args.rounds), '--json', str(times),
                            *(text for name in precisions for text in ('--precision', name))],
             share=0.5)
    run.add('torch_times', times)
    # In 16-bit floats a CPU is slower, and of no use.
    time_models(run, models, args, work, on_cpu=['fp32'])


def time_models(run: Run, models: dict[str, Path], args: argparse.Namespace, work: Path, *,
                on_cpu: list[str] | None = None) -> None:
    """Time models with every provider that the machine has, on inputs of the full size.

    The first run of a size on a GPU takes seconds, so each step has its own limit.
    """
    sizes = args.sizes or ['480x640', '1024x2048']
    common = ['--threads', str(THREADS), '--rounds', str(args.rounds)]
    available = [PROVIDERS[name] for name in run.summary['machine']['providers']
                 if name in PROVIDERS]
    run.summary['providers_not_available'] = sorted(set(PROVIDERS.values()) - set(available))
    for provider in [*available, 'cpu']:
        for model_name, model in models.items():
            if provider == 'cpu' and model_name not in (on_cpu or models):
                continue
            # Four images, as of four cameras, one by one and together.
            commands = {'batching': ['benchmarks/batching.py', '--size', sizes[0]]}
            for size in sizes:
                commands[f'time_{size}'] = ['-m', 'instseg_ros.cli', 'benchmark', '--parts',
                                            'model', '--size', size, '--input-size',
                                            str(max(map(int, size.split('x'))))]
            for kind, command in commands.items():
                name = f'{kind}_{provider}_{model_name}'
                figures = work / f'{name}.json'
                run.step(name, [*command, '--model', str(model), '--provider', provider, *common,
                                '--json', str(figures)], share=0.3)
                run.add(name, figures)


def evaluate(run: Run, model: Path, config: Path, work: Path) -> None:
    """Evaluate a model on the validation data of the archive, if it has any."""
    import yaml

    validation = yaml.safe_load(config.read_text())['data'].get('validation')
    if not validation:
        return
    figures = work / 'figures.json'
    run.step('evaluate', ['-m', 'instseg_ros.cli', 'evaluate', '--model', str(model), '--images',
                          str(config.parent / validation['images']), '--annotations',
                          str(config.parent / validation['annotations']), '--json',
                          str(figures)], share=0.5)
    run.add('evaluation', figures)


if __name__ == '__main__':
    sys.exit(main())
