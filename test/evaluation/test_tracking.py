"""How well ids are kept: the file format, and metrics whose values are known."""
import json

import cv2
import numpy as np
import pytest
from tiny_models import paint_scene, rectangles, tiny_info

from instseg_ros import cli
from instseg_ros.evaluation.tracking import Boxes, read_mot

trackeval = pytest.importorskip('trackeval', reason='needs the packages of '
                                'requirements/trackeval.txt')

PERFECT = {'mota': 1, 'idf1': 1, 'hota': 1, 'id_switches': 0, 'recall': 1, 'precision': 1}


def walk(ids, frames=10):
    """Return one object that moves and has these ids in its frames."""
    return [Boxes(np.array([ids[n % len(ids)]]), np.array([[10.0 + n, 5, 30 + n, 45]]))
            for n in range(frames)]


def metrics(truth, tracked):
    from instseg_ros.evaluation.tracking import tracking_metrics
    return tracking_metrics(truth, tracked)


def test_the_names_of_ids_do_not_matter():
    result = metrics(walk([7]), walk([65000]))
    assert {name: result[name] for name in PERFECT} == pytest.approx(PERFECT)
    assert (result['objects'], result['ids_given']) == (10, 1)


def test_an_id_that_changes_once_is_one_switch():
    tracked = walk([1], 5) + walk([2], 10)[5:]
    result = metrics(walk([1]), tracked)
    assert result['id_switches'] == 1
    assert result['mota'] == pytest.approx(0.9)  # one of ten
    assert result['idf1'] == pytest.approx(0.5)  # one of the ids fits half of the frames
    assert result['hota'] == pytest.approx(0.5**0.5)  # the association is half right


def test_what_is_missed_and_what_is_false_counts():
    nothing = Boxes(np.empty(0, np.int64), np.empty((0, 4)))
    result = metrics(walk([1]), [nothing] * 5 + walk([1])[5:])
    assert (result['mota'], result['recall'], result['precision']) == (0.5, 0.5, 1)
    assert metrics(walk([1]), [nothing] * 10)['mota'] == 0
    with pytest.raises(ValueError, match='expected 10 frames as in the ground truth, got 9'):
        metrics(walk([1]), walk([1], 9))


def test_a_file_is_read(tmp_path):
    path = tmp_path / 'gt.txt'
    path.write_text('1,3,11,21,10,20,1,-1,-1,-1\n\n3,3,12,21,10,20\n3,9,1,1,5.5,5\n')
    first, second, third = read_mot(path)
    assert first.ids.tolist() == [3] and first.boxes.tolist() == [[10, 20, 20, 40]]
    assert len(second.ids) == 0
    assert third.ids.tolist() == [3, 9] and third.boxes[1].tolist() == [0, 0, 5.5, 5]


@pytest.mark.parametrize('text, message', [
    ('', 'got none'), ('1,2,3\n', 'line 1: expected frame, id, left'),
    ('1,1,1,1,1,1\n1,x,1,1,1,1\n', "line 2: expected frame, id.* got '1,x,1"),
    ('0,1,1,1,1,1\n', 'a frame from 1'), ('1,1.5,1,1,1,1\n', 'a whole id'),
    ('1,1,nan,1,1,1\n', 'as numbers'), ('1,4,1,1,1,1\n1,4,9,1,1,1\n', 'id 4 is in frame 1')])
def test_other_files_are_refused_with_the_line(tmp_path, text, message):
    path = tmp_path / 'gt.txt'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_mot(path)


@pytest.fixture
def video(tmp_path):
    """Return a video of two people who walk past each other's place, and its ground truth."""
    lines, path = [], tmp_path / 'street.avi'
    # Lossless, so that the tiny model finds exactly what is painted.
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'FFV1'), 10, (160, 120))
    assert writer.isOpened()
    for n in range(8):
        boxes = [(8 + 8 * n, 16, 32 + 8 * n, 56), (120 - 8 * n, 64, 144 - 8 * n, 104)]
        scene = rectangles((120, 160), [(1, each) for each in boxes])
        # The order of the objects by score changes all the time.
        image = paint_scene(*scene, tiny_info(), confidence={1: 1 - 0.1 * (n % 2), 2: .95})
        writer.write(np.ascontiguousarray(image[..., ::-1]))
        lines += [f'{n + 1},{number},{left + 1},{top + 1},{right - left},{bottom - top},1'
                  for number, (left, top, right, bottom) in enumerate(boxes, start=1)]
    writer.release()
    truth = tmp_path / 'gt.txt'
    truth.write_text('\n'.join(lines))
    return path, truth


def evaluate(*arguments):
    return cli.main(['evaluate', *map(str, arguments)])


def test_a_video_is_tracked(video, tiny_model, tmp_path, capsys):
    out = tmp_path / 'metrics.json'
    assert evaluate('--model', tiny_model, '--tracking', video[0], '--ground-truth', video[1],
                    '--refinement', 'nearest', '--json', out, '--tracking-keep', 2) == 0
    report = json.loads(out.read_text())
    assert {name: report['tracking'][name] for name in PERFECT} == pytest.approx(PERFECT)
    assert report['tracking']['ids_given'] == 2
    assert report['settings']['tracking'] == {
        'enabled': True, 'keep': 2, 'high_score': 0.5, 'color_weight': 1}
    assert 'hota 1.000' in capsys.readouterr().out
    assert evaluate('--model', tiny_model, '--tracking', video[0], '--ground-truth', video[1],
                    '--classes', 'car', '--json', out) == 0
    assert json.loads(out.read_text())['tracking']['mota'] == 0


@pytest.mark.parametrize('arguments, message', [
    (['--tracking', 'street.avi'], '--ground-truth is missing'),
    (['--ground-truth', 'gt.txt'], '--tracking is missing'),
    (['--tracking', 'street.avi', '--ground-truth', 'gt.txt', '--images', '.'],
     '--images is for labelled images'),
    (['--tracking', 'street.avi', '--ground-truth', 'gt.txt', '--classes', 'cow'],
     'got cow'),
    (['--tracking', 'street.avi', '--ground-truth', 'gt.txt', '--tracking-keep', '0'],
     'tracking.keep: expected a value from 0.1')])
def test_wrong_arguments_are_one_sentence(video, tiny_model, monkeypatch, capsys, arguments,
                                          message):
    monkeypatch.chdir(video[0].parent)
    assert evaluate('--model', tiny_model, *arguments) == 1
    assert message in capsys.readouterr().err


def test_a_ground_truth_longer_than_the_video_is_refused(video, tiny_model, capsys):
    video[1].write_text('99,1,1,1,5,5')
    assert evaluate('--model', tiny_model, '--tracking', video[0],
                    '--ground-truth', video[1]) == 1
    assert 'names frame 99' in capsys.readouterr().err
