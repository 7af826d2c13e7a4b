"""What `instseg segment-bag` refuses, and what damage costs it."""
import pytest
from recorded_scene import FRONT, write_camera
from result_bags import counts

from instseg_ros.bags.bag import BagFolder, BagWriter
from instseg_ros.bags.messages import (
    IMAGE,
    LABEL_INFO,
)


def test_bad_images_are_named_and_cost_only_themselves(segment, tmp_path):
    code, result, errors = segment(write_camera(tmp_path / 'bad.mcap', bad=(0, 3)))
    assert code == 1
    assert counts(result)['/segmenter/instances'] == 4
    assert len(errors) == 1
    assert f'2 images on {FRONT} dropped' in errors[0] and "got 'smell8'" in errors[0]


@pytest.mark.parametrize('text, words', [
    ('/rear_segmenter:\n  ros__parameters: {}', 'expected parameters of /segmenter'),
    ('/segmenter:\n  ros__parameters: {imagedepth: 3}', 'did you mean image_depth?'),
    ('/segmenter:\n  ros__parameters: {grouping: {center_threshold: 7.0}}', 'from 0 to 1')])
def test_a_wrong_parameter_file_is_refused(segment, camera, tmp_path, text, words):
    (tmp_path / 'segmenter.yaml').write_text(text)
    code, result, errors = segment(camera, '--params', tmp_path / 'segmenter.yaml')
    assert code == 1 and words in errors[0] and not result.exists()


def test_bad_input_is_one_sentence(segment, camera, tmp_path):
    empty, labels = tmp_path / 'empty.mcap', tmp_path / 'labels.mcap'
    for path, kind in ((empty, IMAGE), (labels, LABEL_INFO)):
        with BagWriter(path) as bag:
            bag.add_topic('/camera', kind)
    (tmp_path / 'there.mcap').write_text('precious')
    for source, arguments, out, words in [
            (tmp_path / 'gone.mcap', [], 'r.mcap', 'gone.mcap: no such file'),
            (empty, [], 'r.mcap', 'no image on /camera'),
            (labels, [], 'r.mcap', f'got /camera ({LABEL_INFO})'),
            (camera, ['--topics', '/nose'], 'r.mcap', f'got {FRONT} ({IMAGE})'),
            (camera, ['--copy', '/nose'], 'r.mcap', 'expected a topic /nose to copy'),
            (camera, ['--start', 99], 'r.mcap', f'no image on {FRONT}'),
            (camera, [], 'there.mcap', 'exists already; give --force'),
            (camera, [], camera, 'expected an output apart from the input'),
            (write_camera(tmp_path / 'bad.mcap', count=2, bad=(0, 1)), [], 'r.mcap',
             'can be decoded'),
            (camera, ['--every', 0], 'r.mcap', '--every: expected at least 1')]:
        before = sorted(tmp_path.iterdir())
        code, _, errors = segment(source, *arguments, out=out)
        assert code == 1 and len(errors) == 1 and words in errors[0], errors
        assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / 'there.mcap').read_text() == 'precious'
    assert segment(camera, '--force', out='there.mcap')[0] == 0


def test_the_outputs_of_the_node_are_no_input(segment, camera):
    _, result, _ = segment(camera, '--labels', 'raw')
    code, _, errors = segment(result, out='again.mcap')
    assert code == 1 and len(errors) == 1


def test_an_output_inside_the_input_is_refused(segment, tmp_path):
    source = write_camera(tmp_path / 'recording', writer=BagFolder)
    code, _, errors = segment(source, out='recording/result.mcap')
    assert code == 1 and 'apart from the input' in errors[0]


def test_wrong_metadata_is_a_warning(segment, tmp_path):
    source = write_camera(tmp_path / 'recording', writer=BagFolder)
    (source / 'metadata.yaml').write_text('milk, bread')
    code, result, lines = segment(source)
    assert code == 0 and counts(result)['/segmenter/instances'] == 6
    assert len(lines) == 1 and lines[0].startswith('instseg segment-bag: warning: ')


def test_damage_is_an_error_and_the_sound_images_have_results(segment, tmp_path):
    source = write_camera(tmp_path / 'camera.mcap', count=200)
    data = source.read_bytes()
    source.write_bytes(data[:len(data) // 2])
    code, result, errors = segment(source)
    assert code == 1 and errors and str(source) in errors[0]
    assert 0 < counts(result)['/segmenter/instances'] < 200
