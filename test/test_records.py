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


def test_a_frame_without_objects_has_a_line_too():
    assert json.loads(frame_record(0, 'ä "quoted".png', [])) == {
        'frame': 0, 'source': 'ä "quoted".png', 'instances': []}
