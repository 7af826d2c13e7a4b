"""Videos: frames and their times come back, missing ones are noticed, sound ones are not."""
import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from video_files import cut, write_edited_video, write_noise_avi, write_uneven_video, write_video

from instseg_ros.media import MediaError, VideoReader, VideoWriter
from instseg_ros.media.edit_lists import edited_duration

GRAY_TOLERANCE = 6  # of 255: MPEG-4 is lossy


@pytest.mark.parametrize('size', [(48, 64), (49, 64), (48, 65), (47, 63)])
def test_a_video_comes_back(tmp_path, size):
    path = write_video(tmp_path / 'video.mp4', size=size)
    with VideoReader(path) as video:
        frames = list(video)
        assert video.rate == pytest.approx(12.5)
        assert video.frame_count == video.frames_read == len(frames) == 12
        assert video.damage == ''
    assert frames[0].shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    for number, frame in enumerate(frames):
        assert np.abs(frame.astype(int) - 10 * number).max() <= GRAY_TOLERANCE


def test_video_frames_are_rgb(tmp_path):
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    with VideoWriter(tmp_path / 'red.mp4', 10) as video:
        video.write(red)
    with VideoReader(tmp_path / 'red.mp4') as video:
        frame = next(iter(video))
    assert frame[..., 0].min() > 200 and frame[..., 1:].max() < 60


def test_a_video_of_no_frames_is_refused(tmp_path):
    with pytest.raises(MediaError, match='at least one frame'):
        with VideoWriter(tmp_path / 'none.mp4', 10):
            pass


def test_a_video_without_its_end_is_refused(tmp_path):
    path = cut(write_video(tmp_path / 'video.mp4'), 0.6)
    with pytest.raises(MediaError, match='video.mp4: expected a video, got a file that is damag'):
        VideoReader(path)


def test_missing_frames_are_reported(tmp_path):
    path = tmp_path / 'video.avi'
    write_noise_avi(path, count=40)
    with VideoReader(cut(path, 0.5)) as video:
        frames = sum(1 for _ in video)
        assert 0 < frames < 40
        assert f'only {frames} of 40 frames could be decoded' in video.damage


def times_and_damage(path):
    """Read a video and return the times of its frames in milliseconds, and the damage."""
    with VideoReader(path) as video:
        times = [(frame.shape, round(1000 * video.time))[1] for frame in video]
        return times, video.damage


UNEVEN = [0, 100, 200, 300, 900, 1000, 1500, 2200]


def test_frames_of_a_variable_rate_keep_their_times_and_are_no_damage(tmp_path):
    path = write_uneven_video(tmp_path / 'uneven.mkv', UNEVEN)
    with VideoReader(path) as video:
        assert video.frame_count > len(UNEVEN)  # an estimate from the duration
    assert times_and_damage(path) == (UNEVEN, '')


def test_a_video_of_a_variable_rate_that_breaks_off_is_damaged(tmp_path):
    path = cut(write_uneven_video(tmp_path / 'uneven.mkv', UNEVEN), 0.6)
    times, damage = times_and_damage(path)
    assert 0 < len(times) < len(UNEVEN) and times == UNEVEN[:len(times)]
    assert 'uneven.mkv: damaged or truncated' in damage


@pytest.mark.parametrize('shown', [1, 5, 20])
def test_what_an_edit_list_leaves_out_is_no_damage(tmp_path, shown):
    path = write_edited_video(tmp_path / 'edited.mp4', count=20, shown=shown)
    assert times_and_damage(path) == ([100 * number for number in range(shown)], '')


def test_an_edited_video_that_lost_frames_is_damaged(tmp_path):
    """The edit list shows 15 of 20 frames, and the data of the last ten are gone."""
    path = write_edited_video(tmp_path / 'edited.mp4', count=20, shown=15)
    data = bytearray(path.read_bytes())
    first, last = data.index(b'mdat'), data.index(b'moov')
    data[(first + last) // 2:last - 4] = bytes(last - 4 - (first + last) // 2)
    path.write_bytes(data)
    times, damage = times_and_damage(path)
    assert len(times) < 15
    assert 'edited.mp4: damaged or truncated' in damage


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_damaged_index_is_no_error_of_its_own(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / 'damaged.mp4'
    content = bytearray(edited_video(path))
    first = content.index(b'moov') - 4
    for place in data.draw(st.lists(st.integers(first, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.sampled_from([0, 1, 127, 255]))
    path.write_bytes(content[:data.draw(st.integers(first, len(content)))])
    duration = edited_duration(path)
    assert duration is None or duration >= 0


@functools.lru_cache
def edited_video(path):
    return write_edited_video(path, count=5, shown=3).read_bytes()


@pytest.mark.parametrize('name, count, last', [('trimmed.mp4', 15, 467), ('vfr.mkv', 26, 1867)])
def test_sound_videos_of_real_encoders_are_no_damage(shared, name, count, last):
    times, damage = times_and_damage(shared / 'cases' / name)
    assert (len(times), times[-1], damage) == (count, last, '')


def test_a_written_video_repeats_frames_to_keep_their_times(tmp_path):
    with VideoWriter(tmp_path / 'video.mp4', 10) as video:
        for number, time in enumerate(UNEVEN):
            video.write(np.full((32, 32, 3), 30 * number, np.uint8), 5 + time / 1000)
    with VideoReader(tmp_path / 'video.mp4') as video:
        seen = {}
        for frame in video:
            seen.setdefault(round(frame[0, 0, 0] / 30), round(1000 * video.time))
    assert list(seen.values()) == UNEVEN


def test_a_pause_of_hours_is_cut_in_a_written_video(tmp_path):
    with VideoWriter(tmp_path / 'video.mp4', 10) as video:
        for time in (0, 1e5, 1e5 + 0.1, 1e10):
            video.write(np.zeros((32, 32, 3), np.uint8), time)
    with VideoReader(tmp_path / 'video.mp4') as video:
        assert len(list(video)) == 202


def test_times_that_step_back_lose_no_frame(tmp_path):
    with VideoWriter(tmp_path / 'video.mp4', 10) as video:
        for time in (3, 3, 1, 2, 3.1):
            video.write(np.zeros((32, 32, 3), np.uint8), time)
    with VideoReader(tmp_path / 'video.mp4') as video:
        assert len(list(video)) == 5
