"""Recordings of a made-up scene in which the tiny model finds objects."""
import cv2
import numpy as np
import tiny_models

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import COMPRESSED_IMAGE, IMAGE, make_header, typestore

SIZE = (64, 96)
SECOND = 10 ** 9
FRONT, REAR, NOTES = '/front/image_raw', '/rear/image/compressed', '/notes'
STRING = 'std_msgs/msg/String'


def scene(number):
    """Return the picture of a person that walks past a car."""
    left = 4 + 4 * number % 32
    labels = tiny_models.rectangles(SIZE, [(1, (left, 8, left + 12, 40)), (3, (8, 48, 40, 60))])
    return tiny_models.paint_scene(*labels, tiny_models.tiny_info())


def raw(number, stamp):
    """Return a serialized image of the scene."""
    return bytes(typestore().serialize_cdr(make_image(scene(number), stamp, 'front'), IMAGE))


def jpeg(number, stamp):
    """Return a serialized, compressed image of the scene."""
    data = cv2.imencode('.png', cv2.cvtColor(scene(number), cv2.COLOR_RGB2BGR))[1]
    message = typestore().types[COMPRESSED_IMAGE](
        header=make_header(stamp, 'rear'), format='png', data=data.reshape(-1))
    return bytes(typestore().serialize_cdr(message, COMPRESSED_IMAGE))


def text(words):
    """Return a serialized string."""
    return bytes(typestore().serialize_cdr(typestore().types[STRING](data=words), STRING))


def write_camera(path, *, count=6, rear=False, notes=False, bad=(), writer=BagWriter):
    """Write a bag with an image every 0.1 s; images of the numbers in `bad` are broken."""
    with writer(path) as bag:
        bag.add_topic(FRONT, IMAGE)
        if rear:
            bag.add_topic(REAR, COMPRESSED_IMAGE)
        if notes:
            bag.add_topic(NOTES, STRING)
        for number in range(count):
            time = SECOND + number * SECOND // 10
            if number in bad:
                broken = make_image(np.zeros((4, 4, 3), np.uint8), time, 'front')
                broken.encoding = 'smell8'
                bag.write_message(FRONT, time, broken)
            else:
                bag.write(FRONT, time, raw(number, time - 7))
            if rear:
                bag.write(REAR, time, jpeg(number, time))
            if notes:
                bag.write(NOTES, time + 1, text(f'note {number}'))
    return path
