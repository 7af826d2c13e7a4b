"""The compressed label image in colours: an indexed PNG that every decoder reads as RGB."""
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_info

from instseg_ros.bags.messages import MESSAGE_TYPES, make_header
from instseg_ros.core.types import UNLABELLED, Segmentation
from instseg_ros.media.integrity import find_damage
from instseg_ros.messages.images import indexed_png_message
from instseg_ros.messages.results import OUTPUTS, Result

INFO = tiny_info()
INDEXED = 3
"""Type of color in the header of a PNG file."""


def decoded(message):
    """Return the pixels of a CompressedImage, RGB."""
    assert message.format == 'rgb8; png compressed bgr8'
    assert not find_damage(bytes(message.data))
    return cv2.imdecode(message.data, cv2.IMREAD_UNCHANGED)[..., ::-1]


@settings(deadline=None)
@given(seed=st.integers(0, 2 ** 32 - 1), colors=st.integers(1, 256),
       height=st.integers(1, 40), width=st.integers(1, 40))
def test_an_indexed_image_decodes_to_the_colors_of_its_palette(seed, colors, height, width):
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (colors, 3), np.uint8)
    index = rng.integers(0, colors, (height, width), np.uint8)
    message = indexed_png_message(MESSAGE_TYPES, make_header(7, 'camera'), index, palette)
    assert np.array_equal(decoded(message), palette[index])


@pytest.mark.parametrize('number, indexed', [(3, True), (65535, True), (400, False)])
def test_compressed_color_labels_are_those_of_the_image(number, indexed):
    """Also where there are more colours than 8 bits can tell apart."""
    semantic_ids = np.zeros((24, 32), np.uint8)
    semantic_ids[:, 8:], semantic_ids[:2] = 1, UNLABELLED
    instance_ids = np.zeros((24, 32), np.uint16)
    instance_ids[4:8, 4:8] = number
    if not indexed:
        instance_ids[4:] = np.arange(1, 641).reshape(20, 32)
    result = Result(make_header(7, 'camera'), np.zeros((24, 32, 3), np.uint8),
                    Segmentation(semantic_ids, instance_ids), INFO)
    raw = OUTPUTS['color_labels'].make(MESSAGE_TYPES, result)
    message = OUTPUTS['color_labels/compressed'].make(MESSAGE_TYPES, result)
    assert np.array_equal(decoded(message), raw.data.reshape(24, 32, 3))
    assert (message.data[25] == INDEXED) == indexed
