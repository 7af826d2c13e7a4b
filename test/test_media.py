"""Images and videos: what is written is read back, what is damaged is refused."""
import numpy as np
import pytest

from instseg_ros.media import MediaError, VideoReader, VideoWriter, read_image, write_image

GRAY_TOLERANCE = 6  # of 255: MPEG-4 is lossy


def write_video(path, *, count=12, size=(48, 64), rate=12.5):
    """Write frames of one gray value each, 10 times their number."""
    with VideoWriter(path, rate) as video:
        for number in range(count):
            video.write(np.full((*size, 3), 10 * number, np.uint8))
    return path


def cut(path, share):
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * share)])
    return path


@pytest.mark.parametrize('shape, dtype', [((7, 5, 3), np.uint8), ((7, 5), np.uint8),
                                          ((7, 5), np.uint16)])
def test_png_keeps_every_value(tmp_path, shape, dtype):
    import cv2

    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    write_image(tmp_path / 'new' / 'image.png', image)
    back = cv2.imread(str(tmp_path / 'new' / 'image.png'), cv2.IMREAD_UNCHANGED)
    assert back.dtype == dtype
    assert np.array_equal(back[..., ::-1] if len(shape) == 3 else back, image)


def test_images_are_rgb(tmp_path):
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 0] = 200
    write_image(tmp_path / 'red.png', image)
    assert np.array_equal(read_image(tmp_path / 'red.png'), image)


def test_gray_images_become_rgb(tmp_path):
    write_image(tmp_path / 'gray.png', np.full((4, 6), 9, np.uint8))
    assert np.array_equal(read_image(tmp_path / 'gray.png'), np.full((4, 6, 3), 9))


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_a_truncated_image_is_refused(tmp_path, suffix):
    path = tmp_path / f'image{suffix}'
    write_image(path, np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8))
    with pytest.raises(MediaError, match='image.*damaged'):
        read_image(cut(path, 0.5))


def test_text_is_no_image_and_no_video(tmp_path):
    path = tmp_path / 'notes.png'
    path.write_text('milk, bread')
    with pytest.raises(MediaError, match='notes.png: expected an image'):
        read_image(path)
    with pytest.raises(MediaError, match='notes.png: expected a video'):
        VideoReader(path)


@pytest.mark.parametrize('reader', [read_image, VideoReader])
def test_missing_empty_and_folder_are_told_apart(tmp_path, reader):
    with pytest.raises(FileNotFoundError, match='gone.mp4: no such file'):
        reader(tmp_path / 'gone.mp4')
    (tmp_path / 'empty.mp4').touch()
    with pytest.raises(MediaError, match='empty.mp4: the file is empty'):
        reader(tmp_path / 'empty.mp4')
    with pytest.raises(IsADirectoryError, match='expected a file, got a folder'):
        reader(tmp_path)


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


def write_noise_avi(path, count):
    """Write an AVI file, whose header announces the frames; a cut one can still be read."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(count):
        writer.write(noise.integers(0, 255, (48, 64, 3)).astype(np.uint8))
    writer.release()
