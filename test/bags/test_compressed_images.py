"""JPEG and PNG in messages: pixels, formats, sizes that are looked at first, and damage."""
import struct
from types import SimpleNamespace
from zlib import crc32

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from instseg_ros.bags.compressed_images import decode
from instseg_ros.bags.conversions import find_converter, to_rgb
from instseg_ros.bags.encodings import ImageError
from instseg_ros.limits import Limits

SIDE = st.integers(1, 9)


def compressed(pixels, suffix, text=''):
    """Return a message of an array in the order of OpenCV."""
    data = cv2.imencode(suffix, pixels)[1]
    return SimpleNamespace(format=text or suffix[1:], data=data)


def scene():
    return cv2.resize(np.random.default_rng(5).integers(0, 256, (5, 7, 3), np.uint8), (56, 40))


@given(rgb=st.one_of(arrays(np.uint8, st.tuples(SIDE, SIDE, st.just(3))),
                     arrays(np.uint16, st.tuples(SIDE, SIDE, st.just(3)))))
@pytest.mark.parametrize('text', ['png', 'rgb8; png compressed bgr8', ''])
def test_png_gives_every_pixel(text, rgb):
    result = to_rgb(compressed(rgb[..., ::-1], '.png', text), find_converter())
    np.testing.assert_allclose(result.astype(float), rgb / (1 if rgb.itemsize == 1 else 257),
                               atol=0 if rgb.itemsize == 1 else 1)


def test_jpeg_gives_nearly_every_pixel():
    rgb = scene()
    result = to_rgb(compressed(rgb[..., ::-1], '.jpg', 'bgr8; jpeg compressed bgr8'),
                    find_converter())
    assert np.abs(result.astype(int) - rgb).mean() < 6


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_gray_becomes_three_equal_channels(suffix):
    gray = np.full((8, 16), 130, np.uint8)
    result = to_rgb(compressed(gray, suffix, 'mono8; compressed'), find_converter())
    np.testing.assert_array_equal(result, np.full((8, 16, 3), 130))


def test_alpha_is_left_out():
    bgra = np.dstack([scene()[..., ::-1], np.full((40, 56), 9, np.uint8)])
    np.testing.assert_array_equal(to_rgb(compressed(bgra, '.png'), find_converter()), scene())


@pytest.mark.parametrize('bits', [8, 16])
def test_a_bayer_pattern_that_was_compressed_as_it_is_gets_its_colours(bits):
    mosaic = np.tile(np.array([[200, 100], [100, 50]]), (4, 5))  # red, green; green, blue
    mosaic = mosaic.astype(np.uint8) if bits == 8 else (mosaic * 257).astype(np.uint16)
    result = to_rgb(compressed(mosaic, '.png', f'bayer_rggb{bits}; png compressed '),
                    find_converter())
    np.testing.assert_allclose(result.astype(int), np.full((8, 10, 3), (200, 100, 50)), atol=1)
    with pytest.raises(ImageError, match="unknown Bayer pattern 'bayer_rgbw8'"):
        to_rgb(compressed(mosaic, '.png', 'bayer_rgbw8; png compressed '), find_converter())


@pytest.mark.parametrize('data, text', [
    (b'', 'expected JPEG or PNG, got 0 bytes'), (b'GIF89a', r"got 6 bytes .* b'GIF89a'"),
    (b'\xff\xd8', r'damaged image of 2 bytes \(its end is missing'),
    (b'\xff\xd8\x00\x00', 'damaged headers'), (b'\x89PNG\r\n\x1a\n', 'end is missing')])
def test_what_is_no_image_is_refused(data, text):
    with pytest.raises(ImageError, match=text):
        decode(SimpleNamespace(format='jpeg', data=data))


def test_a_depth_image_is_refused():
    with pytest.raises(ImageError, match='expected a colour or gray image, got a depth image'):
        decode(SimpleNamespace(format='16UC1; compressedDepth png', data=bytes(12)))


@settings(deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), suffix=st.sampled_from(['.png', '.jpg']))
def test_an_image_without_its_end_is_refused(share, suffix):
    message = compressed(scene(), suffix)
    message.data = message.data[:int(share * len(message.data))]
    with pytest.raises(ImageError, match='data: '):
        decode(message)


@settings(deadline=None, max_examples=200)
@given(position=st.integers(0, 10 ** 6), value=st.integers(0, 255),
       suffix=st.sampled_from(['.png', '.jpg']))
def test_any_wrong_byte_is_refused_or_gives_an_image(position, value, suffix):
    message = compressed(scene(), suffix)
    position %= len(message.data)
    changed = message.data[position] != value
    message.data[position] = value
    try:
        result = to_rgb(message, find_converter())
    except ImageError:
        return
    assert result.dtype == np.uint8 and result.shape[2:] == (3,)
    assert suffix == '.jpg' or not changed  # PNG has checksums


def huge_png():
    """Return a PNG file of a few bytes that announces 2.5 billion pixels."""
    def chunk(name, data):
        return (struct.pack('>I', len(data)) + name + data
                + struct.pack('>I', crc32(name + data)))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 50000, 50000, 8, 2, 0,
                                                              0, 0))
            + chunk(b'IDAT', b'x') + chunk(b'IEND', b''))


def huge_jpeg():
    """Return a JPEG file that announces 4.2 billion pixels."""
    data = bytearray(compressed(scene(), '.jpg').data.tobytes())
    frame = data.index(b'\xff\xc0')
    data[frame + 5:frame + 9] = b'\xff' * 4
    return bytes(data)


@pytest.mark.parametrize('make, size', [(huge_png, '50000x50000'), (huge_jpeg, '65535x65535')])
def test_the_size_is_looked_at_before_anything_is_decoded(make, size):
    with pytest.raises(ImageError, match=f'expected at most 67108864 pixels, got {size}'):
        decode(SimpleNamespace(format='', data=make()))


def test_the_limit_can_be_changed():
    message = compressed(scene(), '.png')
    with pytest.raises(ImageError, match='expected at most 2239 pixels, got 56x40'):
        decode(message, Limits(pixels=2239))
    assert decode(message, Limits(pixels=2240)).width == 56
