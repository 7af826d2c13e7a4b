"""Why no images arrive: each reason, with the one remedy that fits."""
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from instseg_ros.node import image_problems

RAW, COMPRESSED = image_problems.TYPES['raw'], image_problems.TYPES['compressed']
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def graph(**topics):
    """Return the publishers of topics: `front=[(type, profile)]` for `/front`."""
    table = {'/' + name.replace('__', '/'): [
        SimpleNamespace(node_name='driver', node_namespace='/cam', topic_type=kind,
                        qos_profile=qos) for kind, qos in ends] for name, ends in topics.items()}
    return lambda topic: table.get(topic, [])


@pytest.mark.parametrize('topic, transport, topics, found, remedy', [
    ('/front', 'raw', {'front': [(COMPRESSED, RELIABLE)]}, COMPRESSED,
     'set image_transport to compressed and remap "image/compressed" to /front'),
    ('/front/compressed', 'raw', {'front__compressed': [(COMPRESSED, RELIABLE)]}, COMPRESSED,
     'set image_transport to compressed and remap "image" to /front'),
    ('/front/compressed', 'compressed', {'front__compressed': [(RAW, RELIABLE)]}, RAW,
     'set image_transport to raw and remap "image" to /front/compressed'),
    ('/front', 'raw', {'front': [('std_msgs/msg/String', RELIABLE)]}, 'std_msgs/msg/String',
     'remap "image" to a topic of images'),
    ('/front', 'raw', {'front__compressed': [(COMPRESSED, RELIABLE)]}, COMPRESSED,
     'set image_transport to compressed'),
    ('/front/compressed', 'compressed', {'front': [(RAW, RELIABLE)]}, RAW,
     'set image_transport to raw'),
    ('/front/compressed/compressed', 'compressed',
     {'front__compressed': [(COMPRESSED, RELIABLE)]}, COMPRESSED, 'remap "image" to /front')])
def test_a_wrong_type_is_named_with_what_to_set(topic, transport, topics, found, remedy):
    text = image_problems.wrong_type(topic, transport, graph(**topics))
    assert text.endswith(f': {remedy}')
    assert f'/cam/driver publishes {found} on ' in text
    assert image_problems.TYPES[transport] in text


@pytest.mark.parametrize('topic, transport, topics', [
    ('/front', 'raw', {}), ('/front', 'raw', {'front': [(RAW, RELIABLE)]}),
    ('/front', 'raw', {'front': [(RAW, RELIABLE)], 'front__compressed': [(COMPRESSED, RELIABLE)]}),
    ('/front', 'raw', {'front__compressed': [('std_msgs/msg/String', RELIABLE)]}),
    ('/front/compressed', 'compressed', {'front__compressed': [(COMPRESSED, BEST_EFFORT)]})])
def test_the_right_type_or_none_is_no_wrong_type(topic, transport, topics):
    assert image_problems.wrong_type(topic, transport, graph(**topics)) == ''


def test_reliability_that_does_not_fit_has_its_remedy():
    publishers = graph(front=[(RAW, RELIABLE), (RAW, BEST_EFFORT)])
    text = image_problems.wrong_qos('/front', RELIABLE, publishers)
    assert 'no image is received from /cam/driver on /front' in text
    assert text.endswith('set image_reliability to best_effort and activate it')
    assert image_problems.wrong_qos('/front', BEST_EFFORT, publishers) == ''


def test_other_policies_are_not_taken_for_a_matter_of_reliability():
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    text = image_problems.wrong_qos('/front', latched, graph(front=[(RAW, RELIABLE)]))
    assert 'image_reliability' not in text
    assert text.endswith('the parameters qos_overrides./front.subscription.* of the node')


@pytest.mark.parametrize('offered, fitting', [
    ([], BEST_EFFORT), ([RELIABLE], RELIABLE), ([BEST_EFFORT], BEST_EFFORT),
    ([RELIABLE, BEST_EFFORT], BEST_EFFORT), ([RELIABLE, RELIABLE], RELIABLE)])
def test_the_fitting_reliability_receives_from_every_publisher(offered, fitting):
    publishers = graph(front=[(RAW, qos) for qos in offered])
    reliability = image_problems.fitting_reliability('/front', publishers)
    assert reliability == fitting.reliability
    subscription = QoSProfile(depth=1, reliability=reliability)
    assert image_problems.wrong_qos('/front', subscription, publishers) == ''


@pytest.mark.parametrize('fast_dds', [False, True])
def test_silence_and_losses_name_the_publisher_and_fast_dds_only_where_it_is(fast_dds):
    publishers = graph(front=[(RAW, BEST_EFFORT)])
    for text in (image_problems.silence('/front', 5.0, publishers, fast_dds=fast_dds),
                 image_problems.lost('/front', publishers, fast_dds=fast_dds)):
        assert '/cam/driver' in text
        assert ('Fast DDS' in text) == fast_dds
    assert image_problems.silence('/front', 5.0, graph(), fast_dds=fast_dds) == (
        'no image for 5 s: nobody publishes on /front (remap "image")')
