"""The results of one camera, video or folder of photographs, frame by frame."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Callable, Iterator

import numpy as np

from instseg_ros.core.types import UNLABELLED, ModelInfo, Segmentation
from instseg_ros.visualization import LabelColors, instance_color


class ClassNames(dict[int, str]):
    """Names of classes by id; an id without a name is called by its number."""

    def __missing__(self, class_id: int) -> str:
        return 'unlabelled' if class_id == UNLABELLED else f'class {class_id}'


@dataclass(frozen=True)
class Frame:
    """The result for one image.

    Attributes
    ----------
    key : int or str
        Stamp in nanoseconds, or name: what the same frame in other results has in common with it.
    caption : str
        When or which, for people.
    time : float
        Seconds from the first frame; its number where there is no time.
    segmentation : Segmentation
    draw : callable
        Returns the picture of the frame, (H, W, 3) uint8, RGB.
    """

    key: int | str
    caption: str
    time: float
    segmentation: Segmentation
    draw: Callable[[], np.ndarray]


@dataclass
class Section:
    """What belongs together: all frames of one topic or video, or the photographs of a folder.

    Attributes
    ----------
    title : str
    read : callable
        Yields all frames in order; adds to `problems` and `latency` meanwhile.
    class_names : ClassNames
    thing_ids : set of int
        Classes that have objects somewhere in the section.
    count : int
        Number of frames that are expected.
    axis : str
        What `Frame.time` is.
    tracked : bool
        An object keeps its id from frame to frame.
    problems : list of str
        A sentence for everything that is damaged or missing.
    latency : Counter of int
        Number of values by whole milliseconds.
    latency_kind : str
        What these values are; empty without any.
    """

    title: str
    read: Callable[[Section], Iterator[Frame]]
    class_names: ClassNames = field(default_factory=ClassNames)
    thing_ids: set[int] = field(default_factory=set)
    count: int = 0
    axis: str = 'seconds'
    tracked: bool = False
    problems: list[str] = field(default_factory=list)
    latency: Counter[int] = field(default_factory=Counter)
    latency_kind: str = ''

    def frames(self) -> Iterator[Frame]:
        """Yield all frames in order."""
        return self.read(self)


def draw_labels(segmentation: Segmentation) -> np.ndarray:
    """Return a picture of a result without its camera image, (H0, W0, 3) uint8."""
    return LabelColors.of(segmentation, label_info(ClassNames())).picture


def label_info(names: ClassNames) -> ModelInfo:
    """Return a model's description with colours for all possible classes, for drawing only."""
    colors = ((0, 0, 0), *(instance_color(number) for number in range(1, UNLABELLED)))
    every = tuple(f'{number} {names[number]}' for number in range(UNLABELLED))
    return ModelInfo(every, (), colors, output_stride=1, size_multiple=1, embedding_size=1,
                     input_size=1)
