"""`instseg report`: what its page shows, names and escapes."""
import html
import json
import re
from pathlib import Path

import cv2
import pytest
from recorded_scene import FRONT, REAR, SECOND, scene, write_camera

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.messages import DETECTIONS, make_header, stamp_of, typestore
from instseg_ros.bags.reader import BagReader
from instseg_ros.cli import main
from instseg_ros.recorded.outputs import encode_label_info

DIAGNOSTICS = 'diagnostic_msgs/msg/DiagnosticArray'
STRING = 'std_msgs/msg/String'


@pytest.fixture(scope='module')
def result(tmp_path_factory, tiny_model) -> Path:
    """Return a bag of results for six images."""
    folder = tmp_path_factory.mktemp('report')
    camera = write_camera(folder / 'camera.mcap')
    assert main(['segment-bag', str(camera), '--out', str(folder / 'result.mcap'),
                 '--model', str(tiny_model)]) == 0
    return folder / 'result.mcap'


@pytest.fixture
def report(tmp_path, capsys):
    """Return a function that runs the command; it returns exit code, page and errors."""
    def run(source, *arguments):
        out = tmp_path / 'report.html'
        code = main(['report', str(source), '--out', str(out), *arguments])
        page = out.read_text('utf-8') if out.exists() else ''
        return code, page, capsys.readouterr().err

    return run


def rewrite(source, path, change, extra=(), delay=0):
    """Copy a bag; `change` gets each message and its number on its topic, None drops it.

    They are recorded `delay` nanoseconds later.
    `extra`: (topic, type, time, message) to add.
    """
    with BagReader(source) as bag, BagWriter(path) as copy:
        for topic in {*bag.topics, *((name, kind) for name, kind, *_ in extra)}:
            copy.add_topic(*topic)
        numbers = dict.fromkeys(bag.topics, 0)
        for message in bag.read(bag.topics):
            data = change(message, numbers[message.topic])
            numbers[message.topic] += 1
            if data is not None:
                copy.write(message.topic.name, message.time + delay, data)
        for name, _, time, message in extra:
            copy.write_message(name, time, message)
    return path


def is_live(message):
    """Return whether the live node publishes such a message."""
    return message.topic.type != STRING


def test_a_page_of_a_bag_shows_frames_classes_and_pictures(report, result):
    code, page, _ = report(result)
    assert code == 0
    assert '6 frames in 0.5 s, 12 objects' in page
    assert re.search(r'<td>person</td><td>6</td><td>1.00</td>', page)
    assert re.search(r'<td>car</td><td>6</td>', page)
    strip = page.split('Filmstrip')[1].split('<h3>')[0]
    assert strip.count('data:image/jpeg;base64,') == 6
    assert 'stamp 0.999999993' in strip
    assert 'ids are not tracked' in page and 'No latency' in page


def test_the_page_is_self_contained_and_runs_nothing(report, result):
    _, page, _ = report(result)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    assert "default-src 'none'" in policy and 'script' not in policy
    assert '<script' not in page
    assert all(url.startswith('data:image/') for url in re.findall(r'(?:src|href)="([^"]*)', page))


def test_names_from_the_data_are_escaped(report, result, tmp_path, tiny_model):
    evil = '<img src=x onerror=alert(1)>$x_'

    def change(message, number):
        if message.topic.name.endswith('label_info'):
            import tiny_models
            info = tiny_models.tiny_info(class_names=('background', evil, 'b', 'c', 'd'))
            return encode_label_info(0, info)
        return message.data

    code, page, _ = report(rewrite(result, tmp_path / 'evil.mcap', change))
    assert code == 0
    assert html.escape(evil) in page and evil not in page


def test_track_lengths_only_of_tracked_results(report, result):
    _, page, _ = report(result, '--tracked')
    assert 'alt="Track lengths"' in page and 'ids are not tracked' not in page


def test_settings_of_a_bag_say_that_it_was_tracked(report, result, tmp_path):
    def change(message, number):
        if message.topic.type != STRING:
            return message.data
        with BagReader(result) as bag:
            settings = json.loads(bag.parse(message).data)
        settings['model']['tracking'] = {'enabled': True}
        return bytes(typestore().serialize_cdr(
            typestore().types[STRING](data=json.dumps(settings)), STRING))

    _, page, _ = report(rewrite(result, tmp_path / 'tracked.mcap', change))
    assert 'alt="Track lengths"' in page


def test_latency_comes_from_diagnostics_of_this_node(report, result, tmp_path):
    types = typestore().types

    def status(name, value):
        return types['diagnostic_msgs/msg/DiagnosticStatus'](
            level=0, name=name, message='', hardware_id='',
            values=[types['diagnostic_msgs/msg/KeyValue'](key='latency_ms', value=value)])

    extra = [('/diagnostics', DIAGNOSTICS, SECOND + number, types[DIAGNOSTICS](
        header=make_header(SECOND, ''), status=[status('/segmenter', text)]))
        for number, text in enumerate(('31.2', '', 'nan'))]
    _, page, _ = report(rewrite(result, tmp_path / 'live.mcap',
                                lambda message, _: message.data, extra))
    assert 'alt="Latency"' in page
    others = [('/diagnostics', DIAGNOSTICS, SECOND, types[DIAGNOSTICS](
        header=make_header(SECOND, ''), status=[status('/other', '31.2')]))]
    _, page, _ = report(rewrite(result, tmp_path / 'other.mcap',
                                lambda message, _: message.data, others))
    assert 'alt="Latency"' not in page


def test_the_age_of_live_results_is_recorded_time_minus_stamp(report, result, tmp_path):
    late = rewrite(result, tmp_path / 'late.mcap', lambda message, _: (
        message.data if is_live(message) else None), delay=SECOND // 20)
    _, page, _ = report(late)
    assert 'alt="Latency"' in page
    _, page, _ = report(rewrite(result, tmp_path / 'offline.mcap',
                                lambda message, _: message.data, delay=SECOND // 20))
    assert 'alt="Latency"' not in page


def test_without_overlay_pictures_come_from_the_camera(report, result, tmp_path):
    bare = rewrite(result, tmp_path / 'bare.mcap', lambda message, _: (
        None if 'overlay' in message.topic.name else message.data))
    with BagReader(result.parent / 'camera.mcap') as camera:
        images = [(*message.topic, message.time, camera.parse(message))
                  for message in camera.read(camera.topics)]
    both = rewrite(bare, tmp_path / 'both.mcap', lambda message, _: message.data, images)
    strips = [report(path)[1].split('Filmstrip')[1] for path in (bare, both)]
    assert strips[0] != strips[1]


def test_missing_messages_are_named_and_the_page_is_written(report, result, tmp_path):
    damaged = rewrite(result, tmp_path / 'damaged.mcap', lambda message, number: None if (
        'instance_image' in message.topic.name and number == 2) else message.data)
    code, page, errors = report(damaged)
    assert code == 1
    assert '5 frames in 0.5 s' in page
    assert '1 frames of /segmenter/ lack a message' in page
    assert '1 frames of /segmenter/ lack a message' in errors


def test_damaged_results_are_named(report, result, tmp_path):
    damaged = rewrite(result, tmp_path / 'damaged.mcap', lambda message, number: (
        message.data[:60] if message.topic.type == DETECTIONS and number == 4 else message.data))
    code, page, errors = report(damaged)
    assert code == 1
    assert '5 frames' in page and '1 results of /segmenter/ are damaged' in errors


def test_a_truncated_bag_still_has_a_page(report, result, tmp_path):
    data = result.read_bytes()
    (tmp_path / 'cut.mcap').write_bytes(data[:len(data) - 200])
    code, page, errors = report(tmp_path / 'cut.mcap')
    assert code == 1 and 'Filmstrip' in page and 'cut.mcap' in errors


def test_a_sudden_change_is_shown_first(report, result, tmp_path):
    def change(message, number):
        if message.topic.type == DETECTIONS and number == 3:
            return bytes(typestore().serialize_cdr(typestore().types[DETECTIONS](
                header=make_header(stamp_of(message.data), ''), detections=[]), DETECTIONS))
        return message.data

    code, page, _ = report(rewrite(result, tmp_path / 'gone.mcap', change))
    assert code == 0
    section = page.split('Sudden change')[1].split('<h3>')[0]
    assert section.index('2 objects in the frame before, now 0') < section.index('now 2')


def test_a_bag_without_overlay_shows_its_labels(report, result, tmp_path):
    bare = rewrite(result, tmp_path / 'bare.mcap', lambda message, _: (
        message.data if is_live(message) and 'overlay' not in message.topic.name else None))
    code, page, _ = report(bare)
    assert code == 0 and page.split('Filmstrip')[1].count('data:image/jpeg') >= 6


def test_a_bag_without_results_is_refused(report, tmp_path):
    code, page, errors = report(write_camera(tmp_path / 'camera.mcap'))
    assert (code, page) == (1, '')
    assert 'expected a topic .../instances' in errors and '/front/image_raw' in errors


def test_several_topics_have_a_section_each(report, tmp_path, tiny_model):
    source, result = write_camera(tmp_path / 'two.mcap', rear=True), tmp_path / 'result.mcap'
    assert main(['segment-bag', str(source), '--out', str(result),
                 '--model', str(tiny_model)]) == 0
    code, page, _ = report(result)
    assert code == 0 and page.count('6 frames in 0.5 s, 12 objects') == 2
    assert f'/segmenter{FRONT}' in page and f'/segmenter{REAR}' in page


def test_a_folder_of_bags_has_a_section_each(report, result, tmp_path):
    folder = tmp_path / 'results'
    (folder / 'deep').mkdir(parents=True)
    for name in ('a.mcap', 'deep/b.mcap'):
        (folder / name).write_bytes(result.read_bytes())
    (folder / 'c.mcap').write_bytes(b'no bag')
    code, page, errors = report(folder)
    assert code == 1
    assert page.count('Filmstrip') == 2
    assert 'c.mcap' in errors and 'c.mcap' in page


@pytest.fixture
def photographs(tmp_path, tiny_model):
    """Return a folder of `instseg segment`."""
    (tmp_path / 'photos').mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / 'photos' / f'{number}.png'),
                    cv2.cvtColor(scene(number), cv2.COLOR_RGB2BGR))
    assert main(['segment', str(tmp_path / 'photos'), '--out', str(tmp_path / 'out'),
                 '--model', str(tiny_model)]) == 0
    return tmp_path / 'out'


def test_a_folder_of_photographs(report, photographs):
    code, page, _ = report(photographs)
    assert code == 0
    assert '3 frames, 6 objects' in page and '2.png' in page


def test_missing_label_images_are_named(report, photographs):
    (photographs / 'semantic' / '1.png.png').unlink()
    code, page, errors = report(photographs)
    assert code == 1 and '2 frames' in page and '1.png.png' in errors


def test_names_in_records_do_not_lead_out_of_the_folder(report, photographs):
    records = photographs / 'instances.jsonl'
    line = json.loads(records.read_text().splitlines()[0])
    records.write_text(json.dumps({**line, 'name': '../../photos/0'}) + '\n{"broken\n')
    code, page, errors = report(photographs)
    assert code == 1
    assert 'expected a name below' in errors and 'line 2' in errors and '0 frames' in page


def test_a_video_shows_its_own_overlay(report, tmp_path, tiny_model):
    from instseg_ros.media import VideoWriter
    with VideoWriter(tmp_path / 'walk.mp4', 10) as video:
        for number in range(8):
            video.write(scene(number))
    assert main(['segment', str(tmp_path / 'walk.mp4'), '--out', str(tmp_path / 'out'),
                 '--model', str(tiny_model)]) == 0
    code, page, _ = report(tmp_path / 'out')
    assert code == 0 and '8 frames in 0.7 s' in page
    assert 'walk.mp4/000007, 0.70 s' in page
    (tmp_path / 'out' / 'overlay' / 'walk.mp4.mp4').unlink()
    code, labels, _ = report(tmp_path / 'out')  # which are shown instead
    assert code == 0 and labels != page
