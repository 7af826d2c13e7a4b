"""`instseg segment`: pictures, label images and records of images, folders and videos."""
import cv2
import numpy as np
import pytest
import tiny_models
from segment_runs import (
    INFO,
    SIZE,
    files,
    paint,
    read_labels,
    read_records,
    scene,
    write_scene,
    write_scenes,
)
from video_files import write_uneven_video

from instseg_ros.cli import main
from instseg_ros.commands import segment
from instseg_ros.media import VideoReader, read_image, write_image


@pytest.fixture
def run(tiny_model, tmp_path):
    """Return a function that runs the command into `tmp_path / 'out'` and returns its code."""
    def run_command(*arguments):
        return main(['segment', '--model', str(tiny_model), '--out', str(tmp_path / 'out'),
                     *map(str, arguments)])
    return run_command


def test_an_image_gives_overlay_labels_and_record(run, tmp_path):
    path, out = write_scene(tmp_path / 'photo.png'), tmp_path / 'out'
    assert run(path) == 0
    assert files(out) == {'instances.jsonl', 'overlay/photo.png.png', 'semantic/photo.png.png',
                          'instance/photo.png.png'}
    semantic_ids, instance_ids = scene()
    semantic = read_labels(out / 'semantic' / 'photo.png.png')
    instance = read_labels(out / 'instance' / 'photo.png.png')
    assert semantic.dtype == np.uint8 and np.array_equal(semantic, semantic_ids)
    assert instance.dtype == np.uint16
    record, = read_records(out)
    assert (record['frame'], record['source']) == (0, str(path))
    expected = {'person': (1, [16, 16, 36, 56]), 'car': (3, [8, 80, 48, 108])}
    assert {item['class_name']: (item['class_id'], item['box_xyxy'])
            for item in record['instances']} == expected
    for item in record['instances']:
        mask = instance == item['id']
        assert item['area'] == mask.sum()
        assert np.array_equal(mask, semantic_ids == item['class_id'])
    picture, image = read_image(out / 'overlay' / 'photo.png.png'), read_image(path)
    assert picture.shape == image.shape
    assert (picture != image)[instance_ids > 0].any()


def test_a_video_gives_a_video_and_numbered_labels(run, tmp_path):
    path, out = write_scenes(tmp_path / 'street.mp4', 4), tmp_path / 'out'
    assert run(path) == 0
    numbered = {f'{kind}/street.mp4/{number:06d}.png' for kind in ('semantic', 'instance')
                for number in range(4)}
    assert files(out) == {'instances.jsonl', 'overlay/street.mp4.mp4'} | numbered
    with VideoReader(out / 'overlay' / 'street.mp4.mp4') as video:
        assert video.rate == pytest.approx(10)
        assert [frame.shape for frame in video] == [(*SIZE, 3)] * 4
    assert [record['frame'] for record in read_records(out)] == [0, 1, 2, 3]
    for number in range(4):
        labels = read_labels(out / f'semantic/street.mp4/{number:06d}.png')
        assert (labels == scene(number)[0]).mean() > 0.97  # the video is compressed


def test_a_folder_gives_all_its_pictures_and_videos_in_order(run, tmp_path):
    folder = tmp_path / 'photos'
    write_scene(folder / 'b.png', 1)
    write_scene(folder / 'a.PNG', 0)
    write_scenes(folder / 'c.mp4', 2)
    (folder / 'notes.txt').write_text('milk, bread')
    assert run(folder) == 0
    records = read_records(tmp_path / 'out')
    assert [(record['source'], record['frame']) for record in records] == [
        (str(folder / 'a.PNG'), 0), (str(folder / 'b.png'), 0), (str(folder / 'c.mp4'), 0),
        (str(folder / 'c.mp4'), 1)]


def test_a_second_run_replaces_the_first_whole(run, tmp_path):
    run(write_scenes(tmp_path / 'street.mp4', 5))
    assert run(write_scenes(tmp_path / 'street.mp4', 2)) == 0
    out = tmp_path / 'out'
    assert len(files(out / 'semantic')) == len(files(out / 'instance')) == 2
    assert len(read_records(out)) == 2


def test_the_confidence_is_written_on_request_and_goes_with_the_run_that_it_is_of(run, tmp_path):
    write_scene(tmp_path / 'a.png')
    write_scenes(tmp_path / 'street.mp4', 3)
    assert run('--confidence', tmp_path / 'a.png', tmp_path / 'street.mp4') == 0
    confidence = read_image(tmp_path / 'out' / 'confidence' / 'a.png.png')
    assert confidence.shape[:2] == SIZE and confidence.min() > 200
    assert len(list((tmp_path / 'out' / 'confidence' / 'street.mp4').iterdir())) == 3
    assert run(tmp_path / 'a.png', tmp_path / 'street.mp4') == 0
    assert not list((tmp_path / 'out' / 'confidence').iterdir())


def test_confidence_that_the_model_does_not_have_is_an_error(tmp_path, capsys):
    tiny_models.write_tiny_model(tmp_path / 'older.onnx', confidence=False)
    write_scene(tmp_path / 'a.png')
    assert main(['segment', '--model', str(tmp_path / 'older.onnx'), '--out',
                 str(tmp_path / 'out'), '--confidence', str(tmp_path / 'a.png')]) == 1
    assert '--confidence: the model file has no confidence' in capsys.readouterr().err


def test_options_reach_the_method(run, tmp_path, capsys):
    image = tiny_models.paint_scene(*scene(), INFO, confidence={1: 0.5, 2: 0.9})
    write_image(tmp_path / 'photo.png', image)
    found = {}
    for threshold in ('0.7', '0.3'):
        assert run(tmp_path / 'photo.png', '--center-threshold', threshold) == 0
        found[threshold] = [item['class_name'] for item in
                            read_records(tmp_path / 'out')[0]['instances']]
    assert found == {'0.7': ['car'], '0.3': ['car', 'person']}
    assert run(tmp_path / 'photo.png', '--refinement', 'nearest', '--max-instances', '1') == 0
    assert run(tmp_path / 'photo.png', '--center-threshold', '1.5') == 1
    assert 'grouping.center_threshold: expected a value from 0 to 1' in capsys.readouterr().err


def test_bad_inputs_do_not_stop_the_good_ones(run, tmp_path, capsys):
    good = write_scene(tmp_path / 'good.png')
    torn = write_scene(tmp_path / 'torn.png')
    torn.write_bytes(torn.read_bytes()[:100])
    text = tmp_path / 'notes.mp4'
    text.write_text('milk, bread')
    (tmp_path / 'empty').mkdir()
    assert run(torn, text, tmp_path / 'gone.png', tmp_path / 'empty', good) == 1
    assert files(tmp_path / 'out') == {'instances.jsonl', 'overlay/good.png.png',
                                       'semantic/good.png.png', 'instance/good.png.png'}
    assert [record['source'] for record in read_records(tmp_path / 'out')] == [str(good)]
    printed = capsys.readouterr()
    assert '1 of 5 inputs segmented' in printed.out
    errors = [line for line in printed.err.splitlines() if 'error:' in line]
    for words in ('torn.png: expected an image', 'notes.mp4: expected a video',
                  'gone.png: no such file', 'empty: no image or video in this folder'):
        assert sum(words in line for line in errors) == 1
    assert len(errors) == 4


def test_a_video_that_breaks_off_is_kept_as_far_as_it_goes_and_reported(run, tmp_path, capsys):
    path = tmp_path / 'street.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, SIZE[::-1])
    for number in range(20):
        writer.write(cv2.cvtColor(paint(number), cv2.COLOR_RGB2BGR))
    writer.release()
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    assert run(path) == 1
    count = len(read_records(tmp_path / 'out'))
    assert 0 < count < 20
    printed = capsys.readouterr()
    assert '1 of 1 inputs segmented' in printed.out
    assert f'only {count} of 20 frames could be decoded' in printed.err
    assert len(files(tmp_path / 'out' / 'semantic')) == count


def test_nothing_is_left_when_no_input_is_good(run, tmp_path, capsys):
    assert run(tmp_path / 'gone.png') == 1
    printed = capsys.readouterr().err
    assert 'gone.png: no such file\n' in printed
    assert printed.endswith('no input could be segmented\n')
    assert files(tmp_path / 'out') == set()


def test_nothing_half_written_is_left_by_ctrl_c(run, tmp_path, monkeypatch):
    path = write_scenes(tmp_path / 'street.mp4', 5)
    whole = segment.segment_video

    def interrupted(*arguments, **options):
        whole(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(segment, 'segment_video', interrupted)
    assert run(path) == 130
    assert files(tmp_path / 'out') == set()


@pytest.mark.parametrize('broken', ['no_metadata', 'truncated', 'empty'])
def test_a_bad_model_is_an_error_that_names_it(tmp_path, capsys, broken):
    tiny_models.write_tiny_model(tmp_path / 'bad.onnx', broken=broken)
    photo = write_scene(tmp_path / 'photo.png')
    for model in ('bad.onnx', 'gone.onnx'):
        assert main(['segment', str(photo), '--model', str(tmp_path / model), '--out',
                     str(tmp_path / 'out')]) == 1
        assert model in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_frames_of_a_variable_rate_keep_their_times(run, tmp_path):
    times = [0, 100, 700, 800, 1500]
    path = write_uneven_video(tmp_path / 'uneven.mkv', times,
                              [paint(number) for number in range(len(times))])
    assert run(path) == 0
    records = read_records(tmp_path / 'out')
    assert [record['time'] for record in records] == [time / 1000 for time in times]
    assert [record['name'] for record in records] == [f'uneven.mkv/00000{n}' for n in range(5)]
    with VideoReader(tmp_path / 'out' / 'overlay' / 'uneven.mkv.mp4') as video:
        assert len(list(video)) == 16  # at 10 a second, until the last frame at 1.5 s
        assert video.time == pytest.approx(1.5)


@pytest.mark.parametrize('name, count', [('trimmed.mp4', 15), ('vfr.mkv', 26)])
def test_sound_videos_of_real_encoders_end_with_code_0(run, tmp_path, shared, name, count):
    assert run(shared / 'cases' / name) == 0
    assert len(read_records(tmp_path / 'out')) == count


def test_a_damaged_image_that_can_be_decoded_gives_results_and_an_error(run, tmp_path, capsys):
    done, data = cv2.imencode('.jpg', cv2.cvtColor(paint(), cv2.COLOR_RGB2BGR))
    data = bytearray(data.tobytes())
    data[-200:-100] = bytes(100)
    (tmp_path / 'photo.jpg').write_bytes(data)
    assert run(tmp_path / 'photo.jpg') == 1
    assert 'photo.jpg: damaged image, decoded in part (Corrupt JPEG' in capsys.readouterr().err
    assert len(files(tmp_path / 'out')) == 4


@pytest.mark.parametrize('name', ['photo.png', 'street.mp4'])
def test_results_stay_if_the_overlay_cannot_be_made(run, tmp_path, capsys, monkeypatch, name):
    source = tmp_path / name
    if name == 'photo.png':
        write_scene(source)
    else:
        write_scenes(source, 3)
    assert run(source) == 0
    whole = files(tmp_path / 'out')
    encode = cv2.imencode
    monkeypatch.setattr(cv2, 'imencode', lambda suffix, image: (
        (False, None) if image.ndim == 3 else encode(suffix, image)))
    monkeypatch.setattr(cv2.VideoWriter, 'isOpened', lambda writer: False)
    try:
        assert run(source) == 1
    finally:
        monkeypatch.undo()
    assert f'{source}: no ' in capsys.readouterr().err
    pictures = {path for path in files(tmp_path / 'out') if path.startswith('overlay')}
    assert pictures == set() and files(tmp_path / 'out') == {
        path for path in whole if not path.startswith('overlay')}
