"""The lines of instances.jsonl."""
import json

from instseg_ros.core.types import Instance
from instseg_ros.records import frame_record


def test_a_line_says_all_about_a_frame():
    instance = Instance(instance_id=3, class_id=1, class_name='person', score=0.87654321,
                        center_yx=(12.3456, 7.0), box_xyxy=(1, 2, 30, 40), area=99)
    line = frame_record(5, 'street.mp4', [instance])
    assert line.endswith('}\n') and line.count('\n') == 1
    assert json.loads(line) == {'frame': 5, 'source': 'street.mp4', 'instances': [
        {'id': 3, 'class_id': 1, 'class_name': 'person', 'score': 0.8765,
         'box_xyxy': [1, 2, 30, 40], 'center_yx': [12.35, 7.0], 'area': 99}]}


def test_a_frame_of_a_video_has_a_time_and_the_name_of_its_label_images():
    line = frame_record(1, 'street.mp4', [], name='street.mp4/000001', time=0.0333333333)
    assert json.loads(line) == {'frame': 1, 'source': 'street.mp4', 'time': 0.033333,
                                'name': 'street.mp4/000001', 'instances': []}


def test_a_frame_without_objects_has_a_line_too():
    assert json.loads(frame_record(0, 'ä "quoted".png', [])) == {
        'frame': 0, 'source': 'ä "quoted".png', 'instances': []}
