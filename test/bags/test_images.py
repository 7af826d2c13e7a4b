"""Images in bags: every pixel as it was, contradictions refused, videos at their rate."""
import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from instseg_ros.bags.conversions import find_converter, to_rgb
from instseg_ros.bags.encodings import ImageError
from instseg_ros.bags.images import make_image, median_rate, read_ids
from instseg_ros.bags.messages import COMPRESSED_IMAGE, IMAGE, make_header, typestore

SIDE = st.integers(1, 9)


@given(ids=st.one_of(arrays(np.uint8, st.tuples(SIDE, SIDE)),
                     arrays(np.uint16, st.tuples(SIDE, SIDE))), padding=st.integers(0, 5))
def test_a_label_image_comes_back_through_bytes_whatever_its_step(ids, padding):
    message = make_image(ids, 12, 'camera')
    assert message.encoding == {1: 'mono8', 2: 'mono16'}[ids.itemsize]
    rows = message.data.reshape(message.height, message.step)
    message = dataclasses.replace(
        message, step=message.step + padding,
        data=np.pad(rows, ((0, 0), (0, padding)), constant_values=77).reshape(-1))
    data = typestore().serialize_cdr(message, IMAGE)
    back = read_ids(typestore().deserialize_cdr(data, IMAGE))
    assert back.dtype == ids.dtype and np.array_equal(back, ids)


@given(ids=arrays(np.uint16, st.tuples(SIDE, SIDE)))
def test_a_compressed_label_image_comes_back(ids):
    message = typestore().types[COMPRESSED_IMAGE](
        header=make_header(3, 'camera'), format='mono16; png compressed ',
        data=cv2.imencode('.png', ids)[1])
    assert np.array_equal(read_ids(message), ids)


@pytest.mark.parametrize('image, got', [
    (np.zeros((2, 2, 3), np.uint8), 'rgb8'), (np.zeros((2, 2), np.float32), '32FC1')])
def test_only_ids_are_taken_for_ids(image, got):
    message = make_image(image.astype(np.uint8), 0, 'camera')
    message = dataclasses.replace(message, encoding=got, step=image.strides[0],
                                  data=image.reshape(-1).view(np.uint8))
    with pytest.raises(ImageError, match=f'expected a label image of 8 or 16 bits, got {got}'):
        read_ids(message)


def test_a_view_is_written_as_it_looks():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    message = make_image(image[:, ::-1], 0, 'camera')
    assert np.array_equal(to_rgb(message, find_converter()), image[:, ::-1])


@pytest.mark.parametrize('times, rate', [
    ([], 0), ([5], 0), ([7, 7, 7], 0), ([0, 0, 0], 0),
    ([0, 100_000_000, 200_000_000, 1800 * 10 ** 9, 1800 * 10 ** 9 + 100_000_000], 10),
    ([0, 50_000_000, 50_000_000, 100_000_000, 0, 50_000_000], 20), ([1, 2, 3], 10 ** 9)])
def test_the_rate_is_that_of_the_median_interval(times, rate):
    """Whatever pauses, repeated times and loops there are."""
    assert median_rate(times) == pytest.approx(rate)
