"""Image files."""
from __future__ import annotations

import os
import re
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Iterator

import cv2
import numpy as np

from instseg_ros.files import replacing
from instseg_ros.limits import MAX_IMAGE_BYTES, MAX_PIXELS
from instseg_ros.media.files import MediaError, check_file
from instseg_ros.media.headers import check_size
from instseg_ros.media.integrity import find_damage

COMPLAINT = re.compile(r'^\[ERROR:|Corrupt JPEG|Premature end of JPEG|libpng error'
                       r'|^(TIFF\w*|\w+Decode): (?!Warning)')
"""Words in a line on stderr by which a decoder of OpenCV tells of damage."""

_stderr_lock = Lock()


def is_image(path: Path | str) -> bool:
    """Return whether a path is a regular file for whose content OpenCV has a decoder."""
    return Path(path).is_file() and cv2.haveImageReader(str(path))


def read_image(path: Path | str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return an image file as (H, W, 3) uint8, RGB, turned upright as its EXIF data say.

    Raises
    ------
    OSError
        There is no such file, or it may not be read.
    MediaError
        It is no image that OpenCV decodes, a damaged one, or one of more than `max_pixels`.
    """
    image, damage = load_image(path, max_pixels)
    if damage:
        raise MediaError(damage)
    return image


def load_image(path: Path | str, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, str]:
    """Return a possibly damaged image, and what the decoder complained about.

    Returns
    -------
    image : (H, W, 3) uint8
        As of `read_image`, which raises the same errors.
    damage : str
        A sentence if the decoder found damage and went on; else empty.
    """
    image, damage = _decode(path, cv2.IMREAD_COLOR, max_pixels)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), damage


def read_labels(path: Path | str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return an image file with its own channels and bits; colours are BGR, nothing is turned.

    Raises
    ------
    OSError, MediaError
        As of `read_image`.
    """
    labels, damage = _decode(path, cv2.IMREAD_UNCHANGED, max_pixels)
    if damage:
        raise MediaError(damage)
    return labels


def _decode(path: Path | str, flags: int, max_pixels: int) -> tuple[np.ndarray, str]:
    """Return what OpenCV decodes of a file, and the damage that it found on the way."""
    path = check_file(path)
    if path.stat().st_size > MAX_IMAGE_BYTES:
        raise MediaError(f'{path}: expected an image of at most {MAX_IMAGE_BYTES} bytes, got '
                         f'{path.stat().st_size}')
    data = path.read_bytes()
    check_size(path, data, max_pixels)
    with decoder_complaints() as complaints:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error:
            image = None
    if image is None:
        raise MediaError(f'{path}: expected an image, got a file that is damaged, truncated or of '
                         'another kind')
    damage = complaints[0] if complaints else find_damage(data)
    return image, f'{path}: damaged image, decoded in part ({damage})' if damage else ''


@contextmanager
def decoder_complaints() -> Iterator[list[str]]:
    """Collect what the decoders print on stderr: they have no other way to tell of damage.

    The list is filled at the end. Lines of others go on to stderr.
    """
    complaints: list[str] = []
    with _stderr_lock, tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield complaints
        finally:
            os.dup2(stderr, 2)
            caught.seek(0)
            for line in caught.read().decode(errors='replace').splitlines(keepends=True):
                if COMPLAINT.search(line):
                    complaints.append(line.strip())
                elif line.strip():
                    os.write(stderr, line.encode())
            os.close(stderr)


def write_image(path: Path | str, image: np.ndarray) -> None:
    """Write an RGB image, or a label image of 8 or 16 bits, losslessly if `path` ends in .png.

    Parameters
    ----------
    path : path
        The suffix names the format. Parent folders are made.
    image : (H, W, 3) uint8 or (H, W) uint8 or uint16
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(Path(path).suffix, image)
    if not done:
        raise MediaError(f'{path}: this image of {image.shape} {image.dtype} cannot be encoded')
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())
