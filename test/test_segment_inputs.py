"""`instseg segment`: which files it reads, what it leaves out, and where results go."""
import os
import shutil

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segment_runs import files, read_labels, read_records, scene, write_scene, write_scenes

from instseg_ros.cli import main
from instseg_ros.commands.segment_inputs import find_inputs
from instseg_ros.media import MAX_PIXELS


@pytest.fixture
def run(tiny_model, tmp_path):
    """Return a function that runs the command into `tmp_path / 'out'` and returns its code."""
    def run_command(*arguments):
        return main(['segment', '--model', str(tiny_model), '--out', str(tmp_path / 'out'),
                     *map(str, arguments)])
    return run_command


def errors(capsys):
    """Return what was printed about single inputs, as (kind, sentence)."""
    lines = [line for line in capsys.readouterr().err.splitlines()
             if line.startswith('instseg segment: ')]
    return [tuple(line.removeprefix('instseg segment: ').split(': ', 1)) for line in lines]


def test_folders_of_folders_are_searched(run, tmp_path):
    for number, name in enumerate(['top.png', 'left/photo.png', 'left/deep/photo.png',
                                   'right/photo.png']):
        write_scene(tmp_path / 'photos' / name, number)
    assert run(tmp_path / 'photos') == 0
    out = tmp_path / 'out'
    names = ['left/deep/photo.png', 'left/photo.png', 'right/photo.png', 'top.png']
    assert [record['name'] for record in read_records(out)] == names
    for number, name in [(2, names[0]), (1, names[1]), (3, names[2]), (0, names[3])]:
        assert np.array_equal(read_labels(out / 'semantic' / f'{name}.png'), scene(number)[0])
    assert len(files(out)) == 1 + 3 * 4


def test_no_two_sources_share_a_result(run, tmp_path):
    names = ['photo.png', 'photo.bmp', 'photo-2.png', 'photo.png.bmp', 'photo']
    for number, name in enumerate(names):
        picture = write_scene(tmp_path / 'x.png', number)
        if name.endswith('.bmp'):
            cv2.imwrite(str(tmp_path / 'x.bmp'), cv2.imread(str(picture)))
            picture = tmp_path / 'x.bmp'
        for folder in ('left', 'right'):
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copy(picture, tmp_path / folder / name)
    assert run(tmp_path / 'left', tmp_path / 'right' / 'photo.png', tmp_path / 'right') == 0
    out = tmp_path / 'out'
    assert len(read_records(out)) == 10
    for number, name in enumerate(names):
        for folder in ('left', 'right'):
            labels = read_labels(out / 'semantic' / folder / f'{name}.png')
            assert np.array_equal(labels, scene(number)[0])


NAMES = st.text('ab.-', min_size=1, max_size=4).filter(lambda name: name.strip('.'))


@given(places=st.lists(st.lists(NAMES, min_size=1, max_size=3).map(tuple), min_size=1, max_size=6))
def test_names_are_unique_whatever_the_files_are_called(tmp_path_factory, places):
    root = tmp_path_factory.mktemp('names')
    paths = [root.joinpath(*place) for place in places]
    found = find_inputs([*paths, *paths], root / 'out')
    names = [source.name for source in found.sources]
    assert len(set(names)) == len(names) == len({os.path.abspath(path) for path in paths})


@pytest.mark.parametrize('suffix', ['.jfif', '.pgm', '.ppm', '.gif', '.jp2', '.avif', '.tiff',
                                    '.webp', '.bmp', '', '.of_some_kind'])
def test_images_are_known_by_their_content(run, tmp_path, suffix):
    path = tmp_path / 'photos' / f'photo{suffix}'
    path.parent.mkdir()
    gray = cv2.IMREAD_GRAYSCALE if suffix == '.pgm' else cv2.IMREAD_COLOR
    picture = cv2.imread(str(write_scene(tmp_path / 'scene.png')), gray)
    encoder = '.jpg' if suffix in ('.jfif', '', '.of_some_kind') else suffix
    if not cv2.haveImageWriter(f'photo{encoder}'):
        pytest.skip(f'OpenCV cannot write {suffix} here')
    _, data = cv2.imencode(encoder, picture)
    path.write_bytes(data.tobytes())
    assert run(path.parent) == 0
    assert read_labels(tmp_path / 'out' / 'semantic' / f'photo{suffix}.png').shape == (120, 160)


def test_what_a_folder_holds_beside_pictures_is_named_with_the_reason(run, tmp_path, capsys):
    folder = tmp_path / 'photos'
    write_scene(folder / 'photo.png')
    (folder / 'notes.txt').write_text('milk, bread')
    (folder / 'drive.mcap').write_bytes(b'\x89MCAP0\r\n')
    (folder / 'recording').mkdir()
    (folder / 'recording' / 'metadata.yaml').write_text('{}')
    (folder / 'recording' / 'recording_0.db3').write_bytes(b'SQLite format 3\0')
    write_scene(folder / '.thumbnails' / 'photo.png')
    os.mkfifo(folder / 'pipe.png')
    (folder / 'again').symlink_to(folder)
    assert run(folder) == 0
    assert len(read_records(tmp_path / 'out')) == 1
    bag = 'a bag; use "instseg segment-bag"'
    assert sorted(errors(capsys)) == sorted(('left out', f'{folder / name}: {reason}')
                                            for name, reason in [
        ('notes.txt', 'neither an image nor a video'), ('drive.mcap', bag), ('recording', bag),
        ('.thumbnails', 'a hidden folder'), ('pipe.png', 'not a regular file'),
        ('again', 'a link to a folder')])


def test_the_folder_of_the_results_is_no_input(run, tmp_path):
    write_scene(tmp_path / 'photo.png')
    assert run(tmp_path) == run(tmp_path) == 0
    assert [record['name'] for record in read_records(tmp_path / 'out')] == ['photo.png']


@pytest.mark.parametrize('name', ['photo.png', 'photo.webp', 'drive.mp4', 'photo.svg'])
def test_a_file_of_a_folder_that_is_called_like_a_picture_but_is_none_is_an_error(
        run, tmp_path, capsys, name):
    write_scene(tmp_path / 'photos' / 'good.png')
    (tmp_path / 'photos' / name).write_text('milk, bread')
    assert run(tmp_path / 'photos') == 1
    (kind, sentence), = errors(capsys)
    assert kind == 'error' and f'photos/{name}: expected a' in sentence
    assert len(read_records(tmp_path / 'out')) == 1


@pytest.mark.parametrize('name', ['drive.mcap', 'drive.db3', 'drive.bag', 'drive.mcap.zstd'])
def test_a_bag_is_an_error_that_names_the_command_for_bags(run, tmp_path, capsys, name):
    photo = write_scene(tmp_path / 'photo.png')
    (tmp_path / name).write_bytes(b'no matter what')
    assert run(photo, tmp_path / name) == 1
    assert errors(capsys) == [('error', f'{tmp_path / name}: a bag; use "instseg segment-bag"')]


def test_a_pipe_is_an_error_and_not_opened(run, tmp_path, capsys):
    os.mkfifo(tmp_path / 'pipe')
    assert run(write_scene(tmp_path / 'photo.png'), tmp_path / 'pipe') == 1
    assert errors(capsys) == [('error', f'{tmp_path / "pipe"}: expected a regular file, got a '
                                        'device, pipe or socket')]


def test_a_folder_without_pictures_is_an_error(run, tmp_path, capsys):
    photo = write_scene(tmp_path / 'photo.png')
    (tmp_path / 'empty' / 'inner').mkdir(parents=True)
    assert run(photo, tmp_path / 'empty') == 1
    assert errors(capsys) == [('error', f'{tmp_path / "empty"}: no image or video in this folder')]


def test_too_many_pixels_are_an_error_before_decoding_unless_allowed(run, tmp_path, capsys):
    photo = write_scene(tmp_path / 'photo.png')
    video = write_scenes(tmp_path / 'street.mp4', 2)
    for path in (photo, video):
        assert run(path, '--max-pixels', 120 * 160 - 1) == 1
        assert f'{path}: expected at most 19199 pixels, got 160x120' in capsys.readouterr().err
        assert run(path, '--max-pixels', 120 * 160) == 0
    assert run(photo, '--max-pixels', 0) == 1
    assert '--max-pixels: expected at least 1, got 0' in capsys.readouterr().err


def test_the_help_names_the_limit(capsys):
    with pytest.raises(SystemExit):
        main(['segment', '--help'])
    assert '8192x8192' in capsys.readouterr().out
    assert MAX_PIXELS == 8192 * 8192


@pytest.mark.parametrize('place', ['semantic', 'instance', 'overlay', 'semantic/left'])
def test_results_never_follow_a_link_out_of_their_folder(run, tmp_path, capsys, place):
    write_scene(tmp_path / 'photos' / 'left' / 'photo.png')
    (tmp_path / 'elsewhere').mkdir()
    link = tmp_path / 'out' / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / 'elsewhere')
    assert run(tmp_path / 'photos') == 1
    assert f'{link}: expected a folder for results, got a link' in capsys.readouterr().err
    assert files(tmp_path / 'elsewhere') == set()


def test_the_folder_of_the_results_may_be_a_link_itself(run, tmp_path):
    (tmp_path / 'disk').mkdir()
    (tmp_path / 'out').symlink_to(tmp_path / 'disk')
    assert run(write_scene(tmp_path / 'photo.png')) == 0
    assert len(files(tmp_path / 'disk')) == 4


@pytest.mark.parametrize('name, place', [
    ('photo.png', 'semantic/photo.png.png'), ('photo.png', 'overlay/photo.png.png'),
    ('street.mp4', 'instance/street.mp4'), ('street.mp4', 'overlay/street.mp4.mp4'),
    ('photo.png', 'instances.jsonl')])
def test_a_folder_of_others_that_is_called_like_a_result_is_kept(run, tmp_path, capsys, name,
                                                                 place):
    path = tmp_path / name
    if name.endswith('.mp4'):
        write_scenes(path, 2)
    else:
        write_scene(path)
    kept = tmp_path / 'out' / place / 'thesis.txt'
    kept.parent.mkdir(parents=True)
    kept.write_text('years of work')
    assert run(path) == 1
    assert f'{kept.parent}: ' in capsys.readouterr().err
    assert files(tmp_path / 'out') == {f'{place}/thesis.txt'}
    assert kept.read_text() == 'years of work'
