"""The stages after the network: their times beside a yardstick, and how these times grow.

The yardstick is one call of `skimage.segmentation.slic` with 5 iterations, without connectivity,
and as many superpixels as ours: the usual choice in Python, and the same on every machine.
"""
from __future__ import annotations

import math
from statistics import linear_regression
from typing import Any, Iterable, Sequence

from instseg_ros.benchmark.measurement import Call, Progress, measure
from instseg_ros.benchmark.scene import Scene, street_scene
from instseg_ros.core.config import REFINEMENT_METHODS, GroupingConfig, RefinementConfig
from instseg_ros.core.grouping import assign_pixels, find_centers
from instseg_ros.core.instances import describe_instances
from instseg_ros.core.postprocessing import Postprocessor
from instseg_ros.core.refinement import refine
from instseg_ros.core.types import ModelInfo
from instseg_ros.evaluation.boundary import TOLERANCE, boundary_score
from instseg_ros.evaluation.panoptic import panoptic_ids

YARDSTICK = 'skimage.segmentation.slic'
TARGETS = {'refinement_slic': 40.0, 'refinement_bilateral': 120.0,
           'postprocessing_slic': 35.0, 'postprocessing_bilateral': 80.0}
"""Minimum ratio of the yardstick's time to a stage's, for the scene of `is_reference`."""

RECALL_MARGIN = 0.01
"""The boundary recall may be lower than with scikit-image's superpixels by this."""

TURNS = 10
"""Calls of each stage for one of the yardstick, which still takes longer than all of them."""

PIXEL_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
INSTANCE_COUNTS = (0, 10, 25, 50, 100, 250, 500, 1000)
GROWTH_METHODS = ('bilateral', 'slic')


def is_reference(scene: Scene) -> bool:
    """Tell whether the targets apply to this scene: 1024x2048, stride 4, 50 objects."""
    return (scene.semantic_ids.shape == (1024, 2048) and scene.info.output_stride == 4
            and scene.instances == 50 and 5 <= len(scene.info.class_names) <= 20)


def stage_calls(scene: Scene, threads: int,
                methods: Iterable[str] = REFINEMENT_METHODS[::-1]) -> dict[str, Call]:
    """Return functions that run each stage, and all of them together.

    Returns
    -------
    dict of str to callable
        `grouping`, `refinement_METHOD`, `instances` and `postprocessing_METHOD`.
    """
    image, output, scale = scene.inference.image, scene.inference.output, scene.inference.scale
    grouping = GroupingConfig(max_instances=max(scene.instances, GroupingConfig().max_instances))
    configs = {method: RefinementConfig(method=method) for method in methods}
    centers, _ = find_centers(output, scene.info, grouping)
    grouped = assign_pixels(output, centers)
    refined = refine(image, output.semantic_ids, grouped, scale)[1]

    def refinement(config: RefinementConfig) -> Call:
        return lambda: refine(image, output.semantic_ids, grouped, scale, config, threads)

    def postprocessing(config: RefinementConfig) -> Call:
        postprocessor = Postprocessor(scene.info, grouping, config, threads)
        return lambda: postprocessor.run(output, image, scale)

    return {
        'grouping': lambda: assign_pixels(output, find_centers(output, scene.info, grouping)[0],
                                          threads),
        **{f'refinement_{method}': refinement(config) for method, config in configs.items()},
        'instances': lambda: describe_instances(refined, centers, scale, scene.info),
        **{f'postprocessing_{method}': postprocessing(config)
           for method, config in configs.items()}}


def measure_stages(scene: Scene, threads: int, rounds: int,
                   progress: Progress = iter) -> dict[str, Any]:
    """Time every stage of a scene, and the yardstick in turns with them.

    Parameters
    ----------
    scene : Scene
    threads : int
        Of grouping and refinement; the yardstick has one.
    rounds : int
        Calls of the yardstick; each stage has ten times as many.
    progress : callable
        Wraps the sequence of rounds.

    Returns
    -------
    dict
        Ready for JSON: `size`, `output_stride`, `classes`, `instances`, `superpixels`,
        `threads`; `times` of each stage and the yardstick (`wall_ms`, `cpu_ms`, `ratio` to the
        yardstick by both clocks, `target`, the ratio wanted, or None); `boundary_recall`.
    """
    from instseg_ros.benchmark.reference import superpixels  # needs scikit-image

    defaults, info = RefinementConfig(), scene.info
    image = scene.inference.image
    side = defaults.superpixel_size * info.output_stride
    yardstick = {YARDSTICK: lambda: superpixels(image, side, defaults.compactness,
                                                defaults.iterations)}
    times = measure(stage_calls(scene, threads), rounds, progress, turns=TURNS,
                    yardstick=yardstick)
    targets = TARGETS if is_reference(scene) else {}
    return {
        'size': list(image.shape[:2]), 'output_stride': info.output_stride,
        'classes': len(info.class_names), 'instances': scene.instances,
        'superpixels': round(image.shape[0] * image.shape[1] / side**2), 'threads': threads,
        'times': {name: {'wall_ms': value.wall_ms, 'cpu_ms': value.cpu_ms,
                         'ratio': value.ratios_to(times[YARDSTICK]), 'target': targets.get(name)}
                  for name, value in times.items()},
        'boundary_recall': boundary_recall(scene)}


def boundary_recall(scene: Scene) -> dict[str, float | None]:
    """Return the share of the true boundaries that each refinement finds.

    `slic_of_scikit_image` is the vote in scikit-image's superpixels; `tolerance_px` is the
    distance within which a boundary counts as found. None where there is no boundary.
    """
    from instseg_ros.benchmark.reference import reference_refine  # needs scikit-image

    output = scene.inference.output
    grouped = assign_pixels(output, find_centers(output, scene.info)[0])
    arguments = scene.inference.image, output.semantic_ids, grouped, scene.inference.scale
    refined = {**{method: refine(*arguments, RefinementConfig(method=method))
                  for method in REFINEMENT_METHODS},
               'slic_of_scikit_image': reference_refine(*arguments)}
    truth = panoptic_ids(scene.semantic_ids, scene.instance_ids)
    recalls: dict[str, float | None] = {}
    for name, maps in refined.items():
        recall = boundary_score(truth, panoptic_ids(*maps)).recall
        recalls[name] = None if math.isnan(recall) else recall
    return {'tolerance_px': TOLERANCE, **recalls}


def measure_growth(size: tuple[int, int], instances: int, info: ModelInfo, threads: int,
                   rounds: int, progress: Progress = iter, *,
                   instance_counts: Sequence[int] = INSTANCE_COUNTS) -> dict[str, Any]:
    """Time the stages for images up to a size, and for numbers of objects at that size.

    It is the same scene at every size, and objects cover about the same share of it whatever
    their number. Scenes are measured one after the other: on a busy machine, compare only their
    processor times.

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
        (of each stage `wall_ms` and `cpu_ms`); `exponents`, for each axis those of the stages.
    """
    sizes = [tuple(max(info.output_stride, round(side * share**.5)) for side in size)
             for share in PIXEL_SHARES]
    points = [*(('pixels', one, instances) for one in sizes),
              *(('instances', size, count) for count in instance_counts)]
    report: dict[str, Any] = {'pixels': [], 'instances': []}
    for axis, shape, count in progress(points):
        scene = street_scene(shape, count, info)
        times = measure(stage_calls(scene, threads, GROWTH_METHODS), rounds)
        report[axis].append({'size': list(shape), 'instances': count, 'times': {
            name: {'wall_ms': value.wall_ms, 'cpu_ms': value.cpu_ms}
            for name, value in times.items()}})
    report['exponents'] = {
        'pixels': exponents(report['pixels'], [math.prod(shape) for shape in sizes]),
        'instances': exponents(report['instances'], instance_counts)}
    return report


def exponents(points: Sequence[dict[str, Any]], amounts: Sequence[float]) -> dict[str, float]:
    """Return the exponent b of the power law a x^b that fits each stage's processor times best.

    Parameters
    ----------
    points : sequence of dict
        With `times`, as `measure_growth` returns them.
    amounts : sequence of float
        x of each point, at least two of them not 0; those of 0 are left out of the fit.
    """
    known = [(math.log(amount), point['times'])
             for amount, point in zip(amounts, points) if amount]
    return {name: linear_regression([x for x, _ in known], [
        math.log(times[name]['cpu_ms']) for _, times in known]).slope
        for name in points[0]['times']}
