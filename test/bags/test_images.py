"""Images in bags: every pixel as it was, contradictions refused, videos at their rate."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from instseg_ros.bags.bag import BagError, BagReader
from instseg_ros.bags.images import make_image, read_array, video_to_bag
from instseg_ros.bags.messages import IMAGE, stamp_of, typestore
from instseg_ros.media import VideoReader, VideoWriter

SIDE = st.integers(1, 9)


@given(image=st.one_of(
    arrays(np.uint8, st.tuples(SIDE, SIDE, st.just(3))), arrays(np.uint8, st.tuples(SIDE, SIDE)),
    arrays(np.uint16, st.tuples(SIDE, SIDE))), padding=st.integers(0, 3))
def test_an_image_comes_back_through_bytes_whatever_its_step(image, padding):
    message = make_image(image, 12, 'camera')
    assert message.encoding == {(3, 1): 'rgb8', (2, 1): 'mono8', (2, 2): 'mono16'}[
        image.ndim, image.itemsize]
    rows = message.data.reshape(message.height, message.step)
    pixel = message.step // message.width
    message = dataclasses.replace(
        message, step=message.step + padding * pixel,
        data=np.pad(rows, ((0, 0), (0, padding * pixel)), constant_values=77).reshape(-1))
    data = typestore().serialize_cdr(message, IMAGE)
    back = read_array(typestore().deserialize_cdr(data, IMAGE), message.encoding)
    assert back.dtype == image.dtype and np.array_equal(back, image)


def test_a_view_is_written_as_it_looks():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    message = make_image(image[:, ::-1], 0, 'camera')
    assert np.array_equal(read_array(message, 'rgb8'), image[:, ::-1])


def test_other_encodings_are_converted():
    message = make_image(np.full((2, 2), 9, np.uint8), 0, 'camera')
    assert np.array_equal(read_array(message, 'rgb8'), np.full((2, 2, 3), 9))
    blue = make_image(np.array([[[255, 0, 0]]], np.uint8), 0, 'camera')
    blue.encoding = 'bgr8'
    assert read_array(blue, 'rgb8').tolist() == [[[0, 0, 255]]]


@pytest.mark.parametrize('changes', [
    {'encoding': 'smell8'}, {'width': 0}, {'height': 0}, {'height': 9}, {'step': 5},
    {'step': 7}, {'data': np.zeros(3, np.uint8)}])
def test_contradictions_are_refused(changes):
    message = make_image(np.zeros((2, 2, 3), np.uint8), 0, 'camera')
    with pytest.raises(BagError, match='image'):
        read_array(dataclasses.replace(message, **changes), 'rgb8')


def test_a_video_becomes_a_bag_at_its_rate(tmp_path):
    with VideoWriter(tmp_path / 'video.mp4', 8) as video:
        for number in range(6):
            video.write(np.full((32, 48, 3), 40 * number, np.uint8))
    seen = []
    with VideoReader(tmp_path / 'video.mp4') as video:
        video_to_bag(video, tmp_path / 'video.mcap', topic='/camera', frame_id='lens',
                     start=10 ** 18, on_frame=lambda: seen.append(1))
    assert len(seen) == 6
    with BagReader(tmp_path / 'video.mcap') as bag:
        messages = list(bag.read(['/camera']))
        assert [stamp for _, stamp, _ in messages] == [
            10 ** 18 + number * 125_000_000 for number in range(6)]
        for number, (topic, stamp, data) in enumerate(messages):
            message = bag.parse(topic, data)
            assert stamp_of(data) == stamp
            assert (message.header.frame_id, message.encoding) == ('lens', 'rgb8')
            pixels = read_array(message, 'rgb8')
            assert pixels.shape == (32, 48, 3)
            assert np.abs(pixels.astype(int) - 40 * number).max() <= 6
