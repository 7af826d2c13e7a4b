"""Rates and sizes of the video with the overlays."""
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.media import OverlayVideo, VideoReader, codec_rate, fit


@pytest.mark.parametrize('rate, held', [
    (90.6123, 90.61), (65.5361, 65.54), (232.4567, 232.46), (29.97003, 29.97), (1e9, 240),
    (0, 0.1), (0.0004, 0.1)])
def test_every_rate_of_a_recording_can_be_written(tmp_path, rate, held):
    with OverlayVideo(tmp_path / 'overlay.mp4', rate) as video:
        for number in range(3):
            video.write(np.full((32, 48, 3), 80 * number, np.uint8))
    assert video.problem == ''
    with VideoReader(tmp_path / 'overlay.mp4') as reader:
        assert reader.rate == pytest.approx(held, abs=0.005)
        assert len(list(reader)) == 3


@given(rate=st.floats(0, 1e12))
def test_the_codec_holds_the_rate(rate):
    assert round(codec_rate(rate) * 100) < 2 ** 16


def test_another_size_is_scaled_to_the_first(tmp_path):
    with OverlayVideo(tmp_path / 'overlay.mp4', 10) as video:
        for shape in ((32, 48, 3), (64, 96, 3), (16, 20, 3)):
            video.write(np.full(shape, 200, np.uint8))
    assert video.problem == ''
    with VideoReader(tmp_path / 'overlay.mp4') as reader:
        assert [frame.shape for frame in reader] == [(32, 48, 3)] * 3


@given(height=st.integers(1, 50), width=st.integers(1, 50))
def test_proportions_are_kept(height, width):
    frame = fit(np.full((height, width, 3), 9, np.uint8), (20, 30))
    rows, columns = (np.flatnonzero(frame.any(axis=(axis, 2))) for axis in (1, 0))
    assert frame.shape == (20, 30, 3)
    scale = min(20 / height, 30 / width)
    assert len(rows) == pytest.approx(height * scale, abs=1)
    assert len(columns) == pytest.approx(width * scale, abs=1)


def test_a_codec_that_fails_is_a_problem_and_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2.VideoWriter, 'isOpened', lambda writer: False, raising=False)
    try:
        with OverlayVideo(tmp_path / 'gone' / 'overlay.mp4', 10) as video:
            video.write(np.zeros((32, 48, 3), np.uint8))
            video.write(np.zeros((32, 48, 3), np.uint8))
    finally:
        monkeypatch.undo()
    assert video.problem.startswith('no overlay.mp4: ')
