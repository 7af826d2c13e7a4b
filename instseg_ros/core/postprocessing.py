"""All that follows the network: from its output and the camera image to a segmentation."""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from instseg_ros.core.config import (
    REFINEMENT_METHODS,
    GroupingConfig,
    RefinementConfig,
    SelectionConfig,
)
from instseg_ros.core.grouping import assign_pixels, find_centers
from instseg_ros.core.instances import describe_instances
from instseg_ros.core.output_values import check_values
from instseg_ros.core.refinement import confidence_of_classes, refine
from instseg_ros.core.selection import class_table, select_classes
from instseg_ros.core.stopwatch import Stopwatch
from instseg_ros.core.types import ModelInfo, NetworkOutput, Segmentation


@dataclass(frozen=True)
class Postprocessor:
    """Groups pixels, refines label maps and lists instances; usable from several threads.

    Options are changed by making another one, which keeps all that is not named:

    >>> strict = dataclasses.replace(postprocessor, grouping=GroupingConfig(0.9))

    Attributes
    ----------
    info : ModelInfo
        Of the model whose outputs are processed.
    grouping : GroupingConfig
    refinement : RefinementConfig
    threads : int
        Threads of grouping and refinement; 0 takes one for each core.
    selection : SelectionConfig

    Raises
    ------
    ValueError
        The model lacks a selected class.
    """

    info: ModelInfo
    grouping: GroupingConfig = GroupingConfig()
    refinement: RefinementConfig = RefinementConfig()
    threads: int = 0
    selection: SelectionConfig = SelectionConfig()

    def __post_init__(self) -> None:
        class_table(self.selection, self.info)

    def run(self, output: NetworkOutput, image: np.ndarray,
            scale: tuple[float, float] | None = None, *,
            confidence: bool = False) -> Segmentation:
        """Segment an image by the network's output for it.

        Parameters
        ----------
        output : NetworkOutput
        image : (H0, W0, 3) uint8, RGB
            The camera image.
        scale : (float, float), optional
            Output pixels per image pixel in y and x; by default, that of the network's own input.
        confidence : bool
            Whether to compute `Segmentation.semantic_confidence`.

        Returns
        -------
        Segmentation
            In the pixels of `image`, with the timings of each step.

        Raises
        ------
        ValueError
            The confidence is requested, and the output has none.
        ModelError
            The output has impossible values: classes beyond the list, or confidences or
            embeddings that are no numbers in their range.
        """
        if confidence and output.semantic_confidence is None:
            raise ValueError('confidence: the model file has no output "semantic_confidence"; '
                             'export the model again with "instseg export"')
        scale = scale or (1 / self.info.output_stride,) * 2
        watch = Stopwatch()
        check_values(output, self.info)
        output = select_classes(output, self.selection, self.info)
        centers, dropped = find_centers(output, self.info, self.grouping)
        grouped = assign_pixels(output, centers, self.threads)
        watch.lap('grouping')
        semantic_ids, instance_ids = refine(image, output.semantic_ids, grouped, scale,
                                            self.refinement, self.threads)
        watch.lap('refinement')
        instances = describe_instances(instance_ids, centers, scale, self.info)
        watch.lap('instances')
        semantic_confidence = None
        if confidence and output.semantic_confidence is not None:
            semantic_confidence = confidence_of_classes(
                semantic_ids, output.semantic_ids, output.semantic_confidence, scale, self.threads)
            watch.lap('confidence')
        return Segmentation(semantic_ids, instance_ids, instances, dropped, watch.laps,
                            semantic_confidence)

    def warm_up(self, output: NetworkOutput, image: np.ndarray) -> None:
        """Compile or load the kernels of every refinement method, so that no image waits for it.

        Parameters
        ----------
        output : NetworkOutput
            With a boundary, such as that of `example`; on a GPU if the network runs there.
        image : (H0, W0, 3) uint8, RGB
        """
        for method in REFINEMENT_METHODS:
            dataclasses.replace(self, refinement=RefinementConfig(method=method)).run(
                output, image, confidence=True)


def example(info: ModelInfo) -> tuple[NetworkOutput, np.ndarray]:
    """Return a small output with two classes or objects side by side, and its image."""
    rows = columns = 4 * info.size_multiple // info.output_stride
    semantic_ids = np.zeros((rows, columns), np.uint8)
    semantic_ids[:, columns // 2:] = (info.thing_ids or range(len(info.class_names)))[-1]
    heatmap = np.zeros((rows, columns), np.float32)
    heatmap[rows // 2, [columns // 2, -1]] = 1
    embedding = np.zeros((rows, columns, info.embedding_size), np.float32)
    embedding[:, columns * 3 // 4:] = 1000  # beyond every duplicate distance
    image = np.zeros((rows * info.output_stride, columns * info.output_stride, 3), np.uint8)
    image[:, image.shape[1] // 2:] = 255
    confidence = np.full((rows, columns), 255, np.uint8)
    return NetworkOutput(semantic_ids, heatmap, embedding, confidence), image
