"""`instseg compare`: agreement of two results or models, and which frames are compared."""
import re

import cv2
import numpy as np
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st
from recorded_scene import FRONT, REAR, scene, write_camera

from instseg_ros.cli import main
from instseg_ros.core.types import Segmentation
from instseg_ros.reports.agreement import agreement, draw_differences
from instseg_ros.reports.chosen import Chosen, Picture, evenly_spaced
from instseg_ros.reports.comparison import median
from instseg_ros.reports.frames import Frame, Section
from instseg_ros.reports.pairing import WINDOW, Pairs

EMPTY = Segmentation(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint16))


@pytest.fixture(scope='module')
def folder(tmp_path_factory, tiny_model):
    """Return a folder with a bag of images, and results of all and of every second one."""
    path = tmp_path_factory.mktemp('compare')
    camera = write_camera(path / 'camera.mcap')
    for name, *more in (('all.mcap',), ('half.mcap', '--every', '2')):
        assert main(['segment-bag', str(camera), '--out', str(path / name),
                     '--model', str(tiny_model), *more]) == 0
    return path


@pytest.fixture
def compare(tmp_path, capsys):
    """Return a function that runs the command; it returns exit code, page and errors."""
    def run(first, second, *arguments):
        out = tmp_path / 'compare.html'
        code = main(['compare', str(first), str(second), '--out', str(out),
                     *map(str, arguments)])
        page = out.read_text('utf-8') if out.exists() else ''
        return code, page, capsys.readouterr().err

    return run


def test_a_result_agrees_with_itself(compare, folder):
    code, page, _ = compare(folder / 'all.mcap', folder / 'all.mcap')
    assert code == 0
    assert '6 frames compared.' in page and 'All frames are the same' in page
    assert re.search(r'<td>person</td><td>1.000</td><td>1.000</td><td>1.000</td><td>6</td>'
                     r'<td>0</td><td>0</td>', page)
    assert 'No speed' in page


def test_frames_are_paired_by_stamp_and_the_others_counted(compare, folder):
    code, page, _ = compare(folder / 'all.mcap', folder / 'half.mcap')
    assert code == 0 and '3 frames compared; 3 frames only in A.' in page
    code, page, _ = compare(folder / 'half.mcap', folder / 'all.mcap')
    assert code == 0 and '3 frames compared; 3 frames only in B.' in page


def test_two_models_on_a_bag(compare, folder, tiny_model, tmp_path):
    other = tmp_path / 'other.onnx'
    tiny_models.write_tiny_model(other)
    code, page, _ = compare(tiny_model, other, '--input', folder / 'camera.mcap')
    assert code == 0 and '6 frames compared.' in page
    assert page.count('median time of an image') == 2


def test_one_of_several_topics_is_chosen(compare, tiny_model, tmp_path):
    source = write_camera(tmp_path / 'two.mcap', rear=True)
    code, _, errors = compare(tiny_model, tiny_model, '--input', source)
    assert code != 0 and f'expected --topic with one of {FRONT}, {REAR}' in errors
    code, page, _ = compare(tiny_model, tiny_model, '--input', source, '--topic', REAR)
    assert code == 0 and '6 frames compared.' in page
    code, _, errors = compare(tiny_model, tiny_model, '--input', source, '--topic', '/nose')
    assert code != 0 and 'expected a topic /nose of images' in errors


def test_results_of_several_topics_are_compared_topic_by_topic(compare, tiny_model, tmp_path):
    source, result = write_camera(tmp_path / 'two.mcap', rear=True), tmp_path / 'result.mcap'
    assert main(['segment-bag', str(source), '--out', str(result),
                 '--model', str(tiny_model)]) == 0
    code, page, _ = compare(result, result)
    assert code == 0 and '12 frames compared.' in page and 'All frames are the same' in page
    code, _, errors = compare(result, result, '--topic', FRONT)
    assert code != 0 and 'expected two models' in errors


def test_two_models_on_photographs_and_a_damaged_one(compare, tiny_model, tmp_path):
    (tmp_path / 'photos').mkdir()
    for number in range(2):
        cv2.imwrite(str(tmp_path / 'photos' / f'{number}.png'),
                    cv2.cvtColor(scene(number), cv2.COLOR_RGB2BGR))
    code, page, _ = compare(tiny_model, tiny_model, '--input', tmp_path / 'photos')
    assert code == 0 and '2 frames compared.' in page
    whole = (tmp_path / 'photos' / '1.png').read_bytes()
    (tmp_path / 'photos' / '1.png').write_bytes(whole[:40])
    code, page, errors = compare(tiny_model, tiny_model, '--input', tmp_path / 'photos')
    assert code == 1 and '1 frames compared.' in page and '1.png' in errors


def test_other_classes_are_refused_by_name(compare, tiny_model, folder, tmp_path):
    other = tmp_path / 'other.onnx'
    tiny_models.write_tiny_model(other, tiny_models.tiny_info(
        class_names=('background', 'person', 'bicycle', 'cart', 'motorcycle')))
    code, page, errors = compare(tiny_model, other, '--input', folder / 'camera.mcap')
    assert (code, page) == (1, '')
    assert '3 car' in errors and '3 cart' in errors


@pytest.mark.parametrize('arguments', [
    ('a.mcap', 'b.onnx'), ('a.onnx', 'b.onnx'), ('a.mcap', 'b.mcap', '--input', 'c.mp4')])
def test_models_need_an_input_and_results_none(compare, arguments):
    code, _, errors = compare(*arguments)
    assert code == 1 and 'expected two results, or two models and --input' in errors


def test_results_without_a_common_frame_are_refused(compare, folder, tmp_path, tiny_model):
    later = write_camera(tmp_path / 'later.mcap', count=2)
    photos = tmp_path / 'out'
    cv2.imwrite(str(tmp_path / 'photo.png'), scene(0))
    assert main(['segment', str(tmp_path / 'photo.png'), '--out', str(photos),
                 '--model', str(tiny_model)]) == 0
    code, page, errors = compare(folder / 'all.mcap', photos)
    assert (code, page) == (1, '')
    assert 'same stamps or names' in errors and '6 and 1 frames' in errors
    code, _, errors = compare(folder / 'all.mcap', later)
    assert code == 1 and 'expected a topic' in errors


def section(keys):
    return Section('', lambda _: (Frame(key, '', 0.0, EMPTY, lambda: None) for key in keys))


stamps = st.lists(st.integers(0, 40), unique=True).map(sorted)


@given(stamps, stamps)
def test_pairs_are_the_common_stamps_of_sorted_results(first, second):
    pairs = Pairs(section(first), section(second))
    found = [(one.key, other.key) for one, other in pairs]
    common = sorted(set(first) & set(second))
    assert found == [(key, key) for key in common]
    assert pairs.alone == (len(first) - len(common), len(second) - len(common))


@given(st.integers(1, 60), st.integers(1, 4))
def test_looped_stamps_are_paired_in_order(length, loops):
    keys = list(range(length)) * loops
    pairs = Pairs(section(keys), section(keys))
    assert [one.key for one, _ in pairs] == keys
    assert pairs.alone == (0, 0)


def test_a_late_frame_finds_its_partner_within_the_window():
    keys = list(range(100))
    late = [*keys[1:WINDOW], 0, *keys[WINDOW:]]
    pairs = Pairs(section(keys), section(late))
    assert len(list(pairs)) == 100


@given(st.lists(st.floats(0.01, 1), max_size=60), st.integers(1, 5), st.integers(1, 8))
def test_chosen_frames_are_few_and_apart_and_hold_the_best(values, count, gap):
    chosen = Chosen('', count, gap, 10)
    for number, value in enumerate(values):
        if chosen.wants(value, number):
            chosen.put(value, number, Picture('', str(number)))
    kept = [int(picture.caption) for picture in chosen.pictures]
    assert len(kept) <= count
    assert all(abs(one - other) >= gap for one in kept for other in kept if one != other)
    if values:
        assert values[kept[0]] == max(values)


@given(st.integers(0, 500), st.integers(2, 30))
def test_a_filmstrip_begins_with_the_first_and_ends_with_the_last_frame(count, number):
    numbers = evenly_spaced(count, number)
    assert len(numbers) == min(count, number)
    if count:
        assert {0, count - 1} <= numbers


@given(st.lists(st.integers(0, 9), min_size=1))
def test_median(values):
    from collections import Counter
    assert median(Counter(values)) == sorted(values)[(len(values) - 1) // 2]


def test_differences_show_what_only_one_has():
    first, second = (Segmentation(*(array.astype(kind) for array, kind in zip(
        tiny_models.rectangles((16, 32), boxes), (np.uint8, np.uint16)))) for boxes in (
            [(1, (0, 0, 8, 8)), (1, (16, 0, 24, 8))], [(1, (0, 0, 8, 8)), (1, (24, 8, 32, 16))]))
    assert agreement(first, second, {1}).pq[1] == pytest.approx(0.5)
    picture = draw_differences(first, second, {1})
    assert picture[4, 20, 0] > picture[4, 20, 2]  # red: only in the first
    assert picture[12, 28, 2] > picture[12, 28, 0]  # blue: only in the second
    assert np.ptp(picture[4, 4].astype(int)) < 30  # gray: in both
