"""A benchmark's pictures: how times grow, and how the node's latencies are spread."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np
from matplotlib.figure import Figure  # optional, and needs no display
from matplotlib.ticker import LogLocator

from instseg_ros.benchmark.report import Report, title

DOTS_PER_INCH = 120
PANEL = (5.5, 4.6)
"""Width and height in inches."""


def draw(report: Report, path: Path) -> None:
    """Draw what was measured of growth and node.

    Parameters
    ----------
    report : dict
        As `instseg benchmark` writes it; with `growth`, `node` or both.
    path : Path
        A picture of a type that matplotlib writes.
    """
    widths = 2 * bool(report['growth']) + bool(report['node'])
    figure = Figure(figsize=(PANEL[0] * max(widths, 1), PANEL[1]), layout='constrained')
    panels = list(figure.subplots(1, widths, squeeze=False)[0])
    if report['growth']:
        left, right = panels[:2]
        right.sharey(left)
        draw_growth(report['growth'], left, right)
    if report['node']:
        draw_latencies(report['node'], panels[-1])
    figure.savefig(path, dpi=DOTS_PER_INCH)


def draw_latencies(items: Sequence[Report], axes: Any) -> None:
    """Draw which share of the images had come back after which time, for each size."""
    for item in items:
        steady = item['steady']
        values = np.sort(steady['latencies_ms'])
        (line,) = axes.plot(values, np.arange(1, len(values) + 1) / len(values),
                            label='{}x{}, {:.1f} per second'.format(*item['size'], steady['fps']))
        for quantile, name in ((.5, 'median_ms'), (.95, 'p95_ms')):
            axes.plot(steady[name], quantile, 'o', color=line.get_color())
    axes.set(xlabel='latency at the steady rate [ms]', ylabel='share of the images',
             title='node: median and 95 %', xlim=(0, None), ylim=(0, 1.02))
    axes.grid(alpha=.3)
    axes.legend(loc='lower right', frameon=False)


def draw_growth(growth: Report, left: Any, right: Any) -> None:
    """Draw time against image size (left) and against the number of objects (right)."""
    _draw(left, growth['pixels'], [_megapixels(point) for point in growth['pixels']])
    points = growth['pixels']
    top = max(points[-1]['times'].values(), key=lambda times: times['cpu_ms'])['cpu_ms']
    ends = [_megapixels(point) for point in (points[0], points[-1])]
    left.plot(ends, [top * end / ends[-1] for end in ends], '--', color='gray', label='linear')
    left.set(xscale='log', yscale='log', xlabel='megapixels of the image',
             ylabel='processor time [ms]', title=f'{points[0]["instances"]} objects')
    left.set_xticks([_megapixels(point) for point in points],
                    [f'{_megapixels(point):.2g}' for point in points])
    left.minorticks_off()
    points = growth['instances']
    _draw(right, points, [point['instances'] for point in points])
    right.set_xscale('symlog', linthresh=10)
    right.set_xticks([point['instances'] for point in points],
                     [str(point['instances']) for point in points])
    right.minorticks_off()
    right.set(xlabel='objects', title='{}x{} pixels'.format(*points[0]['size']))
    for axes in (left, right):
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter('{x:g}')
        axes.grid(alpha=.3)
    right.legend(*left.get_legend_handles_labels(), loc='center left', bbox_to_anchor=(1, .5),
                 frameon=False)


def _draw(axes: Any, points: Sequence[Report], x: Sequence[float]) -> None:
    for name in points[0]['times']:
        whole = name.startswith('postprocessing')
        axes.plot(x, [point['times'][name]['cpu_ms'] for point in points], marker='o',
                  markersize=4, linewidth=2.5 if whole else 1.2, label=title(name))


def _megapixels(point: Report) -> float:
    return point['size'][0] * point['size'][1] / 1e6
