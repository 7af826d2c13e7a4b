"""The result for an image as serialized messages, the same that the node publishes."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

import cv2
import numpy as np

from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import (
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    LABEL_INFO,
    make_header,
    typestore,
)
from instseg_ros.core.types import Instance, ModelInfo, Segmentation
from instseg_ros.visualization import color_labels, overlay

LABELS = ('png', 'raw')
"""How label images are stored: compressed without loss, or as they are published."""

PICTURES = ('overlay/compressed', 'color_labels/compressed')
"""Outputs for the eye, which a result can do without."""

LAST = 'instances'
"""The output that is written last: a frame with it is complete."""

OVERLAY_QUALITY = 90
"""Of the overlay, in percent."""


class EncodingError(ValueError):
    """An image cannot be compressed."""


def output_types(labels: str) -> dict[str, str]:
    """Return the type of each output of a frame by its name below the prefix, in written order.

    By the rule of image_transport, a compressed image is on the topic of the image with
    `/compressed` behind it.

    Parameters
    ----------
    labels : str
        One of `LABELS`.
    """
    kind, suffix = (IMAGE, '') if labels == 'raw' else (COMPRESSED_IMAGE, '/compressed')
    return {f'semantic_image{suffix}': kind, f'instance_image{suffix}': kind,
            **dict.fromkeys(PICTURES, COMPRESSED_IMAGE), LAST: DETECTIONS}


def encode_result(header: Any, image: np.ndarray, segmentation: Segmentation,
                  info: ModelInfo, labels: str) -> dict[str, bytes]:
    """Return the serialized messages about an image by the names of `output_types`.

    Parameters
    ----------
    header : std_msgs/Header
        Of the image.
    image : (H0, W0, 3) uint8
        RGB.
    segmentation : Segmentation
    info : ModelInfo
        For names and palette.
    labels : str
        One of `LABELS`.

    Returns
    -------
    dict of str to bytes
        Without a picture that cannot be encoded: JPEG ends at 65,500 pixels.

    Raises
    ------
    EncodingError
        A label image cannot be encoded.
    """
    encode = _raw if labels == 'raw' else _png
    picture = overlay(image, segmentation, info)
    messages = [encode(header, segmentation.semantic_ids, 'mono8'),
                encode(header, segmentation.instance_ids, 'mono16'),
                detections_message(header, segmentation.instances)]
    types = {name: kind for name, kind in output_types(labels).items() if name not in PICTURES}
    encoded = {name: bytes(typestore().serialize_cdr(message, kind))
               for (name, kind), message in zip(types.items(), messages)}
    encoded.update(encode_pictures(header, picture, segmentation, info))
    return {name: encoded[name] for name in output_types(labels) if name in encoded}


def encode_pictures(header: Any, picture: np.ndarray, segmentation: Segmentation, info: ModelInfo
                    ) -> dict[str, bytes]:
    """Return the serialized messages of `PICTURES`, without those that cannot be encoded.

    Parameters
    ----------
    header : std_msgs/Header
    picture : (H0, W0, 3) uint8
        The overlay.
    segmentation : Segmentation
    info : ModelInfo
    """
    encoded = {}
    for name, make in zip(PICTURES, (
            lambda: compressed_jpeg(header, picture, OVERLAY_QUALITY),
            lambda: _png(header, color_labels(segmentation, info), 'rgb8'))):
        try:
            encoded[name] = bytes(typestore().serialize_cdr(make(), COMPRESSED_IMAGE))
        except (cv2.error, EncodingError):
            continue
    return encoded


def compressed_jpeg(header: Any, image: np.ndarray, quality: int) -> Any:
    """Return a `sensor_msgs/CompressedImage` of an RGB image.

    Parameters
    ----------
    header : std_msgs/Header
    image : (H, W, 3) uint8
    quality : int
        In percent.
    """
    return _compressed(header, '.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                       'rgb8; jpeg compressed bgr8', [cv2.IMWRITE_JPEG_QUALITY, quality])


def _png(header: Any, image: np.ndarray, encoding: str) -> Any:
    # The format is worded as compressed_image_transport does.
    if image.ndim == 3:
        return _compressed(header, '.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                           f'{encoding}; png compressed bgr8')
    return _compressed(header, '.png', image, f'{encoding}; png compressed ')


def _raw(header: Any, image: np.ndarray, encoding: str) -> Any:
    message = make_image(image, 0, '')
    message.header = header
    return message


def _compressed(header: Any, suffix: str, image: np.ndarray, format_: str,
                options: Sequence[int] = ()) -> Any:
    done, data = cv2.imencode(suffix, image, list(options))
    if not done:
        raise EncodingError(f'{suffix}: cannot encode an image of {image.shape} '
                            f'{image.dtype}')
    return typestore().types[COMPRESSED_IMAGE](header=header, format=format_,
                                               data=data.reshape(-1))


def detections_message(header: Any, instances: Sequence[Instance]) -> Any:
    """Return the `vision_msgs/Detection2DArray` of all instances, strongest first."""
    return typestore().types[DETECTIONS](
        header=header, detections=[_detection(header, instance) for instance in instances])


def _detection(header: Any, instance: Instance) -> Any:
    """Return the detection of an instance, with the fields that the node sets."""
    types: Mapping[str, Any] = typestore().types
    left, top, right, bottom = instance.box_xyxy
    center_y, center_x = instance.center_yx
    pose = types['geometry_msgs/msg/Pose'](
        position=types['geometry_msgs/msg/Point'](x=float(center_x), y=float(center_y), z=0.0),
        orientation=types['geometry_msgs/msg/Quaternion'](x=0.0, y=0.0, z=0.0, w=1.0))
    hypothesis = types['vision_msgs/msg/ObjectHypothesisWithPose'](
        hypothesis=types['vision_msgs/msg/ObjectHypothesis'](
            class_id=str(instance.class_id), score=float(instance.score)),
        pose=types['geometry_msgs/msg/PoseWithCovariance'](pose=pose, covariance=np.zeros(36)))
    center = types['vision_msgs/msg/Pose2D'](
        position=types['vision_msgs/msg/Point2D'](x=(left + right) / 2, y=(top + bottom) / 2),
        theta=0.0)
    box = types['vision_msgs/msg/BoundingBox2D'](
        center=center, size_x=float(right - left), size_y=float(bottom - top))
    return types['vision_msgs/msg/Detection2D'](
        header=header, results=[hypothesis], bbox=box, id=str(instance.instance_id))


def label_info_message(stamp: int, info: ModelInfo) -> bytes:
    """Return the serialized `vision_msgs/LabelInfo`; `stamp` is in nanoseconds."""
    types = typestore().types
    message = types[LABEL_INFO](header=make_header(stamp, ''), threshold=0.0, class_map=[
        types['vision_msgs/msg/VisionClass'](class_id=class_id, class_name=name)
        for class_id, name in enumerate(info.class_names)])
    return bytes(typestore().serialize_cdr(message, LABEL_INFO))
