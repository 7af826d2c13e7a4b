"""Images: what is written is read back, what is damaged or too large is refused."""
import contextlib
import os

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_files import cut, write_video

from instseg_ros.media import (
    MediaError,
    VideoReader,
    is_image,
    load_image,
    read_image,
    write_image,
)
from instseg_ros.media.headers import check_size


@pytest.mark.parametrize('shape, dtype', [((7, 5, 3), np.uint8), ((7, 5), np.uint8),
                                          ((7, 5), np.uint16)])
def test_png_keeps_every_value(tmp_path, shape, dtype):
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


@pytest.mark.parametrize('reader', [read_image, VideoReader])
def test_a_pipe_is_never_opened(tmp_path, reader):
    os.mkfifo(tmp_path / 'pipe.png')
    with pytest.raises(MediaError, match='pipe.png: expected a regular file'):
        reader(tmp_path / 'pipe.png')


def test_a_link_to_an_image_is_read(tmp_path):
    write_image(tmp_path / 'gray.png', np.full((4, 6), 9, np.uint8))
    (tmp_path / 'link.png').symlink_to('gray.png')
    assert read_image(tmp_path / 'link.png').shape == (4, 6, 3)


def encoded(suffix, shape=(72, 104)):
    """Return the bytes of a picture that hardly compresses; skip what OpenCV can't write here."""
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    if suffix in ('.hdr', '.pfm'):
        image = image.astype(np.float32) / 255
    if suffix in ('.pbm', '.pgm'):
        image = np.ascontiguousarray(image[..., 0])
    try:
        done, data = cv2.imencode(suffix, image)
    except cv2.error:
        done = False
    if not done:
        pytest.skip(f'OpenCV cannot write {suffix} here')
    return data.tobytes()


FORMATS = ['.avif', '.bmp', '.gif', '.hdr', '.jp2', '.jpg', '.pam', '.pbm', '.pfm', '.pgm', '.png',
           '.ppm', '.ras', '.tiff', '.webp']


@pytest.mark.parametrize('suffix', FORMATS)
def test_every_format_is_known_by_content_and_limited_by_header(tmp_path, suffix, monkeypatch):
    path = tmp_path / 'picture.of_some_kind'
    path.write_bytes(encoded(suffix))
    assert is_image(path)
    image, damage = load_image(path, 72 * 104)
    assert (image.shape, image.dtype, damage) == ((72, 104, 3), np.uint8, '')
    monkeypatch.setattr(cv2, 'imdecode', lambda *arguments: pytest.fail('it was decoded'))
    with pytest.raises(MediaError, match=f'at most {72 * 104 - 1} pixels, got 104x72'):
        load_image(path, 72 * 104 - 1)


def test_an_image_that_announces_gigabytes_is_refused(tmp_path):
    data = bytearray(encoded('.png'))
    data[16:24] = (60000).to_bytes(4, 'big') * 2
    (tmp_path / 'bomb.png').write_bytes(data)
    with pytest.raises(MediaError, match='bomb.png: expected at most .* pixels, got 60000x60000'):
        read_image(tmp_path / 'bomb.png')


def test_frames_of_a_video_are_limited_too(tmp_path):
    path = write_video(tmp_path / 'video.mp4')
    with VideoReader(path, 48 * 64) as video:
        assert len(list(video)) == 12
    with pytest.raises(MediaError, match='video.mp4: expected at most 3071 pixels, got 64x48'):
        VideoReader(path, 48 * 64 - 1)


@pytest.mark.parametrize('suffix', FORMATS)
def test_every_format_that_is_cut_is_refused(tmp_path, suffix, capfd):
    path = tmp_path / f'picture{suffix}'
    path.write_bytes(encoded(suffix))
    with pytest.raises(MediaError, match=f'{suffix}: expected an image, got a file that is dam'):
        load_image(cut(path, 0.8))
    assert capfd.readouterr().err == ''


BEGINNINGS = [
    b'', b'\x89PNG\r\n\x1a\n', b'GIF89a', b'BM', b'\x59\xa6\x6a\x95', b'RIFF\x20\0\0\0WEBPVP8 ',
    b'RIFF\x20\0\0\0WEBPVP8L', b'RIFF\x20\0\0\0WEBPVP8X', b'\xff\xd8\xff', b'II*\0', b'MM\0*',
    b'II+\0\x08\0\0\0', b'P6 ', b'P7\nWIDTH ', b'#?RADIANCE\n', b'\xff\x4f\xff\x51',
    b'\0\0\0\x0cjP  \xff\x4f\xff\x51', b'\0\0\0\x1cftypavif ispe']


@given(beginning=st.sampled_from(BEGINNINGS), data=st.binary(max_size=200))
def test_no_header_is_an_error_of_its_own(tmp_path_factory, beginning, data):
    path = tmp_path_factory.getbasetemp() / 'header'
    path.write_bytes(beginning + data)
    with contextlib.suppress(MediaError):
        check_size(path, path.read_bytes(), 2 ** 20)


@pytest.mark.parametrize('suffix', ['.avif', '.jpg', '.png', '.tiff'])
@pytest.mark.parametrize('change', [
    lambda part: bytes(len(part)), lambda part: bytes(255 - byte for byte in part)],
    ids=['zeroed', 'flipped'])
def test_damage_inside_that_the_decoder_notices_is_reported(tmp_path, suffix, change, capfd):
    data = encoded(suffix)
    first, last = len(data) // 2, len(data) * 5 // 8
    path = tmp_path / f'picture{suffix}'
    path.write_bytes(data[:first] + change(data[first:last]) + data[last:])
    try:
        image, damage = load_image(path)
    except MediaError as error:
        damage = str(error)
    else:
        assert image.shape == (72, 104, 3)
    assert f'{path}: ' in damage and 'damaged' in damage
    with pytest.raises(MediaError, match='damaged'):
        read_image(path)
    assert capfd.readouterr().err == ''


def test_what_others_print_while_an_image_is_decoded_is_not_lost(tmp_path, capfd, monkeypatch):
    write_image(tmp_path / 'gray.png', np.full((4, 6), 9, np.uint8))
    decode = cv2.imdecode

    def printing(*arguments):
        os.write(2, b'from another thread\n')
        return decode(*arguments)

    monkeypatch.setattr(cv2, 'imdecode', printing)
    assert load_image(tmp_path / 'gray.png')[1] == ''
    assert capfd.readouterr().err == 'from another thread\n'


def test_a_part_of_a_png_that_announces_gigabytes_is_not_allocated(tmp_path):
    data = bytearray(cv2.imencode('.png', np.zeros((10, 20), np.uint8))[1].tobytes())
    data[data.index(b'IDAT') - 4] = 0xAA
    (tmp_path / 'a.png').write_bytes(data)
    with pytest.raises(MediaError, match=r'damaged image: a part of 28\d+ bytes in a file'):
        read_image(tmp_path / 'a.png')
