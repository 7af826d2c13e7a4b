"""One segmented frame, as pictures and tables for the page."""
from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np

from instseg_ros.core.types import ModelInfo, Segmentation
from instseg_ros.visualization import instance_color, overlay

LAYERS = ('overlay', 'image')
"""What a picture may show: the segmentation over the image, or the image alone."""

LONG_SIDE = 1920
"""Pixels; larger pictures are sent scaled down."""
JPEG_QUALITY = 88


class Picture:
    """The result for one frame, or the reason why there is none; encoded once for all viewers.

    Parameters
    ----------
    serial : int
        Counts all pictures of a player, from 1.
    number, label
        Of the frame.
    image : (H0, W0, 3) uint8, RGB, optional
    segmentation : Segmentation, optional
    info : ModelInfo, optional
        These three are left out if there is a problem.
    network_ran : bool
        Whether the network ran for this picture; if not, only options changed.
    problem : str
        Why the frame can't be shown.
    """

    def __init__(self, serial: int, number: int, label: str = '', image: np.ndarray | None = None,
                 segmentation: Segmentation | None = None, info: ModelInfo | None = None,
                 network_ran: bool = True, problem: str = '') -> None:
        self.serial, self.number, self.label = serial, number, label
        self.problem = problem
        self.image, self.segmentation, self.info = image, segmentation, info
        self._network_ran = network_ran
        self._lock = threading.Lock()
        self._encoded: dict[str, bytes] = {}

    def jpeg(self, layer: str) -> bytes:
        """Return one of `LAYERS`, at most `LONG_SIDE` pixels long; empty if there is a problem."""
        if self.image is None or self.segmentation is None or self.info is None:
            return b''
        with self._lock:
            if layer not in self._encoded:
                shown = self.image if layer == 'image' else overlay(
                    self.image, self.segmentation, self.info)
                self._encoded[layer] = encode(shown)
            return self._encoded[layer]

    def describe(self) -> dict[str, Any]:
        """Return all that is said about the picture, for JSON; times in milliseconds."""
        said: dict[str, Any] = {'serial': self.serial, 'number': self.number,
                                'label': self.label, 'problem': self.problem}
        if self.image is None or self.segmentation is None:
            return said
        height, width = self.image.shape[:2]
        result = self.segmentation
        return {**said, 'height': height, 'width': width, 'network_ran': self._network_ran,
                'dropped': result.instances_dropped,
                'timings': {stage: 1000 * seconds for stage, seconds in result.timings.items()},
                'objects': [{'id': item.instance_id, 'class_name': item.class_name,
                             'score': item.score, 'area': item.area,
                             'box_xyxy': [int(edge) for edge in item.box_xyxy],
                             'color': instance_color(item.instance_id)}
                            for item in result.instances]}


def encode(image: np.ndarray) -> bytes:
    """Return an RGB image as JPEG, at most `LONG_SIDE` pixels long."""
    scale = LONG_SIDE / max(image.shape[:2])
    if scale < 1:
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                              [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f'an image of shape {image.shape} cannot be encoded as JPEG')
    return data.tobytes()
