"""Where objects will be: a Kalman filter for each center, all of them at once."""
from __future__ import annotations

import numpy as np

MEASUREMENT_NOISE = 0.1
"""Standard deviation of a measured center in sizes of the object, square roots of its box's area.
(Ours; more than usual for boxes of whole objects, since a mask ends where another hides it.)"""

VELOCITY_NOISE = 2.0
"""Standard deviation of the velocity of a new object in sizes a second. (Ours.)"""

ACCELERATION_NOISE = 0.5
"""Growth of the standard deviation of the velocity in sizes a second, after a second. (Ours.)"""


class Motion:
    """Centers that move with nearly constant velocity, disturbed by white noise.

    Both coordinates have the same variances, as they are measured together.

    Attributes
    ----------
    centers : (K, 2) float64
        (y, x) in pixels.
    velocities : (K, 2) float64
        In pixels a second.
    """

    def __init__(self) -> None:
        self.centers, self.velocities = np.empty((0, 2)), np.empty((0, 2))
        # In units of the squared size, so that they don't depend on it.
        self._center_variance = np.empty(0)
        self._covariance = np.empty(0)
        self._velocity_variance = np.empty(0)

    def predict(self, elapsed: float) -> None:
        """Move on by some seconds."""
        noise = ACCELERATION_NOISE**2
        self.centers = self.centers + self.velocities * elapsed
        self._center_variance = (
            self._center_variance + 2 * elapsed * self._covariance
            + elapsed**2 * self._velocity_variance + noise * elapsed**3 / 3)
        self._covariance = (self._covariance + elapsed * self._velocity_variance
                            + noise * elapsed**2 / 2)
        self._velocity_variance = self._velocity_variance + noise * elapsed

    def squared_distances(self, centers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Return squared Mahalanobis distances (K, D) of measured centers (D, 2).

        Parameters
        ----------
        centers : (D, 2) float64
        sizes : (K,) float64
            Of the objects, in pixels.
        """
        y, x = (self.centers[:, None, axis] - centers[:, axis] for axis in (0, 1))
        variance = (self._center_variance + MEASUREMENT_NOISE**2) * sizes**2
        return (y * y + x * x) / variance[:, None]

    def correct(self, rows: np.ndarray, centers: np.ndarray) -> None:
        """Take measured centers (N, 2) of some objects (N,) into account."""
        innovation = centers - self.centers[rows]
        total = self._center_variance[rows] + MEASUREMENT_NOISE**2
        gain, velocity_gain = self._center_variance[rows] / total, self._covariance[rows] / total
        self.centers[rows] += gain[:, None] * innovation
        self.velocities[rows] += velocity_gain[:, None] * innovation
        self._velocity_variance[rows] -= velocity_gain * self._covariance[rows]
        self._center_variance[rows] *= 1 - gain
        self._covariance[rows] *= 1 - gain

    def append(self, centers: np.ndarray) -> None:
        """Add new objects with these centers (N, 2)."""
        count = len(centers)
        self.centers = np.concatenate([self.centers, centers])
        self.velocities = np.concatenate([self.velocities, np.zeros((count, 2))])
        self._center_variance = np.append(self._center_variance,
                                          np.full(count, MEASUREMENT_NOISE**2))
        self._covariance = np.append(self._covariance, np.zeros(count))
        self._velocity_variance = np.append(self._velocity_variance,
                                            np.full(count, VELOCITY_NOISE**2))

    def select(self, rows: np.ndarray) -> None:
        """Keep some objects only."""
        self.centers, self.velocities = self.centers[rows], self.velocities[rows]
        self._center_variance = self._center_variance[rows]
        self._covariance = self._covariance[rows]
        self._velocity_variance = self._velocity_variance[rows]
