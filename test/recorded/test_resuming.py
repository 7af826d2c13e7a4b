"""`instseg segment-bag` after an interruption goes on where it was."""
import shutil

import pytest
from recorded_scene import FRONT, NOTES, SECOND, raw, write_camera
from result_bags import Interruption, counts, read

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.messages import IMAGE
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.results import read_results
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.recorded.job import Job, ModelSettings
from instseg_ros.recorded.segmenting import segment_bag


@pytest.mark.parametrize('count', [1, 4, 7, 11])
def test_an_interrupted_run_goes_on_where_it_was(segment, tmp_path, interrupt, monkeypatch, count):
    source = write_camera(tmp_path / 'camera.mcap', rear=True, notes=True, bad=(2,))
    whole = segment(source, '--copy', NOTES, out='whole.mcap')[1]
    undo = interrupt(count, Interruption())
    with pytest.raises(Interruption):
        segment(source, '--copy', NOTES)
    undo()
    part = tmp_path / 'result.unfinished' / '0000'
    assert (part / 'metadata.yaml').exists()
    done = sum(number for name, number in counts(part).items() if name.endswith('instances'))
    segmented = []
    infer = Segmenter.infer
    monkeypatch.setattr(Segmenter, 'infer', lambda self, image: (
        segmented.append(image), infer(self, image))[1])
    code, result, errors = segment(source, '--copy', NOTES)
    assert code == 1 and '1 images on' in errors[0]
    assert len(segmented) == 11 - done
    assert [tuple(message) for message in read(result)] == [
        tuple(message) for message in read(whole)]
    assert not (tmp_path / 'result.unfinished').exists()


@pytest.mark.parametrize('count', [1, 2, 4])
def test_images_of_equal_times_are_told_apart(segment, tmp_path, interrupt, count):
    source = tmp_path / 'camera.mcap'
    with BagWriter(source) as bag:
        bag.add_topic(FRONT, IMAGE)
        for number in range(6):
            data = raw(number, number)
            bag.write(FRONT, SECOND, data[:-9] if number == 1 else data)
    whole = segment(source, out='whole.mcap')[1]
    undo = interrupt(count, Interruption())
    with pytest.raises(Interruption):
        segment(source)
    undo()
    code, result, errors = segment(source)
    assert code == 1 and f'1 images on {FRONT} dropped' in errors[0]
    assert [tuple(message) for message in read(result)] == [
        tuple(message) for message in read(whole)]


def test_a_part_of_a_killed_run_is_used(segment, camera, tmp_path, interrupt):
    whole = segment(camera, out='whole.mcap')[1]
    undo = interrupt(4, Interruption())
    with pytest.raises(Interruption):
        segment(camera)
    undo()
    part = tmp_path / 'result.unfinished' / '0000'
    (part / 'metadata.yaml').unlink()
    data = (part / '0000.mcap').read_bytes()
    (part / '0000.mcap').write_bytes(data[:len(data) * 2 // 3])
    code, result, _ = segment(camera)
    assert code == 0
    assert [tuple(message) for message in read(result)] == [
        tuple(message) for message in read(whole)]


def test_an_unfinished_result_of_other_options_is_kept(segment, camera, tmp_path, interrupt):
    undo = interrupt(4, Interruption())
    with pytest.raises(Interruption):
        segment(camera)
    undo()
    code, _, errors = segment(camera, '--every', 2)
    assert code == 1 and 'an unfinished result of another' in errors[0]
    assert (tmp_path / 'result.unfinished' / '0000').exists()
    code, result, _ = segment(camera, '--every', 2, '--force')
    assert code == 0 and counts(result)['/segmenter/instances'] == 3


def test_a_full_disk_leaves_a_valid_bag(segment, camera, tmp_path, monkeypatch):
    usage = shutil.disk_usage
    frees = iter([10 ** 9] * 3)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(path)._replace(
        free=next(frees, 1000)))
    code, result, errors = segment(camera)
    assert code == 1 and len(errors) == 1 and 'the disk is full' in errors[0]
    assert not result.exists()
    part = tmp_path / 'result.unfinished' / '0000'
    with BagReader(part) as bag:
        assert len(list(read_results(bag, '/segmenter/'))) == 3
        assert bag.damage == []
    monkeypatch.undo()
    assert segment(camera)[0] == 0
    assert counts(result)['/segmenter/instances'] == 6


@pytest.mark.parametrize('done', [1, 4, 5])
def test_progress_counts_the_images_of_earlier_runs_too(camera, tiny_model, tmp_path, interrupt,
                                                        done):
    job = Job(camera, tmp_path / 'result.mcap', ModelSettings(tiny_model))
    segmenter = Segmenter.from_onnx(tiny_model)
    undo, seen = interrupt(done, Interruption()), []
    with pytest.raises(Interruption):
        segment_bag(job, segmenter)
    undo()
    segment_bag(job, segmenter, on_start=seen.append, on_frame=lambda: seen.append('frame'))
    assert seen == [6, *['frame'] * 6]
