"""A picture of how the time grows, drawn by matplotlib without a display."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from instseg_ros.benchmark.table import title

DOTS_PER_INCH = 120


def draw_growth(growth: Mapping[str, Any], path: Path) -> None:
    """Draw time against image size and against the number of objects.

    Parameters
    ----------
    growth : dict
        As `measure_growth` returns it.
    path : Path
        A picture of a type that matplotlib writes.
    """
    figure = Figure(figsize=(11, 4.6), layout='constrained')
    left, right = figure.subplots(1, 2, sharey=True)
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
    figure.savefig(path, dpi=DOTS_PER_INCH)


def _draw(axes, points, x) -> None:
    for name in points[0]['times']:
        whole = name.startswith('postprocessing')
        axes.plot(x, [point['times'][name]['cpu_ms'] for point in points], marker='o',
                  markersize=4, linewidth=2.5 if whole else 1.2, label=title(name))


def _megapixels(point: Mapping[str, Any]) -> float:
    return point['size'][0] * point['size'][1] / 1e6
