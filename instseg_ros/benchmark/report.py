"""A benchmark's report for people: tables on the screen."""
from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from instseg_ros.benchmark.stages import RECALL_MARGIN, YARDSTICK

Report = Mapping[str, Any]

OVERHEAD_TARGET = 0.1
"""Time of the node beyond the library's, as a share of the library's; wanted at most."""

SPREAD_TARGET = 1.5
"""95th percentile of the node's latency at a steady rate over its median; wanted at most."""


def machine_lines(machine: Report) -> list[str]:
    """Return a description of the machine, and a warning if it was busy."""
    modules = ', '.join(f'{name} {version}' for name, version in machine['modules'].items())
    lines = [f'{machine["cpu"]}, {machine["cores"]} cores, {machine["system"]}',
             f'Python {machine["python"]}, {modules}',
             f'load average before the start: {machine["load_average"]}']
    if machine['busy']:
        lines.append('THE MACHINE WAS BUSY: do not rely on times on the clock, only on processor '
                     'times (cpu) and their ratios.')
    return lines


def stage_lines(item: Report) -> list[str]:
    """Return the table of one size, and the targets that were missed."""
    rows: list[Sequence[str]] = [('', 'ms', 'cpu ms', 'ratio', 'cpu ratio', 'wanted')]
    for name, times in item['times'].items():
        target = times['target']
        rows.append((title(name), _ms(times['wall_ms']), _ms(times['cpu_ms']),
                     f'{times["ratio"]["wall"]:.1f}', f'{times["ratio"]["cpu"]:.1f}',
                     f'{target:.0f}' if target else ''))
    tolerance, *recalls = item['boundary_recall'].items()
    return [
        f'After the network, {_size(item["size"])}: output stride {item["output_stride"]}, '
        f'{item["classes"]} classes, {item["instances"]} objects, threads: {item["threads"]}, '
        f'{item["superpixels"]} superpixels', '', *align(rows), '',
        f'ratio: how many times as long one call of {YARDSTICK} takes',
        f'boundary recall within {tolerance[1]} px: '
        + ', '.join(f'{name.replace("_", " ")} ' + ('-' if value is None else f'{value:.4f}')
                    for name, value in recalls),
        *missed_targets(item)]


def missed_targets(item: Report) -> list[str]:
    """Return a sentence for each target that was missed, by the times on the clock."""
    missed = [f'MISSED: {title(name)}: the ratio is {times["ratio"]["wall"]:.1f}, wanted '
              f'{times["target"]:.0f}' for name, times in item['times'].items()
              if times['target'] and times['ratio']['wall'] < times['target']]
    recall, is_reference = item['boundary_recall'], item['times']['refinement_slic']['target']
    if is_reference and recall['slic'] < recall['slic_of_scikit_image'] - RECALL_MARGIN:
        missed.append(f'MISSED: boundary recall of slic: {recall["slic"]:.4f}, wanted at least '
                      f"scikit-image's less {RECALL_MARGIN}")
    return missed


def growth_lines(growth: Report) -> list[str]:
    """Return processor times against pixels and objects, and the exponents of their growth."""
    lines = []
    for axis, column in (('pixels', lambda point: _size(point['size'])),
                         ('instances', lambda point: str(point['instances']))):
        points, exponents = growth[axis], growth['exponents'][axis]
        rows: list[Sequence[str]] = [('cpu ms', *map(column, points), 'exponent')]
        rows += [(title(name), *(_ms(point['times'][name]['cpu_ms']) for point in points),
                  f'{exponents[name]:.2f}') for name in points[0]['times']]
        rest = (f'{points[0]["instances"]} objects' if axis == 'pixels'
                else _size(points[0]['size']))
        lines += [f'Growth with the number of {axis}, {rest}', '', *align(rows), '']
    return [*lines, 'exponent of the growth: 1 is linear, 0 is flat']


def model_lines(item: Report) -> list[str]:
    """Return the times of a model at one size, and of the other networks."""
    rows: list[Sequence[str]] = [('', 'ms', 'cpu ms', 'per second')]
    for name, label in (('network', 'network alone'), ('segment', 'end to end')):
        times = item[name]
        rows.append((label, _ms(times['wall_ms']), _ms(times['cpu_ms']), f'{times["fps"]:.1f}'))
    rows += [(f'{other["network"]} alone', _ms(other['wall_ms']), _ms(other['cpu_ms']),
              f'{1e3 / other["wall_ms"]:.1f}') for other in item['others']]
    stages = ', '.join(f'{stage} {_ms(value)}' for stage, value in item['stages_ms'].items())
    return [
        f'{item["model"]} on {item["provider"]}, images of {_size(item["size"])} with '
        f'{item["instances"]} objects, network input {_size(item["network_size"])}', '',
        *align(rows), '', f'stages of end to end, ms: {stages}',
        f'peak memory of a process of its own: {item["peak_memory_mib"]:.0f} MiB',
        *(f'end to end takes {other["ratio"]["wall"]:.2f} of the time of {other["network"]} alone '
          f'at {"x".join(map(str, other["shape"]))}; by the processor {other["ratio"]["cpu"]:.2f}'
          for other in item['others'])]


def node_lines(item: Report) -> list[str]:
    """Return the times of the node beside those of the library, and the targets missed."""
    steady = item['steady']
    rows: list[Sequence[str]] = [('', 'ms', 'cpu ms', 'per second')]
    rows += [(name.replace('_', ' '), _ms(times['wall_ms']), _ms(times['cpu_ms']),
              f'{times["fps"]:.1f}') for name, times in
             (('library', item['library']),
              *((f'node, {name}', item[name]) for name in item['overhead']))]
    stages = ', '.join(f'{stage} {_ms(value)}' for stage, value in item['stages_ms'].items())
    return [
        f'Node with {item["model"]} on {item["provider"]}, images of {_size(item["size"])} with '
        f'{item["instances"]} objects', '', *align(rows), '',
        *(f'overhead of the node, {name.replace("_", " ")}: {_percent(shares["wall"])}; by the '
          f'processor {_percent(shares["cpu"])}' for name, shares in item['overhead'].items()),
        f'latency at a steady {steady["fps"]:.1f} per second, {steady["frames"]} images of which '
        f'{steady["dropped"]} were dropped: median {_ms(steady["median_ms"])} ms, 95 % '
        f'{_ms(steady["p95_ms"])} ms ({steady["p95_over_median"]:.2f} times the median), longest '
        f'{_ms(steady["max_ms"])} ms',
        f'steps of the node, ms: {stages}', *missed_node_targets(item)]


def missed_node_targets(item: Report) -> list[str]:
    """Return a sentence for each target of the node that was missed."""
    missed = [f'MISSED: overhead of the node, {name.replace("_", " ")}: '
              f'{_percent(shares["cpu"])} by the processor, wanted at most '
              f'{_percent(OVERHEAD_TARGET)}' for name, shares in item['overhead'].items()
              if shares['cpu'] > OVERHEAD_TARGET]
    if item['steady']['p95_over_median'] > SPREAD_TARGET:
        missed.append('MISSED: 95 % of the latency is '
                      f'{item["steady"]["p95_over_median"]:.2f} times the median, wanted at most '
                      f'{SPREAD_TARGET}')
    return missed


def title(name: str) -> str:
    """Return the name of a stage for people."""
    stage, _, method = name.partition('_')
    known = {'instances': 'instance table', 'postprocessing': 'all of it'}
    return ', '.join(filter(None, [known.get(stage, stage), method]))


def align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose first row is its header."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for number, row in enumerate(rows):
        yield '  '.join([row[0].ljust(widths[0]), *(
            cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip()
        if number == 0:
            yield '-' * (sum(widths) + 2 * len(widths) - 2)


def _ms(value: float) -> str:
    return f'{value:.2f}' if value < 100 else f'{value:.0f}'


def _percent(share: float) -> str:
    return f'{100 * share:.1f} %'


def _size(size: Sequence[int]) -> str:
    return 'x'.join(map(str, size))
