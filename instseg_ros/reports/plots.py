"""Plots of results, drawn by matplotlib without a display, as PNG."""
from __future__ import annotations

from collections import Counter
from typing import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from instseg_ros.evaluation.plots import SIZE, png

WIDE = (2 * SIZE[0], 2.6)
"""Size in inches of a plot over time, as wide as two others."""


def draw_counts(times: Sequence[float], counts: Mapping[str, Sequence[float]], axis: str) -> bytes:
    """Return the mean number of objects of each class over time."""
    figure = Figure(figsize=WIDE)
    axes = figure.add_subplot()
    for name, values in counts.items():
        axes.plot(times, values, label=_plain(name), marker='.' if len(times) < 30 else '')
    axes.set(xlabel=axis, ylabel='objects in a frame', title='Objects over time')
    axes.set_ylim(bottom=0)
    axes.grid(alpha=.3)
    if counts:
        axes.legend(fontsize='small')
    return png(figure)


def draw_bars(shares: Mapping[str, float], title: str, label: str) -> bytes:
    """Return one bar for each name."""
    figure = Figure(figsize=SIZE)
    axes = figure.add_subplot()
    names = list(shares)[::-1]
    bars = axes.barh(range(len(names)), [shares[name] for name in names], color='#4878a8')
    axes.bar_label(bars, fmt='%.3g', fontsize='small', padding=3)
    axes.set_yticks(range(len(names)), labels=[_plain(name) for name in names])
    axes.margins(x=.15)
    axes.set(xlabel=label, title=title)
    return png(figure)


def draw_histogram(values: Counter[int], title: str, label: str, bins: int = 30) -> bytes:
    """Return a histogram of whole numbers that are given with how often each is there."""
    figure = Figure(figsize=SIZE)
    axes = figure.add_subplot()
    low, high = min(values), max(values) + 1
    width = -(-(high - low) // bins)  # whole, so that all bins hold as many numbers
    edges = np.arange(low, high + width, width) - .5
    axes.hist(list(values), bins=edges, weights=list(values.values()), color='#4878a8')
    axes.set(xlabel=label, ylabel='number', title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=.3, axis='y')
    return png(figure)


def _plain(name: str) -> str:
    """Return a name without what matplotlib would take for a formula or a hidden entry."""
    return name.replace('$', r'\$').lstrip('_') or '-'
