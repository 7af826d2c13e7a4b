"""How the pixels of a sensor_msgs/Image lie in memory; checked, and brought into simple order."""
from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

IS_BIGENDIAN = sys.byteorder == 'big'
YUYV = 'yuv422_yuy2'
"""Brightness of each pixel, with the blue or red difference of two pixels by turns."""


class ImageError(ValueError):
    """A message is not an image that can be segmented; the text is the reason."""


@dataclass(frozen=True)
class Planes:
    """Where planar YUV has its colour: behind the brightness of the whole image.

    Attributes
    ----------
    across, down : int
        Pixels side by side, and one above the other, that share a colour.
    apart : bool
        A plane for each of the two values of a colour; else they alternate in one.
    red_first : bool
        The red difference (V) comes ahead of the blue one (U).
    """

    across: int
    down: int
    apart: bool = False
    red_first: bool = False


@dataclass(frozen=True)
class Encoding:
    """Layout of a pixel.

    Attributes
    ----------
    known_as : str
        Name in all converters of this encoding, or of the one that it is brought into.
    dtype : str
        Of a channel.
    channels : int
        Of planar YUV, those of its brightness.
    even_width : bool
        Two pixels side by side share their colour.
    smallest : int
        Side of the smallest image; a Bayer pixel gets its colour from its neighbours.
    planes : Planes, optional
        Of planar YUV.
    """

    known_as: str
    dtype: str = 'uint8'
    channels: int = 1
    even_width: bool = False
    smallest: int = 1
    planes: Planes | None = None

    @property
    def pixel(self) -> int:
        """Bytes of a pixel."""
        return np.dtype(self.dtype).itemsize * self.channels


def _encodings() -> dict[str, Encoding]:
    # As in OpenCV, three unnamed channels are blue, green, red.
    table = {'8UC1': Encoding('mono8'), '8UC3': Encoding('bgr8', channels=3),
             '8UC4': Encoding('bgra8', channels=4), '16UC1': Encoding('mono16', 'uint16'),
             '16UC3': Encoding('bgr16', 'uint16', 3), '16UC4': Encoding('bgra16', 'uint16', 4),
             '32FC1': Encoding('mono8', 'float32')}
    for bits, dtype in ((8, 'uint8'), (16, 'uint16')):
        for name, channels in (('mono', 1), ('rgb', 3), ('bgr', 3), ('rgba', 4), ('bgra', 4)):
            table[f'{name}{bits}'] = Encoding(f'{name}{bits}', dtype, channels)
        for pattern in ('rggb', 'bggr', 'gbrg', 'grbg'):
            name = f'bayer_{pattern}{bits}'
            table[name] = Encoding(name, dtype, smallest=3)
    for name, known_as in (('uyvy', 'yuv422'), ('yuyv', YUYV)):
        table[name] = table[known_as] = Encoding(known_as, channels=2, even_width=True)
    for name, planes in (('nv12', Planes(2, 2)), ('nv21', Planes(2, 2, red_first=True)),
                         ('nv24', Planes(1, 1)), ('yuv420', Planes(2, 2, apart=True)),
                         ('i420', Planes(2, 2, apart=True))):
        table[name] = Encoding(YUYV, even_width=planes.across == 2, planes=planes)
    return table


ENCODINGS = _encodings()
"""Every supported encoding."""


@dataclass(frozen=True)
class PackedImage:
    """The fields of a message that converters read: rows unpadded, in the machine's byte order."""

    encoding: str
    height: int
    width: int
    step: int
    is_bigendian: int
    data: np.ndarray

    @classmethod
    def of(cls, pixels: np.ndarray, encoding: str) -> PackedImage:
        """Return an image of an array, (H, W) or (H, W, C)."""
        pixels = np.ascontiguousarray(pixels)
        height, width = pixels.shape[:2]
        data = pixels.reshape(-1).view(np.uint8)
        return cls(encoding, height, width, data.size // height, int(IS_BIGENDIAN), data)


def check_image(message: Any) -> Encoding:
    """Check the fields of a message against each other and return the layout of its pixels.

    Raises
    ------
    ImageError
        A field is wrong; the text has the expected value and the given one.
    """
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise ImageError(f'encoding: expected one of {", ".join(sorted(ENCODINGS))}, '
                         f'got {message.encoding!r:.80}')
    height, width, step = message.height, message.width, message.step
    if min(height, width) < encoding.smallest:
        raise ImageError(f'size: expected at least {encoding.smallest}x{encoding.smallest} '
                         f'{message.encoding} pixels, got {width}x{height}')
    if encoding.even_width and width % 2:
        raise ImageError(f'size: expected an even width for {message.encoding}, '
                         f'got {width}x{height}')
    if step < width * encoding.pixel:
        raise ImageError(f'step: expected at least {width * encoding.pixel} bytes for a row of '
                         f'{width} {message.encoding} pixels, got {step}')
    if encoding.planes:
        _check_planes(message, encoding.planes)
    elif len(message.data) != height * step:
        raise ImageError(f'data: expected {height * step} bytes for {height} rows of {step} '
                         f'bytes, got {len(message.data)}')
    return encoding


def _check_planes(message: Any, planes: Planes) -> None:
    height, step, size = message.height, brightness_step(message, planes), len(message.data)
    if height % planes.down:
        raise ImageError(f'size: expected an even height for {message.encoding}, '
                         f'got {message.width}x{height}')
    if planes.apart and step % planes.across:
        raise ImageError(f'step: expected an even number of bytes for {message.encoding}, '
                         f'got {step}')
    if size != height * step + colour_bytes(height * step, planes):
        raise ImageError(f'data: expected {height * step + colour_bytes(height * step, planes)} '
                         f'bytes for {height} {message.encoding} rows of {step} bytes, '
                         f'got {size}')


def colour_bytes(brightness: int, planes: Planes) -> int:
    """Return how many bytes of colour belong to bytes of brightness."""
    return 2 * brightness // (planes.across * planes.down)


def brightness_step(message: Any, planes: Planes) -> int:
    """Return the bytes of a row of the brightness of planar YUV.

    Some drivers give the bytes of the whole image by its height instead; then rows are unpadded.
    """
    width, height = message.width, message.height
    whole = width + colour_bytes(width * planes.down, planes) // planes.down
    unpadded = height * width + colour_bytes(height * width, planes)
    return width if message.step == whole and len(message.data) == unpadded else message.step


def pack(message: Any, encoding: Encoding) -> PackedImage:
    """Return a checked message without padding of rows and in the machine's byte order.

    Raises
    ------
    ImageError
        Its values are not those of an image.
    """
    if encoding.planes:
        data = np.frombuffer(message.data, np.uint8)
        return PackedImage.of(_interleave(message, data, encoding.planes), encoding.known_as)
    rows = rows_of(message, encoding)
    if rows.dtype.kind == 'f':
        rows = _gray_from_float(rows)
    pixels = rows.reshape(message.height, message.width, encoding.channels)
    return PackedImage.of(pixels, encoding.known_as)


def rows_of(message: Any, encoding: Encoding) -> np.ndarray:
    """Return the pixels of a checked message that is not planar, without padding.

    Returns
    -------
    (H, W * channels)
        Of the encoding's dtype, in the machine's byte order; perhaps in the message's memory.
    """
    data = np.frombuffer(message.data, np.uint8)
    rows = np.ascontiguousarray(
        data.reshape(message.height, message.step)[:, :message.width * encoding.pixel])
    dtype = np.dtype(encoding.dtype)
    if dtype.itemsize > 1:
        rows = rows.view(dtype)
        if bool(message.is_bigendian) != IS_BIGENDIAN:
            rows = rows.byteswap()
    return rows


def _gray_from_float(gray: np.ndarray) -> np.ndarray:
    lowest, highest = gray.min(), gray.max()  # NaN if one is
    if not (lowest >= 0 and highest <= 1):
        raise ImageError(f'data: expected 32FC1 gray from 0 to 1, got {lowest:g} to {highest:g}; '
                         'depth images cannot be segmented')
    return np.rint(gray * 255).astype(np.uint8)


def _interleave(message: Any, data: np.ndarray, planes: Planes) -> np.ndarray:
    """Return planar YUV as (H, W, 2) with brightness and colour side by side, as YUYV.

    In YUYV two pixels share a colour. So where each pixel has its own, each is there twice, side
    by side.
    """
    height, width, step = message.height, message.width, brightness_step(message, planes)
    brightness = data[:height * step].reshape(height, step)[:, :width]
    rows, columns = height // planes.down, width // planes.across
    if planes.apart:
        halves = data[height * step:].reshape(2, rows, step // planes.across)[:, :, :columns]
        first, second = halves
    else:
        pairs = data[height * step:].reshape(rows, 2 * step // planes.across)
        first, second = pairs[:, :2 * columns:2], pairs[:, 1:2 * columns:2]
    blue, red = (second, first) if planes.red_first else (first, second)
    pixels = np.empty((height, 2 * columns, 2), np.uint8)
    pixels[..., 0] = np.repeat(brightness, 2 * columns // width, axis=1)
    pixels[:, ::2, 1] = np.repeat(blue, planes.down, axis=0)
    pixels[:, 1::2, 1] = np.repeat(red, planes.down, axis=0)
    return pixels
