"""`instseg demo` with the real node over real DDS."""
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_models

pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('vision_msgs', reason='needs vision_msgs')

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import (
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    MESSAGE_TYPES,
    make_header,
    stamp_of,
    typestore,
)
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.results import RESULT_TYPES, read_results
from instseg_ros.bags.types import Topic
from instseg_ros.cli import main
from instseg_ros.demo import node_process
from instseg_ros.media import VideoReader, VideoWriter, read_image
from instseg_ros.messages.images import jpeg_message
from instseg_ros.recorded.outputs import PICTURES

ROOT = Path(__file__).resolve().parents[2]
SIZE = (120, 160)
COUNT = 20
RATE = 10
FILES = {'camera.mcap', 'instances.jsonl', 'node.log', 'overlay.mp4', 'overlay.png',
         'report.json', 'result.mcap'}
LIMIT = 120.0  # seconds; far above what any of these runs takes


def scene(number):
    """Return label maps with a person that walks and a car that stands."""
    left = 16 + 4 * number
    return tiny_models.rectangles(
        SIZE, [(1, (left, 16, left + 20, 56)), (3, (8, 80, 48, 108))])


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Return the path of a video in which the tiny model finds a person and a car."""
    path = tmp_path_factory.mktemp('video') / 'street.mp4'
    with VideoWriter(path, RATE) as writer:
        for number in range(COUNT):
            writer.write(tiny_models.paint_scene(*scene(number), tiny_models.tiny_info()))
    return path


def start_demo(*arguments):
    """Start the command; its stdout and stderr come together."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'PYTHONUNBUFFERED': '1'}
    return subprocess.Popen(
        [sys.executable, '-m', 'instseg_ros.cli', 'demo', *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        # A shell's background job ignores Ctrl-C, and so would all that the tests start in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def run_demo(*arguments):
    """Run the command to its end; return its code and what it printed."""
    process = start_demo(*arguments)
    text, _ = process.communicate(timeout=LIMIT)
    return process.returncode, text


def wait_for(process, words):
    """Read what a demo prints until `words` come; return all of it."""
    text = ''
    while words not in text:
        part = process.stdout.read(1)
        assert part, f'the demo ended before "{words}":\n{text}'
        text += part
    return text


def children(process):
    """Return the process ids of a process's children."""
    ids = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    return [int(number) for number in ids]


def is_alive(pid):
    """Return whether a process exists and is no zombie."""
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != 'Z'


@pytest.fixture(scope='module')
def demo(video, tiny_model, tmp_path_factory):
    """Return the folder of a finished demo and what it printed."""
    out = tmp_path_factory.mktemp('demo') / 'new' / 'out'
    code, text = run_demo('--video', video, '--model', tiny_model, '--out', out)
    assert code == 0, text
    return out, text


def test_the_files_are_there_and_nothing_else(demo):
    out, text = demo
    assert {entry.name for entry in out.iterdir()} == FILES
    for name in ('overlay.mp4', 'overlay.png', 'report.json'):
        assert str(out / name) in text
    assert 'frame/s' in text  # progress


def test_the_report_has_every_field(demo, tiny_model):
    report = json.loads((demo[0] / 'report.json').read_text())
    assert list(report) == ['frames_in', 'frames_out', 'frames_dropped', 'seconds', 'fps',
                            'latency_ms', 'stage_ms', 'instances_total', 'provider', 'model']
    assert (report['frames_in'], report['frames_out'], report['frames_dropped']) == (
        COUNT, COUNT, 0)
    assert report['instances_total'] == 2 * COUNT
    assert report['provider'] == 'cpu'
    assert report['model'] == str(tiny_model)
    # Seconds are rounded to milliseconds, of which the tiny model needs but few.
    assert COUNT / report['fps'] == pytest.approx(report['seconds'], abs=0.001)
    latency = report['latency_ms']
    assert 0 < latency['p50'] <= latency['p95'] <= latency['max'] <= 1000 * report['seconds']
    assert {'convert', 'network', 'grouping', 'refinement', 'publish'} <= set(report['stage_ms'])
    assert all(value >= 0 for value in report['stage_ms'].values())


def test_every_frame_has_a_record_with_both_objects(demo, video):
    records = [json.loads(line) for line in (demo[0] / 'instances.jsonl').read_text().splitlines()]
    assert [record['frame'] for record in records] == list(range(COUNT))
    for record in records:
        assert record['source'] == str(video)
        found = {item['class_name']: item for item in record['instances']}
        assert set(found) == {'person', 'car'}
        left = 16 + 4 * record['frame']
        for name, box in (('person', (left, 16, left + 20, 56)), ('car', (8, 80, 48, 108))):
            # The video is compressed, so an output cell at an edge may fall to either side.
            assert found[name]['box_xyxy'] == pytest.approx(box, abs=4)
            area = (box[2] - box[0]) * (box[3] - box[1])
            assert found[name]['area'] == pytest.approx(area, rel=0.25)
            center = ((box[1] + box[3]) / 2, (box[0] + box[2]) / 2)
            assert found[name]['center_yx'] == pytest.approx(center, abs=4)
            assert 0.7 < found[name]['score'] <= 1


def test_the_bags_belong_together(demo):
    with BagReader(demo[0] / 'camera.mcap') as bag:
        sent = [(message.time, stamp_of(message.data)) for message in bag.read(bag.topics)]
    assert len(sent) == COUNT
    assert np.diff([stamp for stamp, _ in sent]).tolist() == [10 ** 9 // RATE] * (COUNT - 1)
    with BagReader(demo[0] / 'result.mcap') as bag:
        assert {topic.name: count for topic, count in bag.counts.items()} == {
            '/segmenter/semantic_image': COUNT, '/segmenter/instance_image': COUNT,
            '/segmenter/confidence_image': COUNT, '/segmenter/instances': COUNT,
            '/segmenter/label_info': 1,
            '/segmenter/overlay/compressed': COUNT, '/segmenter/color_labels/compressed': COUNT}
        instances = Topic('/segmenter/instances', DETECTIONS)
        assert [(message.time, stamp_of(message.data))
                for message in bag.read([instances])] == sent
        results = list(read_results(bag, '/segmenter/'))
    assert [stamp for stamp, _ in results] == [stamp for _, stamp in sent]
    for number, (_, result) in enumerate(results):
        semantic_ids, instance_ids = scene(number)
        assert (result.semantic_ids == semantic_ids).mean() > 0.97
        assert ((result.instance_ids > 0) == (instance_ids > 0)).mean() > 0.97
        for item in result.instances:
            assert item.area == (result.instance_ids == item.instance_id).sum()


def test_the_pictures_show_the_video_and_its_masks(demo, video):
    with VideoReader(demo[0] / 'overlay.mp4') as pictures, VideoReader(video) as original:
        assert pictures.rate == pytest.approx(RATE)
        frames, originals = list(pictures), list(original)
    assert len(frames) == COUNT
    assert frames[0].shape == originals[0].shape
    background = (slice(64, 76), slice(100, 150))
    car = (slice(84, 100), slice(12, 44))
    for frame, image in zip(frames, originals):
        difference = np.abs(frame.astype(int) - image)
        assert difference[background].mean() < 8 < difference[car].mean()
    assert read_image(demo[0] / 'overlay.png').shape == (2 * SIZE[0], 3 * SIZE[1], 3)


def test_bad_frames_of_a_bag_are_counted_and_the_good_ones_come_back(tiny_model, tmp_path):
    """Bad frames fill the whole window, stand between good ones and come last."""
    bad = {3, 4, 5, 9, 11, 12}
    info = tiny_models.tiny_info()
    with BagWriter(tmp_path / 'recording.mcap') as bag:
        bag.add_topic('/front/image', IMAGE)
        for number in range(13):
            stamp = 10 ** 18 + number * 10 ** 8
            image = make_image(tiny_models.paint_scene(*scene(number), info), stamp, 'front')
            if number in bad:
                image = dataclasses.replace(image, data=image.data[:100])
            bag.write_message('/front/image', stamp, image)
    out = tmp_path / 'out'
    code, text = run_demo('--bag', tmp_path / 'recording.mcap', '--model', tiny_model,
                          '--out', out)
    assert code == 0, text
    report = json.loads((out / 'report.json').read_text())
    assert (report['frames_in'], report['frames_out'], report['frames_dropped']) == (13, 7, 6)
    frames = [json.loads(line)['frame']
              for line in (out / 'instances.jsonl').read_text().splitlines()]
    assert frames == [number for number in range(13) if number not in bad]
    with VideoReader(out / 'overlay.mp4') as pictures:
        assert pictures.frame_count == 7
    assert {entry.name for entry in out.iterdir()} == FILES - {'camera.mcap'}


def test_at_a_rate_that_is_too_high_frames_are_dropped_and_counted(video, tiny_model, tmp_path):
    out = tmp_path / 'out'
    # The large input makes the node slower than the replay, also where both have few cores.
    code, text = run_demo('--video', video, '--model', tiny_model, '--out', out, '--rate', 1000,
                          '--input-size', 4096)
    assert code == 0, text
    report = json.loads((out / 'report.json').read_text())
    assert report['frames_in'] == COUNT
    assert report['frames_dropped'] > 0
    assert report['frames_out'] == COUNT - report['frames_dropped']
    frames = [json.loads(line)['frame']
              for line in (out / 'instances.jsonl').read_text().splitlines()]
    assert len(frames) == report['frames_out']
    assert frames == sorted(set(frames)) and frames[-1] == COUNT - 1  # the newest frame wins


@pytest.mark.parametrize('interruption, code, words', [
    (signal.SIGINT, 130, 'interrupted'), (signal.SIGTERM, 130, 'interrupted'),
    (None, 1, 'the node stalled: no result for 1 s')])
def test_the_node_never_outlives_the_demo(video, tiny_model, tmp_path, interruption, code, words):
    """The demo is interrupted, or the node stops to answer, in the middle of the video."""
    out = tmp_path / 'out'
    process = start_demo('--video', video, '--model', tiny_model, '--out', out, '--rate', 0.2,
                         *([] if interruption else ['--timeout', 1]))
    wait_for(process, 'live over DDS')
    node, = children(process)
    if interruption:
        process.send_signal(interruption)
    else:
        os.kill(node, signal.SIGSTOP)
    text, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == code, text
    assert words in text
    assert not is_alive(node)
    assert list(out.iterdir()) == []


def test_a_node_that_fails_at_its_end_is_an_error_but_the_results_stay(
        video, tiny_model, tmp_path, monkeypatch, capsys):
    (tmp_path / 'failing_node.py').write_text(
        'import sys\nfrom instseg_ros.node.main import main\nmain()\nsys.exit(7)\n')
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(ROOT), str(tmp_path)]))
    monkeypatch.setattr(node_process, 'MODULE', 'failing_node')
    out = tmp_path / 'out'
    assert main(['demo', '--video', str(video), '--model', str(tiny_model),
                 '--out', str(out)]) == 1
    assert 'instseg demo: error: the node ended with code 7; ' in capsys.readouterr().err
    assert {entry.name for entry in out.iterdir()} == FILES


def test_a_model_the_node_refuses_is_an_error_with_the_reason(video, tmp_path):
    tiny_models.write_tiny_model(tmp_path / 'bad.onnx', broken='no_metadata')
    code, text = run_demo('--video', video, '--model', tmp_path / 'bad.onnx',
                          '--out', tmp_path / 'out')
    assert code == 1
    assert 'the node refused to configure' in text and 'metadata' in text
    assert list((tmp_path / 'out').iterdir()) == []


def test_bad_input_is_one_sentence(video, tiny_model, tmp_path, capsys):
    text_file = tmp_path / 'notes.mp4'
    text_file.write_text('milk, bread')
    for arguments, words in [
            (['--video', tmp_path / 'gone.mp4'], 'gone.mp4: no such file'),
            (['--video', text_file], 'expected a video, got a file that is damaged'),
            (['--bag', text_file], 'expected a bag file'),
            (['--video', video, '--model', tmp_path / 'gone.onnx'], 'gone.onnx: no such file'),
            (['--video', video, '--in-flight', 0], '--in-flight: expected at least 1, got 0'),
            (['--video', video, '--rate', -1], '--rate: expected at least 0')]:
        arguments = ['--model', tiny_model, '--out', tmp_path / 'out', *arguments]
        assert main(['demo', *map(str, arguments)]) == 1
        text = capsys.readouterr().err
        assert text.startswith('instseg demo: error: ') and words in text
        assert text.count('\n') == 1
        assert not list(tmp_path.glob('out/*'))


@pytest.fixture(scope='module')
def odd_recording(tmp_path_factory):
    """Return a bag with stamps of a counter, a change of size, JPEGs and one that is none."""
    info = tiny_models.tiny_info()
    path = tmp_path_factory.mktemp('odd') / 'recording.mcap'
    with BagWriter(path) as bag:
        bag.add_topic('/2d/image/compressed', COMPRESSED_IMAGE)
        for number in range(8):
            image = tiny_models.paint_scene(*scene(number), info)
            image = image[:80] if number >= 5 else image
            message = jpeg_message(MESSAGE_TYPES, make_header(number // 2, 'front'), image, 95)
            if number == 3:
                message.data = message.data[:50]
            bag.write_message('/2d/image/compressed', 10 ** 18 + number * 11_037_527, message)
    return path


def test_odd_recordings_cost_no_result(odd_recording, tiny_model, tmp_path):
    """Repeated stamps, a rate of 90.6 images/s, another size: all of it is drawn."""
    code, text = run_demo('--bag', odd_recording, '--model', tiny_model, '--out', tmp_path)
    assert code == 0, text
    report = json.loads((tmp_path / 'report.json').read_text())
    assert (report['frames_in'], report['frames_out'], report['frames_dropped']) == (8, 7, 1)
    frames = [json.loads(line)['frame']
              for line in (tmp_path / 'instances.jsonl').read_text().splitlines()]
    assert frames == [0, 1, 2, 4, 5, 6, 7]
    with VideoReader(tmp_path / 'overlay.mp4') as pictures:
        assert pictures.rate == pytest.approx(90.6, abs=0.01)
        assert [frame.shape for frame in pictures] == [(*SIZE, 3)] * 7


def test_segment_bag_gives_what_the_live_node_gives_bit_for_bit(demo, tiny_model, tmp_path):
    assert main(['segment-bag', str(demo[0] / 'camera.mcap'), '--model', str(tiny_model),
                 '--labels', 'raw', '--out', str(tmp_path / 'result.mcap')]) == 0

    def contents(path):
        with BagReader(path) as bag:
            names = {*RESULT_TYPES, 'confidence_image', *PICTURES}
            topics = [topic for topic in bag.topics
                      if topic.name.removeprefix('/segmenter/') in names]
            assert len(topics) == len(names)
            # Serialized anew, since the padding between fields may have any value.
            return sorted((message.topic, message.time, bytes(typestore().serialize_cdr(
                bag.parse(message), message.topic.type))) for message in bag.read(topics))

    live, recorded = contents(demo[0] / 'result.mcap'), contents(tmp_path / 'result.mcap')
    assert len(live) == 6 * COUNT
    assert recorded == live
