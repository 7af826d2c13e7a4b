"""Messages of images in every encoding, for tests."""
import array
from types import SimpleNamespace

import numpy as np

Image = SimpleNamespace  # any object with the fields of a sensor_msgs/Image


def message(pixels, encoding, *, padding=0, bigendian=False):
    """Return a message of an array, (H, W) or (H, W, C), with `padding` bytes after each row."""
    pixels = np.asarray(pixels)
    pixels = pixels.astype(pixels.dtype.newbyteorder('>' if bigendian else '<'))
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    return Image(height=height, width=width, encoding=encoding, is_bigendian=int(bigendian),
                 step=rows.shape[1], data=array.array('B', rows.tobytes()))


def encode_yuv(rgb, order):
    """Encode pairs of equal pixels by the studio-range formula of BT.601."""
    red, green, blue = (rgb[:, ::2, channel].astype(float) for channel in range(3))
    bright = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    blueness = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    redness = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    first = (blueness, redness) if order == 'uyvy' else (bright, bright)
    second = (bright, bright) if order == 'uyvy' else (blueness, redness)
    pixels = np.empty((*rgb.shape[:2], 2))
    pixels[:, ::2, 0], pixels[:, 1::2, 0] = first
    pixels[:, ::2, 1], pixels[:, 1::2, 1] = second
    return np.round(pixels).astype(np.uint8)


PLANAR = {'nv12': ('uv', 2), 'nv21': ('vu', 2), 'nv24': ('uv', 1), 'yuv420': ('u', 'v', 2),
          'i420': ('u', 'v', 2)}
"""The planes of the colour, each with its channels, and the side of a patch of one colour."""


def planar(rgb, encoding, *, padding=0):
    """Return a message in planar YUV; `rgb` has patches of one colour."""
    *planes, side = PLANAR[encoding]
    yuv = encode_yuv(np.repeat(rgb, 2, axis=1), 'yuyv')
    values = {'u': yuv[::side, ::2 * side, 1], 'v': yuv[::side, 1::2 * side, 1]}
    rows = [yuv[:, ::2, 0]] + [
        np.stack([values[name] for name in plane], axis=2).reshape(len(values['u']), -1)
        for plane in planes]
    height, width = rgb.shape[:2]
    step = width + padding
    data = b''
    for plane in rows:
        share = plane.shape[1] / width
        data += np.pad(plane, ((0, 0), (0, round(padding * share))),
                       constant_values=99).tobytes()
    return Image(height=height, width=width, encoding=encoding, is_bigendian=0, step=step,
                 data=array.array('B', data))
