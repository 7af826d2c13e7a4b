"""Damaged image files of every format; what is read in the end has the right size."""
import cv2
import numpy as np
from mutations import byte_steps, damaged

from instseg_ros.media import read_image, read_labels

FORMATS = ('.png', '.jpg', '.tiff', '.webp', '.bmp', '.ppm', '.gif', '.jp2', '.avif', '.hdr')
CHECKSUMS = ('.png',)
"""Formats in which every damage is noticed."""

SIZE = 40, 56
IMAGE = cv2.resize(np.random.default_rng(5).integers(0, 256, (5, 7, 3), np.uint8), SIZE[::-1])


def encoded(suffix):
    image = IMAGE.astype(np.float32) / 255 if suffix == '.hdr' else IMAGE
    try:
        done, data = cv2.imencode(suffix, image)
    except cv2.error:
        done = False
    return data.tobytes() if done else encoded('.png')


def steps(rng):
    return [['format', rng.choice(FORMATS)], *byte_steps(rng)]


def write(steps, folder):
    suffix = next((step[1] for step in steps if step[0] == 'format'), '.png')
    path = folder / f'picture{suffix}'
    path.write_bytes(damaged(encoded(suffix), [step for step in steps if step[0] != 'format']))
    return path


def check(path):
    data = path.read_bytes()
    image, labels = read_image(path), read_labels(path)
    assert image.ndim == 3 and image.dtype == np.uint8
    assert image.shape[:2] == labels.shape[:2]
    if data.startswith(b'\x89PNG'):
        # The checksums of PNG fit only what was written, whatever stands around it.
        assert np.array_equal(image, IMAGE[..., ::-1])
