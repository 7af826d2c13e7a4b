"""From an instance map and the centers to a list of instances with extent, score and class."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from instseg_ros.core.compiled import compiled
from instseg_ros.core.scaling import to_image
from instseg_ros.core.types import Centers, Instance, ModelInfo, check_array

WORD = 4  # ids of 16 bits compared at once, as one number of 64 bits
EVERY_ID = np.uint64(0x0001_0001_0001_0001)


def describe_instances(instance_ids: np.ndarray, centers: Centers, scale: tuple[float, float],
                       info: ModelInfo) -> tuple[Instance, ...]:
    """Describe the instances that have at least one pixel, strongest first.

    Parameters
    ----------
    instance_ids : (H0, W0) uint16
        Index in `centers` + 1, or 0.
    centers : Centers
    scale : (float, float)
        Output pixels per image pixel in y and x.
    info : ModelInfo
        Has the names of the classes and the calibration of the scores.
    """
    table = instance_table(instance_ids, len(centers))
    scores = instance_scores(centers.confidences, info)
    order = np.argsort(-scores, kind='stable')
    order = order[table.areas[order] > 0]
    # The last output pixel may extend beyond the image.
    middles = np.minimum(to_image(centers.points[order].astype(np.float64), np.array(scale)),
                         np.array(instance_ids.shape) - 1.0)
    # Converted to Python's numbers all at once: one by one would take most of the time.
    return tuple(
        Instance(instance_id=k + 1, class_id=class_id, class_name=info.class_names[class_id],
                 score=score, center_yx=tuple(middle), box_xyxy=tuple(box), area=area)
        for k, class_id, score, middle, box, area in zip(
            order.tolist(), centers.class_ids[order].tolist(), scores[order].tolist(),
            middles.tolist(), table.boxes_xyxy[order].tolist(), table.areas[order].tolist()))


def instance_scores(confidences: np.ndarray, info: ModelInfo) -> np.ndarray:
    """Return the scores of instances: sigmoid(scale * logit(confidence) + shift).

    A confidence rates a center; a score is the share of instances with it that are right, mask
    included, on images that the network was not trained on. (Ours, not the paper's; Platt
    scaling, fitted by `instseg_ros.learning.calibration`.)

    Parameters
    ----------
    confidences : (K,) float32
        Of the centers, in (0, 1].
    info : ModelInfo
        Holds scale and shift.

    Returns
    -------
    (K,) float64
        As the map is monotone, in the same order.
    """
    confidences = np.minimum(confidences.astype(np.float64), 1)  # up to rounding
    odds_against = ((1 - confidences) / confidences) ** info.score_scale
    return 1 / (1 + odds_against * np.exp(-info.score_shift))


@dataclass(frozen=True)
class InstanceTable:
    """Extent of the instances 1 to K of an instance map; row k belongs to instance k + 1.

    Attributes
    ----------
    boxes_xyxy : (K, 4) int32
        Left, top, right, bottom; right and bottom are exclusive. Zeros where the area is 0.
    areas : (K,) int64
        Number of pixels.
    """

    boxes_xyxy: np.ndarray
    areas: np.ndarray


def instance_table(instance_ids: np.ndarray, count: int) -> InstanceTable:
    """Measure the instances of a map.

    Parameters
    ----------
    instance_ids : (H, W) uint16
        0: no instance. No id is above `count`.
    count : int
        Number of rows of the table.

    Raises
    ------
    ValueError
        The map holds a larger id.
    """
    check_array('instance_ids', instance_ids, ('H', 'W'), np.uint16)
    boxes = np.zeros((count, 4), np.int32)
    areas = np.zeros(count, np.int64)
    instance_ids = np.ascontiguousarray(instance_ids)
    largest = _measure(instance_ids, _words(instance_ids), boxes, areas)
    if largest > count:
        raise ValueError(f'instance_ids: expected ids up to {count}, got {largest}')
    return InstanceTable(boxes, areas)


def _words(instance_ids: np.ndarray) -> np.ndarray:
    """Return a map as words of WORD ids; with rows of length 0 if that is not possible."""
    if instance_ids.shape[1] % WORD or instance_ids.ctypes.data % 8:
        return np.empty((len(instance_ids), 0), np.uint64)
    return instance_ids.view(np.uint64)


@compiled
def _measure(instance_ids, words, boxes, areas):
    """Fill the table run by run, comparing whole words if possible; return the largest id."""
    height, width = instance_ids.shape
    largest = np.uint16(0)
    for y in range(height):
        row, row_words = instance_ids[y], words[y]
        x = 0
        while x < width:
            instance_id = row[x]
            start = x
            x += 1
            while x < width and x % WORD and row[x] == instance_id:
                x += 1
            if x % WORD == 0:
                same = np.uint64(instance_id) * EVERY_ID
                while x // WORD < len(row_words) and row_words[x // WORD] == same:
                    x += WORD
            while x < width and row[x] == instance_id:
                x += 1
            if instance_id == 0:
                continue
            if instance_id > largest:
                largest = instance_id
                if instance_id > len(areas):
                    return largest
            k = np.int64(instance_id) - 1
            if areas[k] == 0:
                boxes[k, 0], boxes[k, 1] = start, y
            boxes[k, 0] = min(boxes[k, 0], start)
            boxes[k, 2] = max(boxes[k, 2], x)
            boxes[k, 3] = y + 1
            areas[k] += x - start
    return largest
