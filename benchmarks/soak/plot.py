"""Samples of a soak as a picture."""
from __future__ import annotations

from pathlib import Path

import matplotlib
from record import COUNTS, Record

matplotlib.use('Agg')

LABELS = {'memory_mib': 'memory of its own [MiB]', 'threads': 'threads', 'files': 'open files'}


def plot(record: Record, path: Path) -> None:
    """Draw memory, threads, open files and frames over time, the runs one after another."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(4, 1, sharex=True, figsize=(8, 9), constrained_layout=True)
    start = 0.0
    before = dict.fromkeys(COUNTS, 0)
    for run in record.runs():
        minutes = [(start + sample['time']) / 60 for sample in run]
        for axis, name in zip(axes, LABELS):
            axis.plot(minutes, [sample[name] for sample in run], color='C0')
        for k, name in enumerate(COUNTS):
            axes[3].plot(minutes, [before[name] + sample.get(name, 0) for sample in run],
                         color=f'C{k}', label=name if not start else None)
            before[name] += run[-1].get(name, 0)
        start += run[-1]['time']
    for axis, label in zip(axes, [*LABELS.values(), 'images']):
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[3].legend()
    axes[3].set_xlabel('minutes')
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
