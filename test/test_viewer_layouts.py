"""The layout of rviz shows what the node publishes, in large pictures."""
from pathlib import Path

import pytest

pytest.importorskip('vision_msgs.msg', reason='needs ROS 2 with vision_msgs')
yaml = pytest.importorskip('yaml')

LAYOUT = yaml.safe_load(
    (Path(__file__).resolve().parents[1] / 'config' / 'instseg.rviz').read_text())
DISPLAYS = LAYOUT['Visualization Manager']['Displays']
LEAST_PICTURE = 600, 400
"""Width and height in pixels of a picture that a person wants to look at."""


def published():
    """Return the type of each topic of the node by its full name, as classes of rviz name it."""
    from instseg_ros.node import depth, outputs
    types = {name: topic.type.rpartition('/')[2] for name, topic in outputs.TOPICS.items()}
    types.update({name: kind.__name__ for name, kind in depth.TOPICS.items()})
    return {f'/segmenter/{name}': kind for name, kind in types.items()}


def test_every_display_has_a_topic_of_its_type():
    shown = {display['Topic']['Value']: display['Class'].rpartition('/')[2]
             for display in DISPLAYS}
    assert shown.pop('/camera/image_raw') == 'Image'
    assert {'/segmenter/overlay', '/segmenter/color_labels', '/segmenter/markers',
            '/segmenter/points'} == set(shown)
    assert shown.items() <= published().items()


def test_displays_receive_reliable_and_other_topics():
    for display in DISPLAYS:
        topic = display['Topic']
        assert topic['Durability Policy'] == 'Volatile'
        # Of a camera nothing is known; only best effort receives from every one.
        is_camera = topic['Value'] == '/camera/image_raw'
        assert topic['Reliability Policy'] == 'Best Effort' or not is_camera


def test_pictures_are_large_and_need_no_transform():
    geometry = LAYOUT['Window Geometry']
    state = bytes.fromhex(geometry['QMainWindow State'])
    names = [display['Name'] for display in DISPLAYS
             if display['Class'].endswith('/Image') and display['Enabled']]
    width, height = docks(state)[1]
    assert all(name.encode('utf-16-be') in state and name in geometry for name in names)
    assert width >= LEAST_PICTURE[0] and height // len(names) >= LEAST_PICTURE[1]
    current = LAYOUT['Visualization Manager']['Transformation']['Current']
    assert current == {'Class': 'rviz_default_plugins/Identity'}


def docks(state):
    """Return width and height of the left (0) and the right (1) dock area of a QMainWindow."""
    areas, at = {}, 13  # marker, version, tag and number of areas come before
    for _ in range(int.from_bytes(state[9:13], 'big')):
        area, *size = (int.from_bytes(state[at + 4 * k:at + 4 * k + 4], 'big') for k in range(3))
        areas[area] = tuple(size)
        count, at = int.from_bytes(state[at + 14:at + 18], 'big'), at + 18
        for _ in range(count):  # tag, length of the name, name, flags, four numbers
            at += 5 + int.from_bytes(state[at + 1:at + 5], 'big') + 1 + 16
    return areas
