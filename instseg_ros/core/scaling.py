"""From the camera image to the network's input, and from output to image coordinates.

The image is scaled to a given length of its long side, keeping its aspect ratio, and padded at the
bottom and on the right. Pixel and output coordinates refer to centers: the first
pixel's is at 0, its upper left corner at -0.5. Then, for image height H0, scaled height H1 and
output stride s,

    output = (image + 0.5) * (H1 / H0) / s - 0.5

and likewise in x. H1 / H0 and W1 / W0 differ by the rounding of H1 and W1 to whole pixels.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from instseg_ros.core.types import NetworkOutput

PADDING = 128
"""Value of padded pixels: about the middle of the range of the network's input."""


@dataclass(frozen=True)
class ScaledImage:
    """An image scaled for the network, and its relation to the original.

    Attributes
    ----------
    pixels : (H, W, 3) uint8, RGB
        The scaled and padded image; the image itself if it has that size already.
    grid : (int, int)
        Number of rows and columns of the output that show the image rather than padding.
    scale : (float, float)
        Output pixels per image pixel in y and x.
    """

    pixels: np.ndarray
    grid: tuple[int, int]
    scale: tuple[float, float]

    def crop(self, output: NetworkOutput) -> NetworkOutput:
        """Return the part of the network's output that shows the image, contiguous.

        A copy is made only if columns are left out, that is for a portrait image with padding.
        """
        def crop(array):
            if isinstance(array, np.ndarray):
                return np.ascontiguousarray(array[:rows, :columns])
            return array and array.crop(rows, columns)

        rows, columns = self.grid
        return NetworkOutput(crop(output.semantic_ids), crop(output.center_heatmap),
                             crop(output.embedding), crop(output.semantic_confidence))


def scale_image(image: np.ndarray, long_side: int, size_multiple: int,
                output_stride: int) -> ScaledImage:
    """Scale and pad an image for the network.

    Parameters
    ----------
    image : (H0, W0, 3) uint8
        Not empty.
    long_side : int
        Longer side of the scaled image in pixels.
    size_multiple : int
        Height and width are padded to multiples of this.
    output_stride : int
        Pixels of the network's input per output pixel.
    """
    sides = image.shape[:2]
    scaled = _scaled_size(sides, long_side)
    padded = padded_size(sides, long_side, size_multiple)
    # Area averaging avoids aliasing when shrinking, but does not interpolate when enlarging.
    method = cv2.INTER_AREA if long_side < max(sides) else cv2.INTER_LINEAR
    if padded == scaled == sides:
        pixels = np.ascontiguousarray(image)
    else:
        pixels = np.empty((*padded, 3), np.uint8)
        pixels[scaled[0]:] = pixels[:scaled[0], scaled[1]:] = PADDING
        inside = pixels[:scaled[0], :scaled[1]]
        if scaled == sides:
            inside[:] = image
        else:
            cv2.resize(image, scaled[::-1], dst=inside, interpolation=method)
    grid = -(-scaled[0] // output_stride), -(-scaled[1] // output_stride)
    scale = scaled[0] / sides[0] / output_stride, scaled[1] / sides[1] / output_stride
    return ScaledImage(pixels=pixels, grid=grid, scale=scale)


def padded_size(sides: tuple[int, int], long_side: int, size_multiple: int) -> tuple[int, int]:
    """Return height and width of what `scale_image` makes of an image of this height and width."""
    height, width = (-(-side // size_multiple) * size_multiple
                     for side in _scaled_size(sides, long_side))
    return height, width


def _scaled_size(sides: tuple[int, int], long_side: int) -> tuple[int, int]:
    height, width = (max(1, _round(side * long_side, max(sides))) for side in sides)
    return height, width


def to_image(coordinate: float | np.ndarray, scale: float | np.ndarray) -> float | np.ndarray:
    """Return the image coordinates of output coordinates along axes of these scales."""
    return (coordinate + 0.5) / scale - 0.5


def _round(numerator: int, denominator: int) -> int:
    """Round a quotient half up, exactly."""
    return (2 * numerator + denominator) // (2 * denominator)
