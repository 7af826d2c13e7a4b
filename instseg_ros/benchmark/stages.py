"""What comes after the network, stage by stage, beside one call of scikit-image's SLIC.

The yardstick is `skimage.segmentation.slic` with 5 iterations, without connectivity, and as many
superpixels as ours: what anybody would reach for first, and the same on every machine.
"""
from __future__ import annotations

import math
from typing import Any, Iterable

from instseg_ros.benchmark.reference import reference_refine, superpixels
from instseg_ros.benchmark.scene import Scene
from instseg_ros.benchmark.timing import Call, Progress, measure
from instseg_ros.core.config import REFINEMENT_METHODS, GroupingConfig, RefinementConfig
from instseg_ros.core.grouping import assign_pixels, find_centers
from instseg_ros.core.instances import describe_instances
from instseg_ros.core.postprocessing import Postprocessor
from instseg_ros.core.refinement import refine
from instseg_ros.evaluation.boundary import TOLERANCE, boundary_score
from instseg_ros.evaluation.panoptic import panoptic_ids

YARDSTICK = 'skimage.segmentation.slic'
TARGETS = {'refinement_slic': 40.0, 'refinement_bilateral': 120.0,
           'postprocessing_slic': 35.0, 'postprocessing_bilateral': 80.0}
"""How many times as long the yardstick shall take, at least, in the set-up of `is_reference`."""

RECALL_MARGIN = 0.01
"""The boundary recall shall be no lower than scikit-image's less this."""

TURNS = 10  # of our calls in a round, whose one call of the yardstick takes longer than them all


def is_reference(scene: Scene) -> bool:
    """Tell whether the targets are about this scene: 1024x2048, stride 4, 50 objects."""
    return (scene.semantic_ids.shape == (1024, 2048) and scene.info.output_stride == 4
            and scene.instances == 50 and 5 <= len(scene.info.class_names) <= 20)


def stage_calls(scene: Scene, threads: int,
                methods: Iterable[str] = REFINEMENT_METHODS[::-1]) -> dict[str, Call]:
    """Return what to call to run each stage, and all of them together.

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

    `slic_of_scikit_image` is the vote in scikit-image's superpixels; `tolerance_px` says within
    how many pixels a boundary counts as found. None where there is no boundary.
    """
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
