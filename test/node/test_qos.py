"""Quality of service: what the topics offer, and what is said when two ends don't fit."""
import pytest

values_of = pytest.importorskip('node_tools').values_of
RESULTS = ('semantic_image', 'instance_image', 'instances', 'overlay')


def only(endpoints):
    assert len(endpoints) == 1
    return endpoints[0].qos_profile


def test_results_are_reliable_and_labels_are_latched(graph, tiny_model):
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
    node = graph.start('configure', model=str(tiny_model))
    for name in RESULTS:
        qos = only(node.get_publishers_info_by_topic(f'/segmenter/{name}'))
        assert qos.reliability == ReliabilityPolicy.RELIABLE, name
        assert qos.durability == DurabilityPolicy.VOLATILE, name
    qos = only(node.get_publishers_info_by_topic('/segmenter/label_info'))
    assert (qos.reliability, qos.durability) == (ReliabilityPolicy.RELIABLE,
                                                 DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.mark.parametrize('asked, expected', [(None, 'BEST_EFFORT'), ('best_effort', 'BEST_EFFORT'),
                                             ('reliable', 'RELIABLE')])
def test_images_are_subscribed_to_as_asked(graph, tiny_model, asked, expected):
    from rclpy.qos import ReliabilityPolicy
    parameters = {'image_reliability': asked} if asked else {}
    node = graph.start('configure', 'activate', model=str(tiny_model), **parameters)
    assert {subscription.qos_profile.depth for subscription in node.subscriptions
            if subscription.topic_name == '/image'} == {1}
    graph.spin_until(lambda: node.get_subscriptions_info_by_topic('/image'))
    qos = only(node.get_subscriptions_info_by_topic('/image'))
    assert qos.reliability == ReliabilityPolicy[expected]


@pytest.mark.parametrize('given, offered, remedy', [
    ({'image_reliability': 'reliable'}, {'reliability': 'BEST_EFFORT'},
     'deactivate the node, set image_reliability to best_effort and activate it'),
    ({'qos_overrides./image.subscription.durability': 'transient_local'}, {},
     'qos_overrides./image.subscription.*'),
    ({'qos_overrides./image.subscription.deadline': 10 ** 9}, {},
     'qos_overrides./image.subscription.*')])
@pytest.mark.parametrize('is_early', [True, False])
def test_a_camera_that_does_not_fit_is_told_with_the_remedy_that_fits(
        graph, tiny_model, capfd, given, offered, remedy, is_early):
    """Also if it was there before the node was activated; and the reason stays the same."""
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image
    graph.start('configure', model=str(tiny_model), **given)
    messages = graph.diagnostics()
    qos = QoSProfile(depth=5, **{name: ReliabilityPolicy[value]
                                 for name, value in offered.items()})
    if is_early:
        graph.observer.create_publisher(Image, '/image', qos)
        graph.spin_until(lambda: graph.node.count_publishers('/image') and messages)
    assert graph.change_state('activate')
    if not is_early:
        graph.observer.create_publisher(Image, '/image', qos)
    graph.spin_until(lambda: messages and is_told(messages[-1], 'active', 'qos.image'))
    text = values_of(messages[-1])['condition.qos.image']
    assert text.startswith('no image is received from /observer on /image') and remedy in text
    assert text in ''.join(capfd.readouterr())


def is_told(message, state, *names):
    """Return whether a node in this state warns of all of these conditions."""
    return (message.status[0].level == b'\x01'
            and message.status[0].message.startswith(f'{state}: ')
            and {f'condition.{name}' for name in names} <= set(values_of(message)))


@pytest.mark.parametrize('policy, value', [
    ('durability', 'TRANSIENT_LOCAL'), ('deadline', 1.0), ('liveliness', 'MANUAL_BY_TOPIC')])
def test_subscribers_that_ask_for_too_much_are_told_in_every_state_until_they_go(
        graph, tiny_model, policy, value):
    """On every topic of the node, whether they come before or after its activation."""
    from rclpy.duration import Duration
    from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile

    from instseg_ros.node import depth
    from instseg_ros.node.message_types import message_type
    from instseg_ros.node.outputs import LABEL_INFO_NAME, TOPICS
    kinds = {'durability': DurabilityPolicy, 'liveliness': LivelinessPolicy}
    asked = kinds[policy][value] if policy in kinds else Duration(seconds=value)
    types = {**{name: message_type(topic.type) for name, topic in TOPICS.items()}, **depth.TOPICS}
    names = [name for name in types if (policy, name) != ('durability', LABEL_INFO_NAME)]
    graph.start('configure', model=str(tiny_model), depth__enabled=True)
    messages = graph.diagnostics()
    subscriptions = []

    def subscribe(some):
        subscriptions.extend(graph.observer.create_subscription(
            types[name], f'/segmenter/{name}', lambda message: None,
            QoSProfile(depth=1, **{policy: asked})) for name in some)
    early, late = names[::2], names[1::2]
    subscribe(early)
    conditions = [f'qos.{name}' for name in names]
    graph.spin_until(lambda: messages and is_told(messages[-1], 'inactive', *conditions[::2]))
    assert graph.change_state('activate')
    subscribe(late)
    graph.spin_until(lambda: is_told(messages[-1], 'active', *conditions))
    assert 'the subscriber /observer of /segmenter/' in messages[-1].status[0].message
    assert graph.change_state('deactivate')
    graph.spin_until(lambda: is_told(messages[-1], 'inactive', *conditions))
    for subscription in subscriptions:
        graph.observer.destroy_subscription(subscription)
    graph.spin_until(lambda: messages[-1].status[0].level == b'\x00')


@pytest.mark.parametrize('has_publisher', [False, True])
def test_silence_is_reported_with_what_may_be_behind_it(graph, tiny_model, monkeypatch,
                                                        has_publisher):
    from instseg_ros.node import image_input
    monkeypatch.setattr(image_input, 'SILENCE', 0.001)
    graph.start('configure', 'activate', model=str(tiny_model))
    diagnostics = graph.diagnostics()
    if has_publisher:
        graph.camera()
    expected = ('/observer publishes on /image: it sends none' if has_publisher
                else 'nobody publishes on /image')
    graph.spin_until(lambda: diagnostics and expected in diagnostics[-1].status[0].message)
    assert diagnostics[-1].status[0].level == b'\x01'
