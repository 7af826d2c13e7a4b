"""How the time of each stage grows with the image and with the number of objects."""
from __future__ import annotations

import math
from statistics import linear_regression
from typing import Any, Sequence

from instseg_ros.benchmark.scene import street_scene
from instseg_ros.benchmark.stages import stage_calls
from instseg_ros.benchmark.timing import Progress, measure
from instseg_ros.core.types import ModelInfo

PIXEL_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
INSTANCE_COUNTS = (0, 10, 25, 50, 100, 250, 500, 1000)
METHODS = ('bilateral', 'slic')


def measure_growth(size: tuple[int, int], instances: int, info: ModelInfo, threads: int,
                   rounds: int, progress: Progress = iter, *,
                   instance_counts: Sequence[int] = INSTANCE_COUNTS) -> dict[str, Any]:
    """Time the stages for images up to a size, and for numbers of objects at that size.

    It is the same scene at every size, and objects cover the same share of it whatever their
    number. Scenes follow one another, so that on a busy machine only the processor times of
    different ones can be compared.

    Parameters
    ----------
    size : (int, int)
        Height and width of the largest image.
    instances : int
        Objects in images of different sizes.
    info : ModelInfo
        Classes and output stride of the scene.
    threads, rounds : int
    progress : callable
        Wraps the sequence of scenes.
    instance_counts : sequence of int
        Objects in images of the largest size.

    Returns
    -------
    dict
        Ready for JSON: `pixels` and `instances`, each a list of `size`, `instances` and `times`
        (of each stage `wall_ms` and `cpu_ms`); `exponents`, for both axes that of each stage.
    """
    sizes = [tuple(max(info.output_stride, round(side * share**.5)) for side in size)
             for share in PIXEL_SHARES]
    points = [*(('pixels', one, instances) for one in sizes),
              *(('instances', size, count) for count in instance_counts)]
    report: dict[str, Any] = {'pixels': [], 'instances': []}
    for axis, shape, count in progress(points):
        times = measure(stage_calls(street_scene(shape, count, info), threads, METHODS), rounds)
        report[axis].append({'size': list(shape), 'instances': count, 'times': {
            name: {'wall_ms': value.wall_ms, 'cpu_ms': value.cpu_ms}
            for name, value in times.items()}})
    report['exponents'] = {
        'pixels': exponents(report['pixels'], [math.prod(shape) for shape in sizes]),
        'instances': exponents(report['instances'], instance_counts)}
    return report


def exponents(points: Sequence[dict[str, Any]], amounts: Sequence[float]) -> dict[str, float]:
    """Return, of each stage, b of the power law a x^b that fits its processor times best.

    Parameters
    ----------
    points : sequence of dict
        With `times`, as `measure_growth` returns them.
    amounts : sequence of float
        x of each point. Those of 0 have no place in the fit; two others are needed.
    """
    known = [(math.log(amount), point['times'])
             for amount, point in zip(amounts, points) if amount]
    return {name: linear_regression([x for x, _ in known], [
        math.log(times[name]['cpu_ms']) for _, times in known]).slope
        for name in points[0]['times']}
