"""Class of each pixel: confusion matrix, IoU of each class, their mean (mIoU)."""
from __future__ import annotations

import numpy as np

from instseg_ros.core.types import UNLABELLED, check_array


class SemanticScore:
    """Pixels of one or, added up with `+`, many images.

    Pixels whose true label is 255 (ignore) don't count. A predicted 255 (unlabelled) is wrong
    whatever the truth.

    Parameters
    ----------
    class_count : int

    Attributes
    ----------
    confusion : (C, C + 1) int64
        Pixels of true class [row] predicted as [column]; the last column: as unlabelled.
    """

    def __init__(self, class_count: int) -> None:
        self.confusion = np.zeros((class_count, class_count + 1), np.int64)

    def __add__(self, other: SemanticScore) -> SemanticScore:
        result = SemanticScore(len(self.confusion))
        result.confusion = self.confusion + other.confusion
        return result

    def update(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Add an image.

        Parameters
        ----------
        truth, predicted : (H0, W0) uint8
            Semantic ids.

        Raises
        ------
        TypeError, ValueError
            Another dtype, different shapes, or an id that is neither a class nor 255.
        """
        check_array('truth', truth, ('H0', 'W0'), np.uint8)
        check_array('predicted', predicted, truth.shape, np.uint8)
        count = len(self.confusion)
        pairs = np.bincount((truth.astype(np.intp) << 8 | predicted).ravel(), minlength=65536)
        pairs = pairs.reshape(256, 256)
        for name, totals in (('truth', pairs.sum(axis=1)), ('predicted', pairs.sum(axis=0))):
            unknown = np.flatnonzero(totals[count:UNLABELLED])
            if unknown.size:
                raise ValueError(f'{name}: expected semantic ids below {count} or {UNLABELLED}, '
                                 f'got {count + unknown[0]}')
        self.confusion[:, :count] += pairs[:count, :count]
        self.confusion[:, count] += pairs[:count, UNLABELLED]

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class, (C,) float64.

        nan for a class that is neither in the truth nor predicted (on pixels that count).
        """
        met = np.diagonal(self.confusion)
        union = self.confusion.sum(axis=1) + self.confusion[:, :len(met)].sum(axis=0) - met
        return np.divide(met, union, out=np.full(len(met), np.nan), where=union > 0)

    @property
    def miou(self) -> float:
        """Mean IoU of the classes that have one; nan without any."""
        return mean_of_known(self.iou)


def mean_of_known(values: np.ndarray) -> float:
    """Return the mean of the values that are not nan; nan if all are."""
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.mean()) if known.size else float('nan')
