"""Scenes for `instseg segment`, in which the tiny model finds exactly what was painted."""
import json

import cv2
import tiny_models

from instseg_ros.media import VideoWriter, write_image

INFO = tiny_models.tiny_info()
SIZE = (120, 160)


def scene(number=0):
    """Return label maps with a person whose place depends on the number, and a car."""
    left = 16 + 4 * number
    return tiny_models.rectangles(
        SIZE, [(1, (left, 16, left + 20, 56)), (3, (8, 80, 48, 108))])


def paint(number=0):
    """Return a picture in which the tiny model finds exactly `scene(number)`."""
    return tiny_models.paint_scene(*scene(number), INFO)


def write_scene(path, number=0):
    """Write a picture of a scene."""
    write_image(path, paint(number))
    return path


def write_scenes(path, count):
    """Write a video of scenes, 10 a second."""
    with VideoWriter(path, 10) as video:
        for number in range(count):
            video.write(paint(number))
    return path


def read_labels(path):
    """Return a label image as it is in the file."""
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def read_records(out):
    """Return the objects in instances.jsonl."""
    return [json.loads(line) for line in (out / 'instances.jsonl').read_text().splitlines()]


def files(folder):
    """Return the relative paths of all files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()}
