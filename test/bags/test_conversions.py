"""Every encoding against pixels worked out by hand, and every way in which a message can lie."""
import array
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_messages import PLANAR, Image, encode_yuv, message, planar

from instseg_ros.bags import conversions
from instseg_ros.bags.conversions import find_converter, to_rgb
from instseg_ros.bags.encodings import ENCODINGS, Encoding, ImageError

COLOR = (200, 100, 50)
BAYER = {'rggb': ((0, 1), (1, 2)), 'bggr': ((2, 1), (1, 0)),
         'gbrg': ((1, 2), (0, 1)), 'grbg': ((1, 0), (2, 1))}


def works(maker):
    """Return whether a converter is installed and, if it is cv_bridge, chosen."""
    try:
        name = getattr(conversions, maker)().name
    except ImportError:
        return False
    return maker == '_rosbags' or find_converter().name == name


@pytest.fixture(scope='module', params=['_cv_bridge', '_rosbags'])
def converter(request):
    """Return each of the converters that work on this machine."""
    if not works(request.param):
        pytest.skip(f'needs {request.param[1:]}')
    return getattr(conversions, request.param)()


def random_rgb(height=6, width=8):
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize('encoding, order', [
    ('rgb8', (0, 1, 2)), ('bgr8', (2, 1, 0)), ('8UC3', (2, 1, 0)), ('rgba8', (0, 1, 2, 3)),
    ('bgra8', (2, 1, 0, 3)), ('8UC4', (2, 1, 0, 3))])
def test_channels_are_put_in_order(converter, encoding, order):
    rgb = random_rgb()
    alpha = np.full((*rgb.shape[:2], 1), 7, np.uint8)
    pixels = np.concatenate([rgb, alpha], axis=2)[..., order]
    result = to_rgb(message(pixels, encoding), converter)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, rgb)


@pytest.mark.parametrize('encoding, order', [
    ('rgb16', (0, 1, 2)), ('bgr16', (2, 1, 0)), ('rgba16', (0, 1, 2, 3)),
    ('bgra16', (2, 1, 0, 3))])
@pytest.mark.parametrize('bigendian', [False, True])
def test_16_bit_colours_are_scaled_from_their_full_range(converter, encoding, order, bigendian):
    rgb = random_rgb()
    alpha = np.full((*rgb.shape[:2], 1), 7, np.uint8)
    pixels = np.concatenate([rgb, alpha], axis=2)[..., order].astype(np.uint16) * 257
    result = to_rgb(message(pixels, encoding, bigendian=bigendian), converter)
    np.testing.assert_allclose(result.astype(int), rgb, atol=1)


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_gray_becomes_three_equal_channels(converter, encoding):
    gray = random_rgb()[..., 0]
    result = to_rgb(message(gray, encoding), converter)
    np.testing.assert_array_equal(result, np.stack([gray] * 3, axis=2))


@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
@pytest.mark.parametrize('bigendian', [False, True])
def test_16_bit_gray_is_scaled_in_either_byte_order(converter, encoding, bigendian):
    gray = np.array([[0, 255, 256, 32768], [1000, 40000, 65534, 65535]], np.uint16)
    result = to_rgb(message(gray, encoding, bigendian=bigendian), converter)
    np.testing.assert_allclose(result[..., 1], gray / 257, atol=1)


@pytest.mark.parametrize('pattern', BAYER)
@pytest.mark.parametrize('bits', [8, 16])
def test_bayer_patterns_show_the_colour_behind_the_filter(converter, pattern, bits):
    scale, dtype = (1, np.uint8) if bits == 8 else (257, np.uint16)
    tile = np.array([[COLOR[channel] for channel in row] for row in BAYER[pattern]])
    mosaic = (np.tile(tile, (4, 5)) * scale).astype(dtype)
    result = to_rgb(message(mosaic, f'bayer_{pattern}{bits}'), converter)
    np.testing.assert_allclose(result.astype(int), np.full((8, 10, 3), COLOR), atol=1)


@pytest.mark.parametrize('encoding, order', [('uyvy', 'uyvy'), ('yuv422', 'uyvy'),
                                             ('yuyv', 'yuyv'), ('yuv422_yuy2', 'yuyv')])
def test_yuv_is_decoded(converter, encoding, order):
    rgb = np.repeat(random_rgb(4, 3), 2, axis=1)
    result = to_rgb(message(encode_yuv(rgb, order), encoding), converter)
    np.testing.assert_allclose(result.astype(int), rgb, atol=4)


@pytest.mark.parametrize('encoding', PLANAR)
@pytest.mark.parametrize('padding', [0, 6])
def test_planar_yuv_is_decoded_whatever_its_step(converter, encoding, padding):
    side = PLANAR[encoding][-1]
    rgb = random_rgb(6 // side, 8 // side).repeat(side, axis=0).repeat(side, axis=1)
    result = to_rgb(planar(rgb, encoding, padding=padding), converter)
    np.testing.assert_allclose(result.astype(int), rgb, atol=4)


@pytest.mark.parametrize('encoding', PLANAR)
def test_a_step_of_the_whole_image_is_understood(encoding):
    """As some drivers give it: all bytes by the height."""
    image = planar(random_rgb(), encoding)
    expected = to_rgb(image, find_converter())
    image.step = len(image.data) // image.height
    np.testing.assert_array_equal(to_rgb(image, find_converter()), expected)


@pytest.mark.parametrize('change, text', [
    ({'width': 7}, 'size: expected an even width for nv12, got 7x6'),
    ({'height': 5}, 'size: expected an even height for nv12, got 8x5'),
    ({'step': 7}, 'step: expected at least 8 bytes'),
    ({'data': array.array('B', bytes(48))}, 'data: expected 72 bytes for 6 nv12 rows .* got 48'),
    ({'encoding': 'yuv420', 'step': 9}, 'step: expected an even number'),
    ({'encoding': 'nv24'}, 'data: expected 144 bytes .* got 72')])
def test_planar_yuv_that_contradicts_itself_is_refused(change, text):
    bad = planar(random_rgb(), 'nv12')
    vars(bad).update(change)
    with pytest.raises(ImageError, match=text):
        to_rgb(bad, find_converter())


@pytest.mark.parametrize('bigendian', [False, True])
def test_unnamed_channels_of_16_bits_are_blue_green_red(converter, bigendian):
    rgb = random_rgb()
    pixels = rgb[..., ::-1].astype(np.uint16) * 257
    result = to_rgb(message(pixels, '16UC3', bigendian=bigendian), converter)
    np.testing.assert_allclose(result.astype(int), rgb, atol=1)


@pytest.mark.parametrize('bigendian', [False, True])
def test_float_gray_is_scaled_from_0_to_1(converter, bigendian):
    gray = np.float32([[0, 0.25, 0.5], [0.75, 0.999, 1]])
    result = to_rgb(message(gray, '32FC1', bigendian=bigendian), converter)
    np.testing.assert_allclose(result[..., 2], gray * 255, atol=0.51)


@pytest.mark.parametrize('value', [-0.1, 1.5, np.nan, np.inf])
def test_a_depth_image_is_refused(value):
    with pytest.raises(ImageError, match='expected 32FC1 gray from 0 to 1, got .* depth images'):
        to_rgb(message(np.float32([[0.5, value]]), '32FC1'), find_converter())


@settings(deadline=None)
@given(name=st.sampled_from(sorted(set(ENCODINGS) - set(PLANAR))), height=st.integers(3, 9),
       width=st.integers(2, 5).map(lambda half: 2 * half), padding=st.integers(1, 9),
       seed=st.integers(0, 99))
def test_padding_of_rows_changes_no_pixel(name, height, width, padding, seed):
    """Whether or not a row is a whole number of pixels."""
    encoding = ENCODINGS[name]
    shape, generator = (height, width, encoding.channels), np.random.default_rng(seed)
    pixels = generator.random(shape, np.float32) if encoding.dtype == 'float32' else \
        generator.integers(0, np.iinfo(encoding.dtype).max, shape, encoding.dtype, endpoint=True)
    converter = find_converter()
    np.testing.assert_array_equal(to_rgb(message(pixels, name, padding=padding), converter),
                                  to_rgb(message(pixels, name), converter))


@settings(deadline=None)
@given(name=st.sampled_from(sorted(ENCODINGS)), height=st.integers(0, 4),
       width=st.integers(0, 4), step=st.integers(0, 40), size=st.integers(0, 170),
       bigendian=st.integers(0, 255))
def test_any_message_is_converted_or_refused(name, height, width, step, size, bigendian):
    raw = Image(height=height, width=width, encoding=name, step=step, is_bigendian=bigendian,
                data=array.array('B', bytes(size)))
    try:
        result = to_rgb(raw, find_converter())
    except ImageError:
        return
    assert (result.shape, result.dtype) == ((height, width, 3), np.uint8)
    assert name in PLANAR or height * step == size


@pytest.mark.parametrize('change, text', [
    ({'encoding': ''}, "encoding: expected one of .* got ''"),
    ({'encoding': 'rgb12'}, "encoding: .* got 'rgb12'"),
    ({'height': 0, 'data': array.array('B')}, 'size: expected at least 1x1 .* got 8x0'),
    ({'width': 0}, 'size: expected at least 1x1 .* got 0x6'),
    ({'data': array.array('B')}, 'data: expected 144 bytes .* got 0'),
    ({'data': array.array('B', bytes(143))}, 'data: expected 144 bytes .* got 143'),
    ({'data': array.array('B', bytes(145))}, 'data: expected 144 bytes .* got 145'),
    ({'step': 23}, 'step: expected at least 24 bytes .* got 23'),
    ({'step': 0}, 'step: expected at least 24 bytes .* got 0'),
    ({'encoding': 'yuv422', 'width': 7}, 'size: expected an even width .* got 7x6'),
    ({'encoding': 'bayer_rggb8', 'width': 2}, 'size: expected at least 3x3 .* got 2x6'),
    ({'height': 2 ** 32 - 1}, 'data: expected 103079215080 bytes'),
])
def test_a_message_that_contradicts_itself_is_refused_with_the_reason(change, text):
    bad = message(random_rgb(), 'rgb8')
    for name, value in change.items():
        setattr(bad, name, value)
    with pytest.raises(ImageError, match=text):
        to_rgb(bad, find_converter())


def test_cv_bridge_is_tested_where_it_works(monkeypatch):
    """The converters are not skipped where cv_bridge works, though each find makes a new one."""
    played = SimpleNamespace(CvBridge=lambda: SimpleNamespace(
        imgmsg_to_cv2=lambda image, encoding: image.data.reshape(1, 1, 3)[..., ::-1]))
    monkeypatch.setitem(sys.modules, 'cv_bridge', played)
    assert conversions._cv_bridge() != conversions._cv_bridge()
    assert works('_cv_bridge')
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    assert not works('_cv_bridge')


def test_an_error_of_the_converter_is_told_as_one_of_the_image(monkeypatch):
    def fail(image, encoding):
        raise TypeError('no such thing')
    with pytest.raises(ImageError, match='broken cannot convert this rgb8 image of 8x6 pixels'):
        to_rgb(message(random_rgb(), 'rgb8'), conversions.Converter('broken', fail))


def test_every_encoding_is_told_in_full_by_its_entry():
    assert all(isinstance(encoding, Encoding) for encoding in ENCODINGS.values())
    assert {encoding.known_as for encoding in ENCODINGS.values()} <= set(ENCODINGS)


class TestFindConverter:

    @pytest.mark.parametrize('error', [KeyError(16), AttributeError('newbyteorder'),
                                       RuntimeError('no such type'), cv2.error('no such code')])
    def test_it_does_not_trust_a_cv_bridge_that_fails(self, monkeypatch, error):
        def fail(image, encoding):
            raise error
        monkeypatch.setattr(conversions, '_cv_bridge',
                            lambda: conversions.Converter('cv_bridge', fail))
        assert find_converter().name == 'rosbags-image'

    def test_it_does_not_trust_wrong_colours(self, monkeypatch):
        monkeypatch.setattr(conversions, '_cv_bridge', lambda: conversions.Converter(
            'cv_bridge', lambda image, encoding: image.data.reshape(1, 1, 3)))
        assert find_converter().name == 'rosbags-image'

    def test_it_takes_cv_bridge_first(self, monkeypatch):
        monkeypatch.setattr(conversions, '_cv_bridge', lambda: conversions.Converter(
            'cv_bridge', lambda image, encoding: image.data.reshape(1, 1, 3)[..., ::-1]))
        assert find_converter().name == 'cv_bridge'

    def test_without_any_it_says_what_to_install(self, monkeypatch):
        for package in ('cv_bridge', 'rosbags.image'):
            monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ImportError, match='cv-bridge or "pip install rosbags-image"'):
            find_converter()
