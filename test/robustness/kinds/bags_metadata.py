"""Sound bags whose metadata.yaml has odd values: it may add a remark, and change nothing."""
import json

from bag_files import COUNT, FRAMES, check_bag, sound_bytes
from mutations import edited, value_steps, written
from recordings import write_mcap

CONTENT = {'rosbag2_bagfile_information': {
    'version': 9, 'storage_identifier': 'mcap', 'relative_file_paths': ['bag_0.mcap'],
    'duration': {'nanoseconds': 1}, 'starting_time': {'nanoseconds_since_epoch': 1},
    'message_count': COUNT, 'topics_with_message_count': [
        {'topic_metadata': {'name': '/camera/image_raw', 'type': 'sensor_msgs/msg/Image',
                            'serialization_format': 'cdr', 'offered_qos_profiles': []},
         'message_count': COUNT}],
    'compression_format': '', 'compression_mode': ''}}


QUICK = 10  # YAML that is read slowly


def steps(rng):
    return value_steps(rng, CONTENT, most=3)


def write_sound(path):
    write_mcap(path, FRAMES)


def write(steps, folder):
    (folder / 'bag_0.mcap').write_bytes(sound_bytes(write_sound))
    # JSON is YAML, but for surrogates.
    (folder / 'metadata.yaml').write_text(written(json.dumps(edited(CONTENT, steps))))
    return folder


def check(path):
    check_bag(path, exact=True)
